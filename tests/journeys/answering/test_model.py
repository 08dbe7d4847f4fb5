"""A model's words: from a scripted endpoint, where a fault must be exact, and from a real SmolLM2 (F01)."""

import json
import re
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chains.core.local.server import local_models
from tests.conftest import missing
from tests.journeys.streams.test_reading import code_of
from tests.support.provider import Answer, scripted_model
from tests.support.server import LiveServer, wait_for
from tests.support.sse import parse, text_of

Serve = Callable[..., LiveServer]
LEAK = "sk-canary-from-the-provider"


def ask(server: LiveServer, message: str = "hello", wire: str = "events") -> httpx.Response:
    return httpx.post(f"{server.url}/chat", params={"format": wire}, json={"message": message}, timeout=60)


def last_of(response: httpx.Response) -> tuple[str, dict[str, Any]]:
    last = parse(response.content)[-1]
    return last.event, json.loads(last.data)


PATIENT: dict[str, Any] = {"STREAM_COMMIT_DELAY": 20}
"""For what is told by a status: on first use LangChain is loaded, which takes seconds on a busy machine."""


def serve_model(serve: Serve, url: str, **settings: object) -> LiveServer:
    return serve(**{"LLM_MODEL": "qwen2.5:7b", "LLM_BASE_URL": url, **settings})


def test_the_models_words_usage_and_reason_reach_the_client(serve: Serve) -> None:
    with scripted_model(lambda answer: answer.say("Hel", "", "lo ", "wörld\r\n")) as (url, seen):
        server = serve_model(serve, url, OPENAI_API_KEY="sk-mine", LLM_TEMPERATURE=0.25, LLM_MAX_TOKENS=77)
        response = ask(server, "say it")
    deltas = [json.loads(message.data)["text"] for message in parse(response.content) if message.event == "delta"]
    assert deltas == ["Hel", "lo ", "wörld\r\n"]
    usage = {"input_tokens": 11, "output_tokens": 4, "exact": True}
    assert last_of(response) == ("done", {"finish_reason": "stop", "model": "qwen2.5:7b", "usage": usage, "cost": None})
    (request,) = seen.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["authorization"] == "Bearer sk-mine"
    assert request["body"]["messages"] == [{"content": "say it", "role": "user"}]
    assert (request["body"]["model"], request["body"]["temperature"]) == ("qwen2.5:7b", 0.25)
    assert request["body"]["max_tokens"] == 77, "the field that Ollama and its like know"


def test_words_come_as_the_model_says_them(serve: Serve) -> None:
    said, heard = threading.Event(), threading.Event()

    def script(answer: Answer) -> None:
        answer.begin()
        answer.chunk("first ")
        said.set()
        assert heard.wait(20), "the first word did not reach the client before the second was said"
        answer.chunk("second")
        answer.chunk(finish="stop")

    with scripted_model(script) as (url, _):
        server = serve_model(serve, url)
        with httpx.stream("POST", f"{server.url}/chat", json={"message": "x"}, timeout=30) as response:
            body = b""
            for chunk in response.iter_raw():
                body += chunk
                if b"first " in body:
                    heard.set()
    assert text_of(body) == "first second"


def test_odd_characters_are_mended_once_and_stay_the_same_everywhere(serve: Serve) -> None:
    def script(answer: Answer) -> None:
        answer.begin()
        for escaped in (
            r"\ud83d",
            r"\ude00!",
            r"nul\u0000",
            r"\udc00lone",
            r"x\ud800\n",
            r"\u2028\ufeff",
            r"end\ud83d",
        ):
            answer.raw('{"choices":[{"index":0,"delta":{"content":"%s"}}]}' % escaped)  # noqa: UP031 - JSON has braces
        answer.chunk(finish="stop")

    with scripted_model(script) as (url, _):
        server = serve_model(serve, url)
        response = ask(server)
    deltas = [json.loads(message.data)["text"] for message in parse(response.content) if message.event == "delta"]
    expected = "😀!nul\ufffd\ufffdlonex\ufffd\n\u2028\ufeffend\ufffd"
    assert "".join(deltas) == expected
    state = httpx.get(
        f"{server.url}/chat/streams/{response.headers['x-stream-id']}", headers={"accept": "application/json"}
    )
    assert state.json()["text"] == expected
    text = httpx.get(f"{server.url}/chat/streams/{response.headers['x-stream-id']}?format=text")
    assert text_of(text.content) == expected


@pytest.mark.parametrize("how", ["cancel", "orphan", "disconnect"])
def test_stopping_closes_the_connection_to_the_model(serve: Serve, how: str) -> None:
    def script(answer: Answer) -> None:
        answer.begin()
        answer.chunk("word ")
        answer.until_client_leaves()

    with scripted_model(script) as (url, seen):
        server = serve_model(serve, url, STREAM_ORPHAN_TIMEOUT=0.2)
        body = {"message": "x", "on_disconnect": "cancel" if how == "disconnect" else "detach"}
        with httpx.stream("POST", f"{server.url}/chat", json=body, timeout=30) as response:
            next(response.iter_raw())
            if how == "cancel":
                httpx.post(f"{server.url}/chat/streams/{response.headers['x-stream-id']}/cancel")
                assert seen.client_left.wait(5)
        assert seen.client_left.wait(5), "the model still talks to nobody"


def refuse(status: int) -> Callable[[Answer], None]:
    body = {"error": {"message": f"bad key {LEAK}", "type": "x", "code": "model_not_found" if status == 404 else "x"}}
    return lambda answer: answer.status(status, json.dumps(body))


def half(answer: Answer) -> None:
    answer.begin()
    answer.chunk("half ")


def in_band(answer: Answer) -> None:
    answer.begin()
    answer.chunk("half ")
    answer.raw(json.dumps({"error": {"message": LEAK, "type": "server_error", "code": "overloaded"}}))


def failed_politely(answer: Answer) -> None:
    answer.begin()
    answer.chunk("half ")
    answer.chunk(finish="error")


def listed(answer: Answer) -> None:
    answer.begin()
    answer.raw(json.dumps({"choices": [{"index": 0, "delta": {"content": [LEAK]}}]}))


def garbage(answer: Answer) -> None:
    answer.begin()
    answer.chunk("half ")
    answer.raw('{"choices": [{"' + LEAK)


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (refuse(401), 502, "provider_auth"),
        (refuse(403), 502, "provider_auth"),
        (refuse(404), 502, "provider_model"),
        (refuse(400), 502, "provider_refused"),
        (half, 200, "provider_incomplete"),
        (in_band, 200, "provider_error"),
        (failed_politely, 200, "provider_error"),
        (garbage, 200, "provider_error"),
        (listed, 502, "provider_error"),
    ],
    ids=["401", "403", "404", "400", "no-finish", "in-band", "finish-error", "garbage", "content-list"],
)
def test_what_goes_wrong_at_the_model_is_told_in_our_words_only(
    serve: Serve, capfd: pytest.CaptureFixture[str], script: Callable[[Answer], None], status: int, code: str
) -> None:
    with scripted_model(script) as (url, _):
        response = ask(
            serve_model(serve, url, OPENAI_API_KEY="sk-ours", MODEL_RETRIES=0, **PATIENT), "a private prompt"
        )
    assert response.status_code == status
    if status == 200:
        event, data = last_of(response)
        assert (event, data["code"]) == ("error", code)
        assert data["message"].endswith(".")
        assert [message.event for message in parse(response.content)].count("error") == 1
    else:
        assert code_of(response) == (status, code)
    shown = response.text + capfd.readouterr().err
    for secret in (LEAK, "sk-ours", "a private prompt", url):
        assert secret not in shown


def test_an_endpoint_that_is_not_there_is_told_as_unreachable(serve: Serve, free_port: Callable[[], int]) -> None:
    response = ask(serve_model(serve, f"http://127.0.0.1:{free_port()}/v1", MODEL_RETRIES=0, **PATIENT))
    assert code_of(response) == (502, "provider_unreachable")


def test_a_missing_key_is_refused_before_the_first_byte(serve: Serve) -> None:
    response = ask(serve(LLM_MODEL="gpt-4"))
    assert code_of(response) == (503, "provider_not_configured")
    assert "OPENAI_API_KEY" in response.json()["detail"]


def test_a_local_model_that_does_not_exist_is_refused_before_the_first_byte(serve: Serve) -> None:
    if not local_models():
        missing("the local model")
    assert code_of(ask(serve(LLM_MODEL="local:gpt-9", **PATIENT))) == (502, "provider_model")


def test_smollm2_answers_on_both_wires_and_stops_when_told(serve: Serve) -> None:
    if not local_models():
        missing("the local model")
    server = serve(LLM_MODEL="local:smollm2", LLM_TEMPERATURE=0, LLM_MAX_TOKENS=400)
    response = ask(server, "What is the capital of France? Answer in five words.")
    event, data = last_of(response)
    assert event == "done"
    assert data["usage"]["exact"] is True
    assert data["usage"]["output_tokens"] > 3
    text = "".join(json.loads(m.data)["text"] for m in parse(response.content) if m.event == "delta")
    assert re.search(r"\w+ \w+", text)
    stream_id = response.headers["x-stream-id"]
    again = httpx.get(f"{server.url}/chat/streams/{stream_id}?format=text")
    assert text_of(again.content) == text.replace("\r\n", "\n")

    with httpx.stream("POST", f"{server.url}/chat", json={"message": "Tell a long story."}, timeout=60) as running:
        stream_id = running.headers["x-stream-id"]
        pieces = running.iter_raw()
        body = next(pieces)
        stopped = httpx.post(f"{server.url}/chat/streams/{stream_id}/cancel").json()
        body += b"".join(pieces)
    assert stopped["state"] == "cancelled"
    assert parse(body)[-1].event == "cancelled"


def test_the_local_model_ends_with_a_server_that_is_killed() -> None:
    psutil = pytest.importorskip("psutil")
    if not local_models():
        missing("the local model")
    from tests.support.server import process_server

    with process_server(LLM_MODEL="local:smollm2", LLM_MAX_TOKENS=5) as (process, url):
        httpx.post(f"{url}/chat", json={"message": "hello"}, timeout=60)
        (child,) = psutil.Process(process.popen.pid).children()
        process.popen.kill()
        wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
