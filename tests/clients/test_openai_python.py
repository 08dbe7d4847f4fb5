"""OpenAI's own package from PyPI against a real server: only its base URL is ours."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import example, given, settings
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from tests.journeys.conftest import Play, ServeModels
from tests.support.catalogue import row
from tests.support.completions import WEATHER
from tests.support.effort import examples
from tests.support.keys import KeyRing
from tests.support.provider import Answer
from tests.support.scripts import COMMIT, asked, gaps, refuse, words_then
from tests.support.server import LiveServer, live_server, make_settings
from tests.wires.samples import TEXTS, TROUBLE

USER: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS: list[ChatCompletionToolParam] = [WEATHER]  # type: ignore[list-item]
TEXT = "This is a simulated streaming response"


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(make_settings(STREAM_DELAY=0)) as started:
        yield started


def client_of(server: LiveServer, *, key: str = "unused", retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=retries, timeout=20)


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[openai.OpenAI]:
    with client_of(server) as made:
        yield made


def test_it_streams(client: openai.OpenAI) -> None:
    with client.chat.completions.create(model="simulated", messages=USER, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 7 + ["stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert {chunk.usage for chunk in chunks} == {None}


def test_it_streams_with_usage(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    *chunks, last = client.chat.completions.create(
        model="simulated", messages=USER, stream=True, stream_options=options
    )
    assert {chunk.usage for chunk in chunks} == {None}
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (6, 6, 12)


def test_it_reads_a_stream_with_its_own_events(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="simulated", messages=USER) as stream:
        assert "".join(event.delta for event in stream if event.type == "content.delta") == TEXT
        assert stream.get_final_completion().choices[0].message.content == TEXT


async def test_it_works_asynchronously(server: LiveServer) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        stream = await client.chat.completions.create(model="simulated", messages=USER, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == TEXT


def test_it_waits_for_the_whole_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="simulated", messages=USER)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 12


def test_it_lists_and_finds_models(client: openai.OpenAI) -> None:
    assert next(model.id for model in client.models.list()) == "simulated"
    assert client.models.retrieve("simulated").id == "simulated"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_heartbeats_in_any_silence_are_nothing_to_it() -> None:
    with (
        live_server(make_settings(STREAM_DELAY=0.1, STREAM_HEARTBEAT=0.01)) as server,
        client_of(server) as client,
    ):
        raw = httpx.post(f"{server.url}/v1/chat/completions", json={"messages": USER, "stream": True})
        assert raw.text.count(": hb\n") > 6
        stream = client.chat.completions.create(model="simulated", messages=USER, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == TEXT


@settings(deadline=None, max_examples=examples(10))
@given(text=TEXTS)
@example(text="".join(TROUBLE))
def test_any_text_is_read_exactly(text: str) -> None:
    with live_server(make_settings(SIMULATED_TEXT=text, STREAM_DELAY=0)) as server, client_of(server) as client:
        stream = client.chat.completions.create(model="simulated", messages=USER, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == text
        assert client.chat.completions.create(model="simulated", messages=USER).choices[0].message.content == text


def agent(answer: Answer) -> None:
    """Call the tool; with its result, say what it said."""
    *_, last = answer.request["messages"]
    if last["role"] != "tool":
        answer.call("get_weather", '{"ci', 'ty": "Paris"}', id="call_7")
        answer.finish("tool_calls")
        return
    assert last["tool_call_id"] == "call_7"
    answer.say("It is ", str(last["content"]))


@pytest.mark.parametrize("stream", [True, False])
def test_a_tool_is_called_and_its_result_sent_back(play: Play, serve_models: ServeModels, stream: bool) -> None:
    with client_of(serve_models(row("openai", play(agent).url))) as client:
        messages: list[Any] = [*USER]
        answers: list[str | None] = []
        for _ in range(2):
            if stream:
                with client.chat.completions.stream(model="m", messages=messages, tools=strict(TOOLS)) as events:
                    message: Any = events.get_final_completion().choices[0].message
            else:
                message = client.chat.completions.create(model="m", messages=messages, tools=TOOLS).choices[0].message
            answers.append(message.content)
            if message.tool_calls:
                (call,) = message.tool_calls
                assert json.loads(call.function.arguments) == {"city": "Paris"}
                called = {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
                messages.append({"role": "assistant", "content": None, "tool_calls": [called]})
                messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    assert answers == ["" if stream else None, "It is sunny"]


def strict(tools: list[ChatCompletionToolParam]) -> list[Any]:
    """What the package's own reading of streams insists on."""
    return [{**tool, "function": {**tool["function"], "strict": True}} for tool in tools]


class Place(BaseModel):
    city: str
    country: str


def test_an_answer_by_schema_is_parsed(play: Play, serve_models: ServeModels) -> None:
    def script(answer: Answer) -> None:
        schema = answer.request["response_format"]["json_schema"]
        assert set(schema["schema"]["properties"]) == {"city", "country"}
        assert schema["strict"] is True
        answer.say('{"city": "Paris", ', '"country": "France"}')

    with client_of(serve_models(row("openai", play(script).url))) as client:
        parsed = client.chat.completions.parse(model="m", messages=USER, response_format=Place)
        assert parsed.choices[0].message.parsed == Place(city="Paris", country="France")
        with client.chat.completions.stream(model="m", messages=USER, response_format=Place) as stream:
            assert stream.get_final_completion().choices[0].message.parsed == Place(city="Paris", country="France")


# What the model's server does; the class of exception, the code, and how often the package asks with one retry.
FAILURES: dict[str, tuple[Any, type[openai.APIStatusError], str, int]] = {
    "busy": (refuse(429, retry_after="1"), openai.RateLimitError, "provider_rate_limited", 2),
    "overloaded": (refuse(503, retry_after="1"), openai.InternalServerError, "provider_overloaded", 2),
    "refuses our key": (refuse(401), openai.InternalServerError, "provider_auth", 1),
    "refuses the request": (refuse(400), openai.InternalServerError, "provider_refused", 1),
    "falls silent with the prompt": (
        lambda answer: answer.stall(20),
        openai.InternalServerError,
        "provider_timeout",
        1,
    ),
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("what", FAILURES)
def test_an_early_failure_is_raised_and_asked_again_only_where_that_costs_nothing(
    play: Play, serve_models: ServeModels, what: str, stream: bool
) -> None:
    script, kind, code, times = FAILURES[what]
    model = play(script)
    quick = {"MODEL_RETRY_AFTER_MAX": 0.01, **COMMIT}
    server = serve_models(row("openai", model.url, timeouts={"first_token": 0.3}), **quick)
    with client_of(server, retries=1) as client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model="m", messages=USER, stream=stream)
    assert type(raised.value) is kind
    assert raised.value.code == code
    assert asked(model) == times
    assert all(gap >= 1 for gap in gaps(model)), "it waits as long as it was told, not half a second"


def test_a_failure_in_mid_stream_is_raised(play: Play, serve_models: ServeModels) -> None:
    model = play(words_then(lambda answer: answer.in_band_error()))
    with client_of(serve_models(row("openai", model.url)), retries=2) as client:
        stream = client.chat.completions.create(model="m", messages=USER, stream=True)
        heard: list[str] = []
        with pytest.raises(openai.APIError) as raised:
            heard += [chunk.choices[0].delta.content or "" for chunk in _noting(stream, heard)]
    assert "half " in heard
    assert raised.value.code == "provider_error"
    assert asked(model) == 1


def _noting(stream: Any, heard: list[str]) -> Iterator[Any]:
    for chunk in stream:
        heard.append(chunk.choices[0].delta.content or "")
        yield chunk


def test_a_stream_that_somebody_stops_is_raised_too(server: LiveServer) -> None:
    with live_server(make_settings(STREAM_DELAY=60)) as slow, client_of(slow) as client:
        raw = client.chat.completions.with_streaming_response.create(model="simulated", messages=USER, stream=True)
        with raw as response:
            stop = f"{slow.url}/chat/streams/{response.headers['x-stream-id']}/cancel"
            threading.Thread(target=lambda: httpx.post(stop)).start()
            with pytest.raises(openai.APIError) as raised:
                list(response.parse())
    assert raised.value.code == "stream_cancelled"


REFUSED: list[tuple[dict[str, Any], type[openai.APIStatusError], str | None]] = [
    ({"n": 2}, openai.BadRequestError, "n"),
    ({"temperature": 0.5}, openai.BadRequestError, "temperature"),
    ({"messages": []}, openai.BadRequestError, "messages"),
    ({"model": "gpt-9"}, openai.NotFoundError, "model"),
]


@pytest.mark.parametrize(("fields", "kind", "param"), REFUSED)
def test_a_refusal_is_raised_as_its_class(
    server: LiveServer, fields: dict[str, Any], kind: type[openai.APIStatusError], param: str | None
) -> None:
    with client_of(server, retries=2) as client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(**{"model": "simulated", "messages": USER, **fields})
    assert type(raised.value) is kind
    assert raised.value.param == param


def test_the_api_key_is_the_owners(serve: Any, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder, RATE_LIMIT="3/day")
    with client_of(server, key="sk-wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()
    reader = ring.make("ann", frozenset({"read"})).text
    with client_of(server, key=reader) as client:
        assert client.models.list().data
        with pytest.raises(openai.PermissionDeniedError):
            client.chat.completions.create(model="simulated", messages=USER)
    with client_of(server, key=ring.make("ann").text) as client:
        raw = client.chat.completions.with_raw_response.create(model="simulated", messages=USER)
        assert raw.headers["ratelimit-remaining"] == "0"
        with pytest.raises(openai.RateLimitError):
            client.models.list()
    mine = httpx.get(f"{server.url}/chat/streams/{raw.headers['x-stream-id']}", headers={"authorization": "Bearer no"})
    assert mine.status_code == 401


def test_leaving_a_stream_stops_the_model(play: Play, serve_models: ServeModels) -> None:
    model = play(lambda answer: answer.endless(every=0.01))
    with client_of(serve_models(row("openai", model.url))) as client:
        with client.chat.completions.create(model="m", messages=USER, stream=True) as stream:
            assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "word "]
        assert model.seen.client_left.wait(10)
