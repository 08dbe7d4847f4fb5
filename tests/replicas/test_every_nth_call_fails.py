"""F30: whichever call to the database or the log fails, every stream has one end, and that is what is stored."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from domain.callers import LOCAL
from domain.errors import StreamForgeError
from domain.events import TERMINAL, Cancelled, Done, Failed
from domain.messages import Message, state_after
from domain.streams import Ask, Order, Place, StreamInfo, said
from services.container import open_services
from services.conversations.session_service import SessionService
from services.streaming_service import StreamingService
from services.streams.supervisor import Supervisor
from services.upkeep.recovery import Recovery
from stores.streams.memory import MemoryStreamLog
from stores.streams.tail import Tail
from tests.stores.streams.logs import shared_log, until, until_it
from tests.support.catalogue import SIMULATED_ALONE
from tests.support.failing import Failing, FailingStorage
from tests.support.server import make_settings
from tests.support.valkey import RedisServer

pytestmark = pytest.mark.slow(reason="sixty-four stories in each test")

TEXT = "one two three four five six"
LOG_CALLS = (
    "open", "append", "seal", "announce", "find", "keys.bind", "keys.find", "keys.release",
    "peers.read_elsewhere", "peers.reading",
)  # fmt: skip
MOST = 60
"""More than any call of the story has for a number."""


class OpenedLog:
    """Remembers what was opened, and what of it was dropped again."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.tails: dict[str, Tail] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def open(self, info: StreamInfo) -> Tail:
        tail: Tail = await self._log.open(info)
        self.tails[info.id] = tail
        return tail

    async def drop(self, tail: Tail) -> None:
        self.tails.pop(tail.info.id, None)
        await self._log.drop(tail)


@dataclass
class House:
    """The parts that the story is about."""

    streaming: StreamingService
    supervisor: Supervisor
    sessions: SessionService
    storage: FailingStorage
    log: Failing
    opened: OpenedLog


SETTINGS: dict[str, Any] = {
    "SIMULATED_TEXT": TEXT,
    "STREAM_DELAY": 0.001,
    "STREAM_COMMIT_DELAY": 0.1,
    "STREAM_HEARTBEAT": 0.02,
    "STREAM_SEND_TIMEOUT": 0.02,
    "DRAIN_TIMEOUT": 1,
}


@asynccontextmanager
async def house(folder: Path, log: Any) -> AsyncIterator[House]:
    settings = make_settings(DATA_DIR=folder, **SETTINGS)
    opened = OpenedLog(log)
    failing: Any = Failing(opened, LOG_CALLS, "log_unavailable")
    storage = FailingStorage(settings.database_url())
    await storage.open()
    recovery = partial(Recovery, every=0.01, silent_for=0.3)
    opening = open_services(settings, SIMULATED_ALONE, storage=storage, log=failing, recovery=recovery)
    try:
        async with opening as services:
            supervisor = services.streaming._starting._supervisor
            yield House(services.streaming, supervisor, services.sessions, storage, failing, opened)
    finally:
        await storage.close()


async def story(parts: House, key: str) -> None:
    """A conversation with everything in it. What is refused is asked once more, as a client would."""
    refused: list[str] = []

    async def ask(order: Order) -> Tail | None:
        for _ in range(2):
            try:
                return (await parts.streaming.start(LOCAL, order)).tail
            except StreamForgeError as error:
                refused.append(error.code)
        return None

    opening = Order(Ask("one"), place=Place(new=True), idempotency_key=key, digest=b"1")
    first = await ask(opening)
    await ask(opening)
    if first is None:
        return
    session_id = first.info.session_id
    await until(lambda: first.ended or len(first.events) > 3)
    second = await ask(Order(Ask("two"), place=Place(session_id, on_busy="cancel_previous")))
    if second is not None:
        await until(lambda: second.ended or len(second.events) > 3)
        for work in (parts.streaming.state, parts.streaming.cancel):
            try:
                await work(LOCAL, second.info.id)
            except StreamForgeError as error:
                refused.append(error.code)
    await ask(Order(Ask("three"), place=Place(session_id), idempotency_key=f"{key} three", digest=b"3"))
    assert set(refused) <= {"log_unavailable", "storage_unavailable", "session_busy"}


async def truth(parts: House, key: str) -> None:
    """After quiet: one end each; what was said is stored, once, with the state that fits; and nothing is left."""
    tails = parts.opened.tails
    await until(lambda: all(tail.ended or tail.fenced for tail in tails.values()) and not parts.supervisor.count)
    for tail in tails.values():
        assert [type(event) in TERMINAL for event in tail.events].count(True) == 1
        assert type(tail.events[-1]) in TERMINAL
    spoken = [tail for tail in tails.values() if tail.info.idempotency_key == key and said(tail.events)]
    assert len(spoken) <= 1, "I6: two answers were given to one key"
    for session_id in {tail.info.session_id for tail in tails.values() if tail.info.session_id}:
        await stored(parts, session_id, tails)


async def stored(parts: House, session_id: str, tails: dict[str, Tail]) -> None:
    answers: dict[str | None, Message] = {}
    begun = {tail.info.id for tail in tails.values()}

    async def quiet() -> bool:
        page = await parts.sessions.history(LOCAL, session_id, None, 100, whole=True)
        answers.update({item.stream_id: item for item in page.items if item.role == "assistant"})
        return all(item.state != "running" for item in page.items)

    await until_it(quiet)
    if not parts.storage.database.done:
        assert set(answers) <= begun, "what was refused has left something"
    for tail in tails.values():
        if tail.info.session_id != session_id:
            continue
        outcome = tail.events[-1]
        assert isinstance(outcome, Done | Failed | Cancelled)
        answer = answers.get(tail.info.id)
        assert answer is not None, "I1: an answer that was begun is lost"
        assert answer.text == said(tail.events), "I4"
        assert answer.state == state_after(outcome), "I5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nth")


@pytest.fixture(params=["memory", "valkey"])
async def parts(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        log: Any = MemoryStreamLog(retention=600, retained_bytes=2**20)
        if request.param == "valkey":
            valkey: RedisServer = request.getfixturevalue("valkey")
            log = await stack.enter_async_context(shared_log(valkey.url))
        yield await stack.enter_async_context(house(folder, log))


def nth(number: int) -> Callable[[int], bool]:
    return lambda call: call == number


def every(number: int) -> Callable[[int], bool]:
    return lambda call: call % number == 0


@pytest.mark.parametrize("done", [False, True], ids=["refused", "reply lost"])
@pytest.mark.parametrize("which", ["database", "log"])
async def test_whichever_call_fails_there_is_one_end_and_it_is_the_truth(parts: House, which: str, done: bool) -> None:
    failing = parts.storage.database if which == "database" else parts.log
    failing.done = done
    if which == "log" and done:
        failing.names = LOG_CALLS[1:]  # a log that has opened something says so
    patterns = [*(nth(number) for number in range(1, MOST)), *(every(number) for number in (2, 3, 5, 7))]
    for turn, fails in enumerate(patterns):
        parts.opened.tails.clear()
        failing.calls, failing.fails = 0, fails
        key = f"{turn} {which} {done} {id(parts)}"
        await story(parts, key)
        await until(lambda: not parts.supervisor.count)
        calls, failing.fails = failing.calls, lambda _: False
        await truth(parts, key)
        if turn == MOST - 2:
            assert 10 < calls < MOST, "this call was to be one that is not reached"
