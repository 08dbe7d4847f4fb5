"""S2, T09, T10: no body that the limits admit holds up the streams of others, or takes memory out of proportion."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from routers.schemas.base import RequestModel
from tests.security.bodies.worst import SHAPES, bodies
from tests.support.effort import one_in
from tests.support.server import LiveServer, Process, make_settings, process_server
from tests.support.server import live_server as serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux says what a thread and a body have taken")

SIZE = 1_000_000
MOST_MS = 250
MOST_MIB = 50
SHAPES_OF_A_FIELD = 2 if one_in() == 1 else 1
RAISED = 4_000_000
ONE_IN = 50


class Measured:
    """A server that says what a request took of its event loop's thread and of memory."""

    def __init__(self, process: Process, client: httpx.Client) -> None:
        self._proc = Path(f"/proc/{process.popen.pid}")
        self._client = client

    def post(self, method: str, path: str, body: bytes) -> tuple[float, float, int]:
        """Milliseconds, MiB, and the status."""
        (self._proc / "clear_refs").write_text("5")  # the peak counts from now on
        before, held = self._computed(), self._memory("VmRSS")
        status = self._client.request(
            method, path, content=body, headers={"content-type": "application/json"}
        ).status_code
        return (self._computed() - before) / 1e6, self._memory("VmHWM") - held, status

    def _computed(self) -> int:
        """Nanoseconds that the loop's thread has had of a processor: unlike a clock, this does not wait for others."""
        return int((self._proc / "task" / self._proc.name / "schedstat").read_text().split()[0])

    def _memory(self, name: str) -> float:
        status = (self._proc / "status").read_text().splitlines()
        return int(next(line for line in status if line.startswith(name)).split()[1]) / 1024


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    folder = tmp_path_factory.mktemp("bodies")
    settings: dict[str, Any] = {
        "SIMULATED_TEXT": "a", "STREAM_DELAY": 0, "ALLOW_PROFILING": True, "MAX_BODY_BYTES": RAISED + SIZE,
    }  # fmt: skip
    with (
        process_server(DATA_DIR=folder, **settings) as (process, url),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield Measured(process, client)


def judge(measured: Measured, method: str, path: str, what: str, make: Callable[[], bytes]) -> None:
    """Post one body, and hold it against the limits."""
    body = make()
    spent, memory, status = measured.post(method, path, body)
    assert status < 500, (path, what)
    assert spent < MOST_MS, (path, what, spent)
    assert memory < max(MOST_MIB, 5 * len(body) / 2**20), (path, what, memory)


def routes() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Every route that takes JSON: method, path, the whole description, and the body's schema."""
    with serving(make_settings()) as server:
        api = _described(server)
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is not None:
                yield method.upper(), path.format(session_id="a" * 32, vector_store_id="all"), api, content["schema"]


def _described(server: LiveServer) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/openapi.json").json()
    return found


def test_no_body_holds_the_loop_or_takes_memory_out_of_proportion(measured: Measured) -> None:
    tried = 0
    for number, (method, path, api, schema) in enumerate(routes()):
        measured.post(method, path, b"{}")  # what is loaded on first use is loaded by now
        for place, (what, make) in enumerate(bodies(api, schema, SIZE)):
            field = (place // len(SHAPES)) * 7 + number  # each field has other shapes than the one before
            if not what.startswith(("the body", "unknown")) and (place - field) % len(SHAPES) >= SHAPES_OF_A_FIELD:
                continue
            tried += 1
            judge(measured, method, path, what, make)
    assert tried > 300


def test_nor_does_a_body_that_only_raised_limits_admit(measured: Measured) -> None:
    tried = 0
    for number, (method, path, api, schema) in enumerate(routes()):
        for place, (what, make) in enumerate(bodies(api, schema, RAISED)):
            if place % ONE_IN == number:
                tried += 1
                judge(measured, method, path, what, make)
    assert tried > 50


@pytest.mark.parametrize(
    ("path", "before", "item", "after"),
    [
        ("/v1/chat/completions", '{"model":"m","messages":[', '{"role":"user","content":[%s]}', "]}"),
        ("/v1/chat/completions", '{"model":"m","messages":[', '{"role":"assistant","tool_calls":[%s]}', "]}"),
        ("/api/chat", '{"id":"a","messages":[', '{"role":"user","parts":[%s]}', "]}"),
    ],
)
def test_lists_in_lists_that_are_wrong_in_every_place_are_refused_at_the_first(
    measured: Measured, path: str, before: str, item: str, after: str
) -> None:
    body = (before + ",".join([item % ",".join(["1"] * 230)] * 1_900) + after).encode()
    spent, memory, status = measured.post("POST", path, body)
    assert 400 <= status < 500
    assert spent < MOST_MS
    assert memory < MOST_MIB


def models() -> Iterator[type[RequestModel]]:
    """Every model of a request, found through its base."""
    waiting: list[type[RequestModel]] = [RequestModel]
    while waiting:
        for model in waiting.pop().__subclasses__():
            waiting.append(model)
            if model.__module__.startswith("routers."):
                yield model


def lists(schema: Any) -> Iterator[dict[str, Any]]:
    """Every list in a core schema."""
    if isinstance(schema, dict):
        if schema.get("type") in ("list", "set", "frozenset", "tuple", "generator"):
            yield schema
        for value in schema.values():
            yield from lists(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from lists(value)


MODELS = sorted(models(), key=lambda model: model.__name__)


@pytest.mark.parametrize("model", MODELS, ids=[model.__name__ for model in MODELS])
def test_every_list_of_a_request_is_refused_at_its_first_wrong_item_and_bounded(model: type[BaseModel]) -> None:
    for each in lists(model.__pydantic_core_schema__):
        assert each["type"] == "list", "write ListOf[...]"
        assert each.get("fail_fast"), "write ListOf[...]"
        assert each.get("max_length"), "give it a max_length"


def test_models_of_requests_are_found() -> None:
    assert len(MODELS) > 15
