"""LangChain's ChatOpenAI, and an agent of LangChain's on a real model, against a real server."""

import asyncio
import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import openai
import pytest
from hypothesis import example, given, settings
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from chains.core.local.server import local_models
from tests.clients.test_openai_python import agent
from tests.conftest import missing
from tests.journeys.answering.test_tools import PIXEL
from tests.journeys.conftest import Play, ServeModels
from tests.support.catalogue import row
from tests.support.eager import eager
from tests.support.effort import examples
from tests.support.llama import KEY, llama
from tests.support.scripts import COMMIT, asked, refuse, words_then
from tests.support.server import LiveServer, live_server, make_settings
from tests.wires.samples import TEXTS, TROUBLE

TEXT = "This is a simulated streaming response"


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(make_settings(STREAM_DELAY=0)) as started:
        yield started


def model_of(server: LiveServer, name: str = "simulated", *, retries: int = 0, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=f"{server.url}/v1",
        api_key=SecretStr("unused"),
        model=name,
        max_retries=retries,
        timeout=60,
        stream_usage=True,
        **more,
    )


def joined(chunks: Sequence[Any]) -> tuple[AIMessageChunk, int]:
    """All chunks as one, and how many said or called something."""
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole, sum(bool(chunk.content or chunk.tool_call_chunks) for chunk in chunks)


def test_it_waits_for_the_whole_answer(server: LiveServer) -> None:
    answer = model_of(server).invoke("What is the weather in Paris?")
    assert answer.content == TEXT
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 12


def test_it_streams_with_usage(server: LiveServer) -> None:
    whole, pieces = joined(list(model_of(server).stream("What is the weather in Paris?")))
    assert (whole.content, pieces) == (TEXT, 6)
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.usage_metadata is not None
    assert (whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"]) == (6, 6)


def test_it_works_asynchronously(serve_models: ServeModels) -> None:
    model = model_of(serve_models({"id": "simulated", "provider": "simulated"}))

    async def ask() -> tuple[AIMessageChunk, AIMessage]:
        streamed = [chunk async for chunk in model.astream("hello")]
        return joined(streamed)[0], await model.ainvoke("hello")

    streamed, whole = asyncio.run(ask())
    assert streamed.content == whole.content == TEXT


def test_heartbeats_in_any_silence_are_nothing_to_it() -> None:
    with live_server(make_settings(STREAM_DELAY=0.1, STREAM_HEARTBEAT=0.01)) as server:
        assert joined(list(model_of(server).stream("hello")))[0].content == TEXT


@settings(deadline=None, max_examples=examples(10))
@given(text=TEXTS)
@example(text="".join(TROUBLE))
def test_any_text_is_read_exactly(text: str) -> None:
    with live_server(make_settings(SIMULATED_TEXT=text, STREAM_DELAY=0)) as server:
        assert joined(list(model_of(server).stream("hello")))[0].content == text


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}, 21 degrees."


@pytest.mark.parametrize("stream", [True, False])
def test_a_tool_is_called_and_its_result_sent_back(play: Play, serve_models: ServeModels, stream: bool) -> None:
    server = serve_models(row("openai", play(agent).url))
    model = model_of(server, "m").bind_tools([get_weather])
    messages: list[Any] = [HumanMessage("What is the weather in Paris?")]
    first = joined(list(model.stream(messages)))[0] if stream else model.invoke(messages)
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
    result = get_weather.invoke(dict(call))
    last = model.invoke([*messages, first, result])
    assert last.content == "It is It is sunny in Paris, 21 degrees."


def test_an_answer_by_schema_is_parsed(play: Play, serve_models: ServeModels) -> None:
    class Place(BaseModel):
        """A place."""

        city: str

    model = play(lambda answer: answer.say('{"city": ', '"Paris"}'))
    place = model_of(serve_models(row("openai", model.url)), "m").with_structured_output(Place).invoke("Where?")
    assert place == Place(city="Paris")
    assert model.seen.requests[0]["body"]["response_format"]["json_schema"]["name"] == "Place"


def test_pictures_and_instructions_reach_the_model(play: Play, serve_models: ServeModels) -> None:
    model = play(lambda answer: answer.say("a ", "dot"))
    server = serve_models(row("openai", model.url, capabilities=["vision"]))
    image = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
    asked = [SystemMessage("Be brief."), HumanMessage([{"type": "text", "text": "What is it?"}, image])]
    assert (model_of(server, "m").invoke(asked)).content == "a dot"
    system, user = model.seen.requests[0]["body"]["messages"]
    assert system["content"] == "Be brief."
    head, _, data = user["content"][1]["image_url"]["url"].partition(",")
    assert (head, base64.b64decode(data)) == ("data:image/png;base64", base64.b64decode(PIXEL))


@pytest.mark.parametrize("stream", [True, False])
def test_a_busy_model_is_asked_again_and_then_raised(play: Play, serve_models: ServeModels, stream: bool) -> None:
    model = play(refuse(429, retry_after="1"))
    busy = model_of(serve_models(row("openai", model.url), **COMMIT), "m", retries=1)
    with pytest.raises(openai.RateLimitError) as raised:
        list(busy.stream("hello")) if stream else busy.invoke("hello")
    assert raised.value.code == "provider_rate_limited"
    assert asked(model) == 2


def test_a_failure_in_mid_stream_is_raised(play: Play, serve_models: ServeModels) -> None:
    model = play(words_then(lambda answer: answer.in_band_error()))
    chat = model_of(serve_models(row("openai", model.url)), "m", retries=2)
    heard: list[str] = []
    with pytest.raises(openai.APIError) as raised:
        heard.extend(str(chunk.content) for chunk in chat.stream("hello"))
    assert "half " in heard
    assert raised.value.code == "provider_error"
    assert asked(model) == 1


def test_what_cannot_be_done_is_refused_by_its_name(server: LiveServer) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        model_of(server, temperature=0.5, retries=2).invoke("hello")
    assert raised.value.param == "temperature"


def test_leaving_a_stream_stops_the_model(play: Play, serve_models: ServeModels) -> None:
    model = play(lambda answer: answer.endless(every=0.01))
    stream: Any = model_of(serve_models(row("openai", model.url)), "m").stream("hello")
    with closing(stream) as chunks:
        for chunk in chunks:
            if chunk.content:
                break
    assert model.seen.client_left.wait(10)


def test_an_agent_on_a_real_model_runs_its_tool_and_answers_with_the_result(serve_models: ServeModels) -> None:
    if not local_models():
        missing("the local model")
    with llama() as target, eager(target) as (url, told):
        entry = row("openai_compatible", url, model="smollm2", timeouts={"first_token": 120}) | {"key": "llama"}
        server = serve_models(entry, PROVIDER_KEYS=json.dumps({"llama": KEY}))
        chat: Any = create_agent(model_of(server, "m", temperature=0, max_tokens=80), [get_weather])
        asked = {"messages": [HumanMessage("What is the weather in Paris?")]}
        pieces: list[str] = []
        said: list[Any] = []
        for mode, part in chat.stream(asked, stream_mode=["messages", "values"]):
            if mode == "values":
                said = part["messages"]
            elif isinstance(part[0], AIMessageChunk):
                pieces += [str(piece["args"]) for piece in part[0].tool_call_chunks]
    _, calling, result, answer = said
    assert isinstance(calling, AIMessage)
    assert [(call["name"], call["args"]) for call in calling.tool_calls] == [("get_weather", {"city": "Paris"})]
    assert json.loads("".join(pieces)) == {"city": "Paris"}
    assert len(pieces) > 2, "the call came in pieces"
    assert isinstance(result, ToolMessage)
    assert "21 degrees" in answer.content
    first, second = told
    assert first["tools"][0]["function"]["name"] == "get_weather"
    assert second["messages"][-1] == {
        "role": "tool",
        "tool_call_id": calling.tool_calls[0]["id"],
        "content": "It is sunny in Paris, 21 degrees.",
    }
