"""LangSmith tracing: off whatever the environment says, on where our own settings ask for it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask
from tests.support.catalogue import row
from tests.support.server import wait_for


class Collector(ThreadingHTTPServer):
    """Takes whatever a tracing client sends."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.bodies: list[bytes] = []
        self.keys: list[str] = []
        self.silent = False


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_GET(self) -> None:
        self._answer(b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.server.bodies.append(body)
        self.server.keys.append(self.headers.get("x-api-key", ""))
        self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PATCH = do_POST  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_it_is_off_whatever_the_environment_says(
    play: Play, serve_models: ServeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = play(lambda answer: answer.say("fine"))
    with collector() as traces:
        for name in ("LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2"):
            monkeypatch.setenv(name, "true")
        for name in ("LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT"):
            monkeypatch.setenv(name, traces.url)
        monkeypatch.setenv("LANGSMITH_TRACING", "false")
        monkeypatch.setenv("LANGSMITH_API_KEY", "key")
        server = serve_models(row("openai", model.url))
        assert ask(server).text == "fine"
        server.call(server.services.models._chains._llms.close)
    assert traces.bodies == []


def test_it_is_on_where_our_settings_say_so(play: Play, serve_models: ServeModels) -> None:
    model = play(lambda answer: answer.say("an answer to trace"))
    with collector() as traces:
        server = serve_models(
            row("openai", model.url, id="traced"),
            LANGSMITH_TRACING=True,
            LANGSMITH_ENDPOINT=traces.url,
            LANGSMITH_API_KEY="lsv2-of-the-test",
        )
        assert ask(server, "a prompt to trace").text == "an answer to trace"
        server.call(server.services.models._chains._llms.close)
        wait_for(lambda: traces.bodies)
        sent = b"".join(traces.bodies)
    assert set(traces.keys) == {"lsv2-of-the-test"}
    if b"a prompt to trace" not in sent:  # compressed
        import zstandard

        sent = b"".join(zstandard.ZstdDecompressor().decompressobj().decompress(body) for body in traces.bodies)
    assert b"a prompt to trace" in sent
    assert b"streamforge" in sent


def test_a_collector_that_never_answers_holds_nothing_up(play: Play, serve_models: ServeModels) -> None:
    import socket

    model = play(lambda answer: answer.say("fine"))
    with socket.socket() as hole:  # takes connections, and says nothing
        hole.bind(("127.0.0.1", 0))
        hole.listen(100)
        server = serve_models(
            row("openai", model.url),
            LANGSMITH_TRACING=True,
            LANGSMITH_ENDPOINT=f"http://127.0.0.1:{hole.getsockname()[1]}",
            LANGSMITH_API_KEY="key",
        )
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: ask(server, timeout=10), range(50)))
    assert {answer.text for answer in answers} == {"fine"}
    assert json.dumps(answers[0].last[1])
