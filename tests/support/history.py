"""Records the events that clients of several servers saw, and checks what must be true of them afterwards.

The invariants' names are those of the design: I1 nothing that was accepted is lost; I2 a session is one sequence; I3
one end; I4 every reader saw a run of one log, whose words are what is stored; I5 `complete` means that; I6 one answer
is paid for a key; I8 nobody saw another's words; I9 nothing is left running.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from domain.errors import ERRORS
from tests.stores.streams.logs import until, until_it
from tests.support.sse import Message, Parser
from tests.support.stage import Stage

ENDS = ("done", "error", "cancelled")
PATIENCE = 40.0
"""Seconds for which a client reconnects, and for which a test waits for anything."""


@dataclass(frozen=True)
class Seen:
    """One event as it arrived."""

    stream_id: str
    seq: int
    event: str
    data: dict[str, Any]
    at: float = field(compare=False)


@dataclass
class Body:
    """One response: its server, its status, the cursor that was sent, the events that came, and how it ended."""

    url: str
    after: int
    status: int = 0
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    problem: dict[str, Any] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    end: str = "open"
    """`clean`, `cut` (the connection broke), `left` (the client went), `refused`."""


class Reader:
    """A client that reads one stream. Whenever it is cut, it reconnects with its cursor to the next of its `urls`."""

    def __init__(self, client: httpx.AsyncClient, urls: list[str], headers: dict[str, str], after: int = 0) -> None:
        self._client = client
        self._headers = headers
        self._after = after
        self.urls = urls
        self.bodies: list[Body] = []
        self.stream_id = ""
        self.task: asyncio.Task[None] | None = None
        self._last: Seen | None = None
        self._words = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def first(self) -> Body:
        """The first response."""
        return self.bodies[0]

    @property
    def seen(self) -> list[Seen]:
        """All events, over all its responses."""
        return [seen for body in self.bodies for seen in body.seen]

    @property
    def cursor(self) -> int:
        """The number of the last event that it has."""
        return self._last.seq if self._last else self._after

    @property
    def text(self) -> str:
        """The words that it has received."""
        return text_of(self.seen)

    @property
    def ended(self) -> bool:
        """Whether it has the last event."""
        return self._last is not None and self._last.event in ENDS

    @property
    def session_id(self) -> str:
        """The id of the session, if the answer is in one."""
        return self.first.headers["x-session-id"]

    @property
    def code(self) -> str:
        """The code of the error with which it was refused, or the stream ended."""
        return str(self.first.problem["code"] if self.first.problem else self.seen[-1].data["code"])

    async def answered(self) -> "Reader":
        """Wait until the first response has its headers."""
        await self._until(lambda: bool(self.bodies) and (self.first.status > 0 or self.first.end != "open"))
        return self

    async def heard(self, words: int = 1) -> "Reader":
        """Wait until it has this many deltas."""
        await self._until(lambda: self._words >= words or self._over())
        assert self._words >= words, self.bodies
        return self

    async def end(self, seconds: float = PATIENCE) -> Seen:
        """Wait for the last event, and return it."""
        await self._until(lambda: self.ended or self._over(), seconds)
        assert self.ended, self.bodies
        assert self._last is not None
        return self._last

    async def leave(self) -> None:
        """Disconnect in the middle of the stream; `go_on` reconnects."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait({self.task})

    def go_on(self, url: str) -> None:
        """Reconnect, to this server."""
        self.urls = [url]
        self._run(self._resume(0))

    def start(self, method: str, path: str, **request: Any) -> None:
        """Start reading with the response to this request."""
        self._run(self._read_all(method, f"{self.urls[0]}{path}", request))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self.task = asyncio.create_task(work)
        self.task.add_done_callback(lambda _: self._tell())

    async def _until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until the condition holds, without polling: hundreds of readers wait at the same time."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiting.append(waiter)
                    await waiter
        except TimeoutError:
            raise AssertionError(f"it did not come in {seconds} s: {self.bodies}") from None

    def _tell(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    def _over(self) -> bool:
        return self.task is not None and self.task.done()

    async def _read_all(self, method: str, url: str, request: dict[str, Any]) -> None:
        body = await self._read(url, method, request)
        if body.end == "cut" and self.stream_id:
            await self._resume(1)

    async def _resume(self, turn: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            path = f"{self.urls[turn % len(self.urls)]}/chat/streams/{self.stream_id}"
            cursor = {"last-event-id": f"{self.stream_id}-{self.cursor}"} if self.cursor else {}
            body = await self._read(path, "GET", {"headers": {**self._headers, **cursor}})
            if body.end == "clean" or body.status not in (0, 200, 502, 503, 504):
                return
            turn += 1
            await asyncio.sleep(0.05)

    async def _read(self, url: str, method: str, request: dict[str, Any]) -> Body:
        body = Body(url, self.cursor)
        self.bodies.append(body)
        try:
            async with self._client.stream(method, url, **request) as response:
                body.headers = response.headers
                if response.status_code != 200:
                    text = await response.aread()
                    body.problem = json.loads(text) if text[:1] == b"{" else {}
                    body.end = "clean" if response.status_code == 204 else "refused"
                    body.status = response.status_code
                    self._tell()
                    return body
                self.stream_id = self.stream_id or response.headers["x-stream-id"]
                body.status = response.status_code
                self._tell()
                parser = Parser()
                async for chunk in response.aiter_raw():
                    parser.feed(chunk)
                    at = time.monotonic()
                    for message in parser.messages[len(body.seen) :]:
                        self._note(body, _seen(message, at))
            body.end = "clean"
        except httpx.TransportError:
            body.end = "cut"
        except asyncio.CancelledError:
            body.end = "left"
            raise
        return body

    def _note(self, body: Body, seen: Seen) -> None:
        body.seen.append(seen)
        self._last = seen
        self._words += seen.event == "delta"
        self._tell()


def _seen(message: Message, at: float) -> Seen:
    stream_id, _, seq = message.last_event_id.rpartition("-")
    return Seen(stream_id, int(seq), message.event, json.loads(message.data), at)


def text_of(events: Iterable[Seen]) -> str:
    """The text of these events."""
    return "".join(seen.data["text"] for seen in events if seen.event == "delta")


@dataclass(frozen=True)
class Posted:
    """A message that was sent, with its owner and the reader of its answer."""

    owner: str | None
    message: str
    key: str | None
    reader: Reader


class History:
    """All readers, and all messages that were sent. `owners` has the headers of each owner."""

    def __init__(
        self, client: httpx.AsyncClient, owners: dict[str | None, dict[str, str]], stage: Stage | None
    ) -> None:
        self.client = client
        self._owners = owners
        self._stage = stage
        self.posted: list[Posted] = []
        self.readers: list[Reader] = []

    def headers(self, owner: str | None) -> dict[str, str]:
        """The headers of the owner."""
        return self._owners[owner]

    async def post(
        self, url: str, message: str, *, owner: str | None = None, key: str | None = None, also: tuple[str, ...] = (),
        **fields: Any,
    ) -> Reader:  # fmt: skip
        """Post, and read in the background, also at the URLs `also`; returns once the headers are there."""
        return await self.send(url, message, owner=owner, key=key, also=also, **fields).answered()

    def send(
        self, url: str, message: str, *, owner: str | None = None, key: str | None = None, also: tuple[str, ...] = (),
        **fields: Any,
    ) -> Reader:  # fmt: skip
        """The same without waiting."""
        headers = {**self.headers(owner), **({"idempotency-key": key} if key else {})}
        reader = Reader(self.client, [url, *also], self.headers(owner))
        body = {**({"message": message} if message else {}), **fields}
        reader.start("POST", "/chat?format=events", json=body, headers=headers)
        self.posted.append(Posted(owner, message, key, reader))
        self.readers.append(reader)
        return reader

    async def follow(
        self, url: str, stream_id: str, *, owner: str | None = None, after: int = 0, also: tuple[str, ...] = ()
    ) -> Reader:
        """Add a reader of a stream, beginning after this event."""
        reader = Reader(self.client, [url, *also], self.headers(owner), after)
        reader.stream_id = stream_id
        reader.start("GET", f"/chat/streams/{stream_id}?after={after}", headers=self.headers(owner))
        self.readers.append(reader)
        return await reader.answered()

    async def ask(self, method: str, url: str, *, owner: str | None = None, **request: Any) -> httpx.Response:
        """Send any other request."""
        headers = {**self.headers(owner), **request.pop("headers", {})}
        return await self.client.request(method, url, headers=headers, timeout=PATIENCE, **request)

    async def state(self, url: str, stream_id: str, *, owner: str | None = None) -> dict[str, Any]:
        """The state of a stream, as polling clients see it."""
        path = f"{url}/chat/streams/{stream_id}"
        answer = await self.ask("GET", path, owner=owner, headers={"accept": "application/json"})
        return dict(answer.json())

    async def cancel(self, url: str, stream_id: str, *, owner: str | None = None) -> httpx.Response:
        """Stop a stream."""
        return await self.ask("POST", f"{url}/chat/streams/{stream_id}/cancel", owner=owner)

    async def messages(self, url: str, session_id: str, *, owner: str | None = None, **query: Any) -> list[Any]:
        """All messages of a session."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            params = {"limit": 200, **query, **({"cursor": cursor} if cursor else {})}
            answer = await self.ask("GET", f"{url}/chat/history/{session_id}", owner=owner, params=params)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            items += page["items"]
            cursor = page.get("next")
            if cursor is None:
                return items

    async def answer(self, url: str, reader: Reader, *, owner: str | None = None) -> dict[str, Any]:
        """Wait until a stream has ended, and return the message that it became."""

        async def found() -> bool:
            items = await self.messages(url, reader.session_id, owner=owner, all="true")
            kept.extend(item for item in items if item.get("stream_id") == reader.stream_id)
            return kept[-1]["state"] != "running" if kept else True

        kept: list[dict[str, Any]] = []
        await until_it(found, PATIENCE)
        return kept[-1]

    async def check(self, url: str, live: Callable[[], int] | None = None) -> None:
        """Check everything that was seen against the invariants, and against the data stored by the server at `url`."""
        tasks = [reader.task for reader in self.readers if reader.task is not None]
        _, open_still = await asyncio.wait(tasks, timeout=PATIENCE) if tasks else (None, set())
        assert not open_still, "I3: somebody still waits for an end"
        logs = {stream_id: one_log(group) for stream_id, group in self._streams().items()}
        for posted in self.posted:
            self._check_tags(posted)
        self._check_keys()
        await self._check_sessions(url, logs)
        if live is not None:
            await until(lambda: live() == 0, PATIENCE)  # I9

    def _streams(self) -> dict[str, list[Reader]]:
        streams: dict[str, list[Reader]] = defaultdict(list)
        for reader in self.readers:
            if reader.stream_id:
                streams[reader.stream_id].append(reader)
        return streams

    def _check_tags(self, posted: Posted) -> None:
        """I8."""
        if self._stage is not None and self._stage.part(posted.message) is not None:
            for seen in posted.reader.seen:
                if seen.event == "delta":
                    assert seen.data["text"].startswith(f"{posted.message}."), "I8: somebody else's words"

    def _check_keys(self) -> None:
        """I6: compares the requests to the model with the keys that were sent."""
        for posted in self.posted:
            part = self._stage.part(posted.message) if self._stage is not None else None
            if posted.key is not None and part is not None:
                keys = {(other.owner, other.key) for other in self.posted if other.message == posted.message}
                assert part.spoken <= len(keys), "I6: a key was paid for twice"

    async def _check_sessions(self, url: str, logs: dict[str, list[Seen]]) -> None:
        """I1, I2, I4 and I5, in the histories of all sessions that have answers."""
        sessions: dict[tuple[str | None, str], dict[str, Posted]] = defaultdict(dict)
        for posted in self.posted:
            if posted.reader.bodies and (session_id := posted.reader.first.headers.get("x-session-id")):
                sessions[posted.owner, session_id][posted.reader.stream_id] = posted
        for (owner, session_id), streams in sessions.items():
            items = await self.messages(url, session_id, owner=owner, all="true")
            answers = {item["stream_id"]: item for item in items if item["role"] == "assistant"}
            questions = {item["id"]: item for item in items if item["role"] == "user"}
            for stream_id, posted in streams.items():
                assert stream_id in answers, "I1: an answer that was begun is lost"
                assert questions[answers[stream_id]["parent_id"]]["text"] == (posted.message or ANY), "I1"
                if stream_id in logs:
                    stored_as_told(answers[stream_id], logs[stream_id])
            one_sequence(await self.messages(url, session_id, owner=owner))


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


ANY: Any = _Any()


def one_log(readers: list[Reader]) -> list[Seen]:
    """I3 and I4: all readers of a stream saw one log with one end; returns that log, as far as any of them saw it."""
    log: dict[int, Seen] = {}
    for reader in readers:
        numbers = [seen.seq for seen in reader.seen]
        begin = reader.first.after
        assert numbers == list(range(begin + 1, begin + 1 + len(numbers))), f"I4: a gap or a double: {numbers}"
        for seen in reader.seen:
            assert seen.stream_id == reader.stream_id, "I8: an event of another stream"
            assert log.setdefault(seen.seq, seen) == seen, "I4: two readers, two stories"
        ends = [seen for seen in reader.seen if seen.event in ENDS]
        assert len(ends) <= 1, "I3: more than one end"
        if any(body.end == "clean" and body.status == 200 for body in reader.bodies):
            assert ends, "I3: a clean body without an end"
            assert reader.seen[-1] is ends[0], "I3: something after the end"
    ends = [seen for seen in log.values() if seen.event in ENDS]
    assert len({seen.seq for seen in ends}) <= 1, "I3: readers saw different ends"
    return [log[seq] for seq in sorted(log)]


def stored_as_told(answer: dict[str, Any], log: list[Seen]) -> None:
    """I4 and I5: a stored message is what its readers were sent."""
    if not log or log[0].seq != 1 or log[-1].event not in ENDS:
        return  # nobody saw the whole
    last = log[-1]
    if last.event == "error" and last.data["code"] == "not_saved":
        assert answer["state"] != "complete", "I5"
        return
    assert answer["text"] == text_of(log), "I4: what is stored is not what was said"
    if last.event == "done":
        assert (answer["state"], answer["finish_reason"]) == ("complete", "stop"), "I5"
        return
    state = "cancelled" if last.event == "cancelled" else ERRORS[last.data["code"]].message_state
    assert answer["state"] == state, "I5"
    assert answer["code"] == last.data["reason" if last.event == "cancelled" else "code"]


def one_sequence(branch: list[dict[str, Any]]) -> None:
    """I2: the active branch alternates between questions and answers, each the child of the previous, none running."""
    before: str | None = None
    for number, item in enumerate(branch):
        assert item.get("parent_id") == before, "I2: a branch with a gap"
        assert item["role"] == ("user", "assistant")[number % 2], "I2: two of a kind"
        assert item["state"] != "running", "I9: an answer runs for ever"
        before = item["id"]


@asynccontextmanager
async def history(
    owners: dict[str | None, dict[str, str]] | None = None, stage: Stage | None = None
) -> AsyncIterator[History]:
    """A new record, with the client for all its requests, which uses a new connection for each."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    transport = httpx.AsyncHTTPTransport(verify=False, trust_env=False, limits=limits)
    async with httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(10, read=60)) as client:
        record = History(client, owners or {None: {}}, stage)
        try:
            yield record
        finally:
            for reader in record.readers:
                if reader.task is not None:
                    reader.task.cancel()
            await asyncio.gather(*(reader.task for reader in record.readers if reader.task), return_exceptions=True)
