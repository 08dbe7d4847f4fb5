"""Shutting down by a real signal: no stream is cut without its terminal event, and the process goes (F18)."""

import json
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack

import httpx
import psutil
import pytest

from tests.support.client import open_stream, small_socket
from tests.support.server import Process, process_server, wait_for
from tests.support.sse import Message, parse
from tests.support.valkey import redis_server

UVICORN = [sys.executable, "-m", "uvicorn", "main:app", "--port"]


class Reading:
    """A stream that is read by a thread to the end of its body."""

    def __init__(self, url: str) -> None:
        self.body = b""
        self.error: Exception | None = None
        self.begun = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(url,), daemon=True)
        self._thread.start()
        assert self.begun.wait(20)

    def _read(self, url: str) -> None:
        try:
            with httpx.stream("POST", f"{url}/chat?format=events", json={"message": "x"}, timeout=60) as response:
                for chunk in response.iter_raw():
                    self.body += chunk
                    if b"event: delta" in self.body:
                        self.begun.set()
        except Exception as error:
            self.error = error

    def messages(self) -> list[Message]:
        """What was read, once the body has ended cleanly."""
        self._thread.join(timeout=40)
        assert not self._thread.is_alive()
        assert self.error is None, f"the body was cut: {self.error!r}"
        return parse(self.body)


def test_running_streams_finish_while_new_ones_are_refused() -> None:
    with process_server(STREAM_DELAY=0.4) as (process, url):
        reading = Reading(url)
        assert httpx.get(f"{url}/ready").status_code == 200
        process.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: httpx.get(f"{url}/ready").status_code == 503)
        assert httpx.get(f"{url}/health").status_code == 200
        refused = httpx.post(f"{url}/chat", json={"message": "x"})
        assert (refused.status_code, refused.json()["code"]) == (503, "server_draining")
        assert int(refused.headers["retry-after"]) > 0
        assert reading.messages()[-1].event == "done"
        assert process.stop() == -signal.SIGTERM
        assert "Traceback" not in "".join(process.log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_outlasts_the_drain_ends_in_an_honest_error_and_a_clean_body(number: signal.Signals) -> None:
    with process_server(STREAM_DELAY=60, DRAIN_TIMEOUT=0.3) as (process, url):
        readings = [Reading(url) for _ in range(3)]
        process.popen.send_signal(number)
        for reading in readings:
            last = reading.messages()[-1]
            assert (last.event, json.loads(last.data)["code"]) == ("error", "server_draining")
        process.popen.wait(timeout=20)
        assert "Traceback" not in "".join(process.log)


def test_an_interrupt_after_an_interrupt_does_not_wait() -> None:
    with process_server(STREAM_DELAY=60, DRAIN_TIMEOUT=600) as (process, url):
        reading = Reading(url)
        process.popen.send_signal(signal.SIGINT)
        process.wait_for_event("draining")
        process.popen.send_signal(signal.SIGINT)
        assert json.loads(reading.messages()[-1].data)["code"] == "server_draining"
        process.popen.wait(timeout=20)


def test_term_after_an_interrupt_changes_nothing() -> None:
    with process_server(STREAM_DELAY=0.3) as (process, url):
        reading = Reading(url)
        process.popen.send_signal(signal.SIGINT)
        process.wait_for_event("draining")
        process.popen.send_signal(signal.SIGTERM)
        assert reading.messages()[-1].event == "done"
        process.popen.wait(timeout=20)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.skipif(sys.platform != "linux", reason="containers are Linux's")
def test_the_first_process_of_a_container_says_which_signal_ended_it(number: signal.Signals, code: int) -> None:
    """To it alone, a signal without a handler does nothing."""
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    with process_server([*inside, sys.executable, "main.py"]) as (process, _):
        [first] = psutil.Process(process.popen.pid).children()
        first.send_signal(number)
        assert process.popen.wait(timeout=20) == code
        assert "Traceback" not in "".join(process.log)


def test_a_frozen_reader_does_not_hold_up_the_exit() -> None:
    with process_server(STREAM_DELAY=0, SIMULATED_TEXT="word " * 25_000) as (process, url):
        frozen, _ = open_stream(int(url.rpartition(":")[2]))  # and never reads on
        process.wait_for_event("stream ended")
        process.stop(seconds=10)
        frozen.close()
        assert "Traceback" not in "".join(process.log)


def half_a_request(port: int) -> socket.socket:
    """A client that never finishes the body it announced."""
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    return client


def frozen_reader(port: int) -> socket.socket:
    """A client that asks for something large, and takes none of it."""
    client = small_socket(port)
    client.sendall(b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return client


@pytest.mark.parametrize("client", [half_a_request, frozen_reader])
def test_no_other_request_holds_up_the_exit_either(
    client: Callable[[int], socket.socket], free_port: Callable[[], int]
) -> None:
    process, url = uvicorn_server(free_port=free_port())
    try:
        held = client(int(url.rpartition(":")[2]))
        assert httpx.get(f"{url}/health").status_code == 200  # by now the server has seen the other one
        process.stop(seconds=10)
        held.close()
    finally:
        process.close()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def uvicorn_server(*options: str, free_port: int, **settings: str) -> tuple[Process, str]:
    env = {"STREAM_DELAY": "60", "DRAIN_TIMEOUT": "0.3", **settings}
    process = Process([*UVICORN, str(free_port), *options], env)
    process.wait_for_event("Application startup complete")
    wait_for(lambda: listens(free_port))
    return process, f"http://127.0.0.1:{free_port}"


@pytest.mark.parametrize("options", [(), ("--reload",), ("--workers", "2")], ids=["plain", "reload", "workers"])
def test_plain_uvicorn_drains_as_well(options: tuple[str, ...], free_port: Callable[[], int]) -> None:
    with ExitStack() as stack:
        shared = {"REDIS_URL": stack.enter_context(redis_server("valkey")).url} if "--workers" in options else {}
        process, url = uvicorn_server(*options, free_port=free_port(), **shared)
        stack.callback(process.close)
        reading = Reading(url)
        process.popen.send_signal(signal.SIGTERM)
        last = reading.messages()[-1]
        assert (last.event, json.loads(last.data)["code"]) == ("error", "server_draining")
        process.popen.wait(timeout=20)
