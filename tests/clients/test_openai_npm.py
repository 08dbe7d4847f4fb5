"""OpenAI's own package from npm, in Node.js, against a real server."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings

from tests.clients.node import Node
from tests.clients.test_openai_python import agent
from tests.journeys.conftest import Play, ServeModels
from tests.support.catalogue import row
from tests.support.completions import WEATHER
from tests.support.effort import examples
from tests.support.scripts import COMMIT, asked, gaps, refuse, words_then
from tests.support.server import LiveServer, live_server, make_settings
from tests.wires.samples import TEXTS, TROUBLE

USER = [{"role": "user", "content": "What is the weather in Paris?"}]
TEXT = "This is a simulated streaming response"


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(make_settings(STREAM_DELAY=0)) as started:
        yield started


def ask(node: Node, server: LiveServer, retries: int = 0, **request: Any) -> dict[str, Any]:
    request = {"model": "simulated", "messages": USER, **request}
    return node.ask("openai", url=server.url, retries=retries, request=request)  # type: ignore[no-any-return]


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def test_it_streams_with_usage(node: Node, server: LiveServer) -> None:
    answer = ask(node, server, stream=True, stream_options={"include_usage": True})
    assert "error" not in answer
    *chunks, last = answer["chunks"]
    assert text_of(chunks) == TEXT
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert last["usage"] == {"prompt_tokens": 6, "completion_tokens": 6, "total_tokens": 12}


def test_it_waits_for_the_whole_answer(node: Node, server: LiveServer) -> None:
    answer = ask(node, server)["answer"]
    assert answer["choices"][0]["message"]["content"] == TEXT
    assert answer["usage"]["total_tokens"] == 12


def test_it_lists_models(node: Node, server: LiveServer) -> None:
    assert node.ask("openaiModels", url=server.url)[0] == "simulated"


@pytest.mark.parametrize("stream", [True, False])
def test_it_runs_a_tool_and_sends_its_result_back(
    node: Node, play: Play, serve_models: ServeModels, stream: bool
) -> None:
    server = serve_models(row("openai", play(agent).url))
    told = node.ask("openaiTools", url=server.url, request={"model": "m", "messages": USER, "stream": stream})
    assert told == {"content": "It is sunny in Paris", "called": [{"city": "Paris"}]}


def test_an_answer_by_schema(node: Node, play: Play, serve_models: ServeModels) -> None:
    model = play(lambda answer: answer.say('{"city": ', '"Paris"}'))
    schema = {"name": "place", "schema": WEATHER["function"]["parameters"], "strict": True}
    wanted = {"type": "json_schema", "json_schema": schema}
    answer = ask(node, serve_models(row("openai", model.url)), model="m", response_format=wanted)["answer"]
    assert answer["choices"][0]["message"]["content"] == '{"city": "Paris"}'
    assert model.seen.requests[0]["body"]["response_format"] == wanted


def test_heartbeats_in_any_silence_are_nothing_to_it(node: Node) -> None:
    with live_server(make_settings(STREAM_DELAY=0.1, STREAM_HEARTBEAT=0.01)) as server:
        answer = ask(node, server, stream=True)
    assert "error" not in answer
    assert text_of(answer["chunks"]) == TEXT


@settings(deadline=None, max_examples=examples(10))
@given(text=TEXTS)
@example(text="".join(TROUBLE))
def test_any_text_is_read_exactly(node: Node, text: str) -> None:
    with live_server(make_settings(SIMULATED_TEXT=text, STREAM_DELAY=0)) as server:
        assert text_of(ask(node, server, stream=True)["chunks"]) == text


FAILURES: dict[str, tuple[Any, str, str, int]] = {
    "busy": (refuse(429, retry_after="1"), "RateLimitError", "provider_rate_limited", 2),
    "overloaded": (refuse(503, retry_after="1"), "InternalServerError", "provider_overloaded", 2),
    "refuses the request": (refuse(400), "InternalServerError", "provider_refused", 1),
    "falls silent with the prompt": (lambda answer: answer.stall(20), "InternalServerError", "provider_timeout", 1),
}


@pytest.mark.parametrize("what", FAILURES)
def test_an_early_failure_is_thrown_and_asked_again_only_where_that_costs_nothing(
    node: Node, play: Play, serve_models: ServeModels, what: str
) -> None:
    script, kind, code, times = FAILURES[what]
    model = play(script)
    entry = row("openai", model.url, timeouts={"first_token": 0.3})
    answer = ask(node, serve_models(entry, **COMMIT), retries=1, model="m", stream=True)
    assert (answer["error"]["kind"], answer["error"]["code"]) == (kind, code)
    assert (answer["requests"], asked(model)) == (times, times)
    assert all(gap >= 1 for gap in gaps(model)), "it waits as long as it was told, not half a second"


def test_a_failure_in_mid_stream_is_thrown(node: Node, play: Play, serve_models: ServeModels) -> None:
    model = play(words_then(lambda answer: answer.in_band_error()))
    answer = ask(node, serve_models(row("openai", model.url)), retries=2, model="m", stream=True)
    assert text_of(answer["chunks"]) == "half "
    assert (answer["error"]["kind"], answer["error"]["code"]) == ("APIError", "provider_error")
    assert answer["requests"] == 1


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"n": 2}, "BadRequestError", "n"),
        ({"messages": []}, "BadRequestError", "messages"),
        ({"model": "gpt-9"}, "NotFoundError", "model"),
    ],
)
def test_a_refusal_is_thrown_as_its_class(
    node: Node, server: LiveServer, fields: dict[str, Any], kind: str, param: str
) -> None:
    answer = ask(node, server, retries=2, **fields)
    assert (answer["error"]["kind"], answer["error"]["param"]) == (kind, param)
    assert answer["requests"] == 1
