"""LangSmith tracing: off whatever the environment says, on where our own settings ask for it (F32)."""

import gc
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask
from tests.support.catalogue import row
from tests.support.collector import collector
from tests.support.server import wait_for


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


def test_nothing_of_a_run_is_kept(play: Play, serve_models: ServeModels) -> None:
    """A tracer that outlives its run remembers something of each, and all of those that were cancelled."""
    model = play(lambda answer: answer.say("fine"))
    endless = play(lambda answer: answer.endless(every=0.01))
    with collector() as traces:
        server = serve_models(
            row("openai", model.url, id="quick"),
            row("openai", endless.url, id="endless"),
            LANGSMITH_TRACING=True,
            LANGSMITH_ENDPOINT=traces.url,
            LANGSMITH_API_KEY="key",
        )
        for _ in range(10):
            assert ask(server).text == "fine"
        for _ in range(5):
            asked = {"message": "x", "model": "endless"}
            with httpx.stream("POST", f"{server.url}/chat", json=asked, timeout=30) as response:
                next(response.iter_raw())
                httpx.post(f"{server.url}/chat/streams/{response.headers['x-stream-id']}/cancel")
        wait_for(lambda: endless.seen.closures == 5)
        wait_for(lambda: not _tracers())
        server.call(server.services.models._chains._llms.close)
        wait_for(lambda: traces.bodies)


def _tracers() -> int:
    from langchain_core.tracers.langchain import LangChainTracer

    gc.collect()
    return sum(isinstance(kept, LangChainTracer) for kept in gc.get_objects())
