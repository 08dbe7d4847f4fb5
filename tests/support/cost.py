"""How much processor time each test file takes, the processes that its tests start included.

A plugin of pytest: it prints the dearest files after the tests. A file over its share that is not marked `slow` is
named, and in CI the run fails. In the report (`--junitxml`) each test has its own figure, as the property `cpu`.
"""

import contextlib
import os
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support import forks

SHARE = 20.0
"""Seconds of processor time that a file may take unmarked."""
SHOWN = 15
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 1


def spent() -> float:
    """Seconds of processor time so far: this process, those it has waited for, and (on Linux) those that still run.

    What it took to load the program that others are forked from is on nobody's bill: it is chance who comes first.
    """
    started = set(_children(os.getpid())) - forks.loaders()
    return sum(os.times()[:4]) + forks.spent(_alive) + sum(map(_alive, started))


def _alive(pid: int) -> float:
    """Seconds that a process has used, with all its children; 0 if it has just ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS + sum(_alive(child) for child in _children(pid))
    return 0.0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


class Meter:
    """Measures one test after the other, where they run. Where one ends, the next begins."""

    def __init__(self) -> None:
        self._before = 0.0

    def pytest_collection_finish(self) -> None:
        self._before = spent()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.when == "teardown":
            before, self._before = self._before, spent()
            item.user_properties.append(("cpu", round(max(0.0, self._before - before), 3)))
            if item.get_closest_marker("slow"):
                item.user_properties.append(("slow", "yes"))


class Bill:
    """Adds up what all tests took, where the run is reported."""

    def __init__(self) -> None:
        self._took: defaultdict[str, float] = defaultdict(float)
        self._wall: defaultdict[str, float] = defaultdict(float)
        self._slow: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.location[0]
        self._wall[file] += report.duration
        if report.when == "teardown":
            properties = dict(report.user_properties)
            self._took[file] += float(str(properties.get("cpu", 0)))
            if "slow" in properties:
                self._slow.add(file)

    def _dearest(self) -> list[tuple[str, float]]:
        return sorted(self._took.items(), key=lambda item: -item[1])

    def _over(self) -> list[str]:
        return [file for file, seconds in self._dearest() if seconds > SHARE and file not in self._slow]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._over() and os.environ.get("CI") == "true" and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if sum(self._took.values()) < SHARE:
            return  # too little to say anything about
        terminalreporter.section(f"dearest files, of {sum(self._took.values()):.0f} s of CPU")
        for file, seconds in self._dearest()[:SHOWN]:
            mark = " (slow)" if file in self._slow else ""
            terminalreporter.write_line(f"{seconds:6.1f} s of CPU {self._wall[file]:6.1f} s of wall  {file}{mark}")
        for file in self._over():
            terminalreporter.write_line(
                f"{file} took more than {SHARE:.0f} s of CPU: make it cheaper, part it, or mark it `slow` and say why."
            )


def register(config: pytest.Config) -> None:
    """Measure in every process that runs tests, and add up in the one that reports them."""
    deals = config.getoption("numprocesses", None) is not None
    if not deals:  # to look at all that it has started would take a tenth of the time
        config.pluginmanager.register(Meter())
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Bill())
