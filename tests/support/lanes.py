"""Which tests run at the same time, with `-n`: a plugin of pytest and of pytest-xdist.

Most tests wait rather than compute, so there are more processes than processors. Those that judge real time (marked
`clock`) would be late beside them: they come last, four at a time. Each test goes to the process that is free next,
but tests that share a fixture of their module, or an `xdist_group`, stay together: it is made once. So do the tests of
a file marked `slow`, which loads or starts something that no other needs. These come first, and then the others that
stay together, so that nothing long is left for the end.

Only the processes that run tests know fixtures and marks, and only the one that deals tests out can use them: they are
handed over in a file. (xdist has groups of its own. They do not work with this pytest: no name is changed any more.)
"""

import json
import shlex
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.support import forks
from tests.support.fork_server import MODELS, load_all

WORKER = Path(__file__).with_name("forked_worker.py")
CLOCK_LANE = 4
"""How many processes run the tests that judge real time."""
_LANES = ("slow", "", "clock")


class Labels:
    """In a process that runs tests: puts them into the order of lanes, and says of each its lane and its unit.

    What models need is loaded beforehand: it takes seconds, and on a busy machine the first test would be late.
    """

    def __init__(self, file: str | None) -> None:
        self._file = file

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=_place)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self._file is not None:
            labels = {item.nodeid: f"{_lane(item)}:{_unit(item)}" for item in session.items}
            Path(self._file).write_text(json.dumps(labels))
        load_all(MODELS)


def _place(item: pytest.Item) -> tuple[int, bool, bool]:
    """In the order of lanes; in each, what takes longest comes first."""
    return _LANES.index(_lane(item)), item.get_closest_marker("slow") is None, _unit(item) == item.nodeid


def _lane(item: pytest.Item) -> str:
    return next((lane for lane in ("clock", "slow") if item.get_closest_marker(lane)), "")


def _unit(item: pytest.Item) -> str:
    """What the test has to stay together with: itself, if it stands alone."""
    if (mark := item.get_closest_marker("xdist_group")) is not None:
        return str(mark.args[0])
    fixtures = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    shares = any(made[-1].scope in ("module", "class") for made in fixtures.values())
    return item.location[0] if shares or _lane(item) == "slow" else item.nodeid


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """Deals out units of tests. The last lane begins, in few processes, when all other tests have ended."""

    def __init__(self, config: pytest.Config, log: Producer, file: Path) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # it would sort by the number of tests, whatever their lanes
        self._file = file
        self._labels: dict[str, str] = {}
        self._clocks_run = False

    def schedule(self) -> None:
        self._labels = json.loads(self._file.read_text())
        self._clocks_run = all(label.startswith("clock:") for label in self._labels.values())
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self._labels[nodeid]

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        super().mark_test_complete(node, item_index, duration)
        unit = self._labels[self.registered_collections[node][item_index]]
        if all(self.assigned_work[node][unit].values()):
            del self.assigned_work[node][unit]  # or it is counted again and again
        if self._only_clocks_are_left():
            for other in self.nodes:
                self._reschedule(other)

    def _reschedule(self, node: WorkerController) -> None:
        if self._only_clocks_are_left() and not self._clocks_run and not node.shutting_down:
            others = [other for other in self.nodes if other is not node]
            if sum(not other.shutting_down for other in others) >= CLOCK_LANE:
                node.shutdown()  # once it has run what it holds
                return
            # A process that holds one test waits with it until it has another, or is sent home.
            if any(self._pending_of(self.assigned_work[other]) > (not other.shutting_down) for other in others):
                return
            self._clocks_run = True
        super()._reschedule(node)

    def _only_clocks_are_left(self) -> bool:
        return bool(self.workqueue) and next(iter(self.workqueue)).startswith("clock:")


class Dealing:
    """In the process that deals tests out."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="streamforge-lanes-"))

    def _file(self, worker: str) -> Path:
        return Path(self._folder) / f"{worker}.json"

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: list[Any]) -> None:
        """Fork the processes that run tests, which so need not load what all of them need."""
        if sys.platform == "linux":
            path = self._stack.enter_context(forks.shared())
            for spec in specs:
                spec.python = shlex.join([sys.executable, "-I", str(WORKER), path])

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        if node.gateway.id == "gw0":  # all collect the same
            node.workerinput["labels"] = str(self._file("gw0"))

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> Lanes | None:
        return Lanes(config, log, self._file("gw0")) if config.getvalue("dist") == "load" else None

    def pytest_unconfigure(self) -> None:
        self._stack.close()


def register(config: pytest.Config) -> None:
    """Label the tests in each process that runs them for xdist, and deal them out in the one that started these."""
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    config.pluginmanager.register(Dealing() if given is None else Labels(given.get("labels")))
