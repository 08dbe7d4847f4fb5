"""Clients that leave, stall or freeze: nobody else notices, and nothing is left behind (F01, F02, F04, T12)."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.types import Message

from domain.callers import LOCAL
from domain.events import Delta
from domain.streams import StreamInfo, digest, new_stream_id
from routers.streams.connections import StreamReader
from services.container import open_services, read_catalogue
from stores.streams.tail import Tail
from tests.support.client import open_stream, small_socket
from tests.support.server import LiveServer, make_settings, wait_for
from tests.support.sse import parse
from wires.table import WIRES

pytestmark = pytest.mark.clock

Serve = Callable[..., LiveServer]


def reset(client: socket.socket) -> None:
    """Close with RST instead of FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def rest_of(client: socket.socket) -> bytes:
    """What is still to be read until the connection ends, in whatever way."""
    body = b""
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            body += part
    client.close()
    return body


def state(server: LiveServer, stream_id: str) -> dict[str, Any]:
    answer = httpx.get(f"{server.url}/chat/streams/{stream_id}", headers={"accept": "application/json"})
    return answer.json()  # type: ignore[no-any-return]


def tail_of(server: LiveServer, stream_id: str) -> Tail:
    return server.call(lambda: server.services.streaming.find(LOCAL, stream_id))


@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_leaving_detaches_and_the_stream_runs_to_its_end(serve: Serve, leave: Callable[[socket.socket], None]) -> None:
    server = serve(STREAM_DELAY=0.02)
    client, stream_id = open_stream(server.port)
    leave(client)
    wait_for(lambda: state(server, stream_id)["state"] == "completed")
    assert state(server, stream_id)["text"] == "This is a simulated streaming response"
    assert tail_of(server, stream_id).followers == []


@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_the_last_reader_to_leave_takes_along_a_stream_that_wants_it(
    serve: Serve, leave: Callable[[socket.socket], None]
) -> None:
    server = serve(STREAM_DELAY=60)
    first, stream_id = open_stream(server.port, on_disconnect="cancel")
    tail = tail_of(server, stream_id)
    with httpx.stream("GET", f"{server.url}/chat/streams/{stream_id}", timeout=20) as second:
        wait_for(lambda: len(tail.followers) == 2)
        leave(first)
        wait_for(lambda: len(tail.followers) == 1)
        assert state(server, stream_id)["state"] == "running"
        second.close()
    wait_for(lambda: state(server, stream_id)["state"] == "cancelled")
    assert state(server, stream_id)["reason"] == "disconnected"


def test_a_stream_that_nobody_reads_is_an_orphan_and_ends(serve: Serve) -> None:
    server = serve(STREAM_DELAY=60, STREAM_ORPHAN_TIMEOUT=0.2)
    client, stream_id = open_stream(server.port)
    tail = tail_of(server, stream_id)
    client.close()
    wait_for(lambda: tail.ended)
    assert state(server, stream_id)["reason"] == "orphaned"


def test_polling_keeps_a_stream_from_being_an_orphan(serve: Serve) -> None:
    server = serve(STREAM_DELAY=60, STREAM_ORPHAN_TIMEOUT=2)
    client, stream_id = open_stream(server.port)
    client.close()
    wait_for(lambda: not tail_of(server, stream_id).followers)
    production = server.supervisor._live[stream_id]
    wait_for(lambda: production.orphan >= 1)
    assert state(server, stream_id)["state"] == "running"
    assert production.orphan <= 1, "the orphan clock starts again"


def test_a_frozen_reader_is_dropped_and_holds_nobody_up(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    words = "word " * 190_000
    server = serve(SIMULATED_TEXT=words, STREAM_SEND_TIMEOUT=0.4, STREAM_MAX_EVENTS=300_000)
    frozen, stream_id = open_stream(server.port)  # and never reads again
    tail = tail_of(server, stream_id)
    whole = httpx.get(f"{server.url}/chat/streams/{stream_id}?format=text", timeout=60)
    assert whole.content.count(b"\n\n") == 190_000
    wait_for(lambda: not tail.followers)
    wait_for(lambda: not server.server_state.connections)  # its descriptor is gone
    assert not rest_of(frozen).endswith(b"0\r\n\r\n"), "a cut body never looks like a whole one"
    server.call(lambda: asyncio.sleep(0))
    assert "Traceback" not in capfd.readouterr().err


def test_a_client_that_freezes_before_the_last_bytes_is_dropped_too(serve: Serve) -> None:
    server = serve(STREAM_SEND_TIMEOUT=0.4, SIMULATED_TEXT="x" * 900_000, STREAM_HEARTBEAT=60)
    client, stream_id = open_stream(server.port)
    tail = tail_of(server, stream_id)
    wait_for(lambda: tail.ended and not tail.followers)
    wait_for(lambda: not server.server_state.connections)
    assert not rest_of(client).endswith(b"0\r\n\r\n")


def test_a_client_that_freezes_on_any_other_answer_is_dropped_too(serve: Serve) -> None:
    server = serve(STREAM_SEND_TIMEOUT=0.4, SIMULATED_TEXT="x" * 900_000)
    whole = httpx.post(f"{server.url}/chat", json={"message": "x"})
    client = small_socket(server.port)
    path = f"/chat/streams/{whole.headers['x-stream-id']}"
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n".encode())
    wait_for(lambda: len(server.services.readers) == 1)
    wait_for(lambda: not server.server_state.connections)
    assert len(rest_of(client)) < 900_000


async def test_a_long_replay_to_nobody_lets_others_run() -> None:
    """The client is gone and every send returns at once, so nothing would ever make the reader wait."""
    deltas = 100_000
    settings = make_settings()
    async with open_services(settings, await asyncio.to_thread(read_catalogue, settings)) as services:
        tail = Tail(StreamInfo(new_stream_id(), "test", 1, "detach", digest("x"), "local"))
        tail.events.extend([Delta("word ")] * deltas)
        turns = 0
        sent = asyncio.Event()
        left: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        async def send(message: Message) -> None:
            if reader._fed == deltas:
                sent.set()

        async def count_turns() -> None:
            nonlocal turns
            while not sent.is_set():
                turns += 1
                await asyncio.sleep(0)

        reader = StreamReader(services.streaming, tail, WIRES["events"], 0, send)

        async def receive() -> Message:
            return await left

        running = asyncio.create_task(reader.run(receive))
        async with asyncio.timeout(30):
            await count_turns()
        assert turns >= deltas / 256 / 16
        left.set_result({"type": "http.disconnect"})
        await running


def test_a_silent_stream_beats_from_the_headers_on_without_disturbing_it(serve: Serve) -> None:
    server = serve(STREAM_DELAY=0.5, STREAM_HEARTBEAT=0.05, SIMULATED_TEXT="one two")
    for wire, beat in (("events", b": hb\n"), ("text", b": hb\n\n")):
        answer = httpx.post(f"{server.url}/chat", params={"format": wire}, json={"message": "x"})
        assert beat in answer.content
        messages = parse(answer.content)
        assert [m.event for m in messages] in (["start", "delta", "delta", "done"], ["message", "message"])


def test_when_all_is_over_nothing_is_left(serve: Serve) -> None:
    server = serve(STREAM_RETENTION=0.05, STREAM_DELAY=0.01)

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    httpx.get(f"{server.url}/health")
    wait_for(lambda: not server.server_state.connections)
    before = server.call(tasks)
    for _ in range(20):
        httpx.post(f"{server.url}/chat", json={"message": "x"})
        open_stream(server.port)[0].close()
    wait_for(lambda: len(server.log) == 0)
    wait_for(lambda: not server.server_state.connections)
    assert server.call(tasks) == before
    assert server.supervisor.count == 0
    assert len(server.services.readers) == 0
