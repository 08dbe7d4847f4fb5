"""Tools, formats and pictures: offered to every provider in its own words, and called by each in its own way."""

import json
from typing import Any

import httpx
import pytest

from chains.core.local.server import local_models
from tests.conftest import missing
from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask, heard
from tests.support.catalogue import PROVIDERS, row
from tests.support.completions import NOW, WEATHER, complete, post
from tests.support.provider import Answer, Provider

every_provider = pytest.mark.parametrize("provider", PROVIDERS)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}


def body_of(model: Provider) -> dict[str, Any]:
    body: dict[str, Any] = model.seen.requests[-1]["body"]
    return body


def two_calls(answer: Answer) -> None:
    answer.reasoning("so ")
    answer.chunk("Let me ")
    answer.chunk("see. ")
    answer.call("get_weather", '{"ci', 'ty": "Z', 'ürich"}', id="id-1")
    answer.call("now", id="id-2")
    answer.finish("tool_calls", usage=(20, 9))


@every_provider
def test_calls_reach_the_client_in_pieces(play: Play, serve_models: ServeModels, provider: str) -> None:
    model = play(two_calls)
    server = serve_models(row(provider, model.url))
    answer = complete(server, tools=[WEATHER, NOW], stream_options={"include_usage": True})
    assert answer.error is None
    assert answer.text == "Let me see. "
    assert [(call["name"], json.loads(call["arguments"])) for call in answer.calls] == [
        ("get_weather", {"city": "Zürich"}),
        ("now", {}),
    ]
    if provider != "ollama":  # whose package makes ids up
        assert [call["id"] for call in answer.calls] == ["id-1", "id-2"]
    assert answer.finish_reason == "tool_calls"
    assert answer.chunks[-1]["usage"]["total_tokens"] == 29

    whole = post(server, tools=[WEATHER, NOW]).json()["choices"][0]
    assert whole["finish_reason"] == "tool_calls"
    assert whole["message"]["content"] == "Let me see. "
    assert [json.loads(call["function"]["arguments"]) for call in whole["message"]["tool_calls"]] == [
        {"city": "Zürich"},
        {},
    ]


def test_calls_side_by_side_keep_apart_and_read_the_same_on_the_native_wire(
    play: Play, serve_models: ServeModels
) -> None:
    def script(answer: Answer) -> None:
        for number, call in enumerate(["a", "b"]):
            function = {"name": f"f{number}", "arguments": ""}
            answer.delta(tool_calls=[{"index": number, "id": call, "type": "function", "function": function}])
        for piece in ('{"x": ', "1}"):
            answer.delta(tool_calls=[{"index": number, "function": {"arguments": piece}} for number in (0, 1)])
        answer.finish("tool_calls")

    server = serve_models(row("openai", play(script).url))
    answer = complete(server, tools=[WEATHER])
    assert answer.calls == [
        {"id": "a", "name": "f0", "arguments": '{"x": 1}'},
        {"id": "b", "name": "f1", "arguments": '{"x": 1}'},
    ]
    native = heard(httpx.get(f"{server.url}/chat/streams/{answer.headers['x-stream-id']}"))
    pieces = [data for name, data in native.events if name == "tool_call"]
    assert [(piece["id"], piece.get("name"), piece["arguments"]) for piece in pieces] == [
        ("a", "f0", ""),
        ("b", "f1", ""),
        ("a", None, '{"x": '),
        ("b", None, '{"x": '),
        ("a", None, "1}"),
        ("b", None, "1}"),
    ]
    assert native.last[1]["finish_reason"] == "tool_calls"


HISTORY: list[dict[str, Any]] = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": "What is the weather in Paris?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "Sunny, 21 degrees"},
    {"role": "system", "content": "In French."},
]
FUNCTION = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
TOLD: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "id": "c1", "function": FUNCTION}]},
        {"role": "tool", "content": "Sunny, 21 degrees", "tool_call_id": "c1"},
        {"role": "system", "content": "In French."},
    ],
    "anthropic": [
        {"role": "user", "content": "What is the weather in Paris?"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "name": "get_weather", "input": {"city": "Paris"}, "id": "c1"}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "content": "Sunny, 21 degrees", "tool_use_id": "c1", "is_error": False}
            ],
        },
    ],
}


@every_provider
def test_results_of_tools_and_every_role_reach_the_model(play: Play, serve_models: ServeModels, provider: str) -> None:
    model = play(lambda answer: answer.say("Il fait ", "beau."))
    server = serve_models(row(provider, model.url, defaults={"system": "The default."}))
    assert complete(server, messages=HISTORY, tools=[WEATHER]).text == "Il fait beau."
    body = body_of(model)
    told = body["messages"]
    assert "The default." not in json.dumps(body), "the client's own instructions take its place"
    if provider in ("openai", "openai_compatible"):
        assert told == TOLD["openai"]
    elif provider == "anthropic":
        assert body["system"] == "Be brief.\n\nIn French."
        assert told == TOLD["anthropic"]
    else:
        order = ["system", "user", "assistant", "tool", *(["system"] if provider == "ollama" else [])]
        assert [message["role"] for message in told] == order
        arguments = told[2]["tool_calls"][0]["function"]["arguments"]
        assert (json.loads(arguments) if isinstance(arguments, str) else arguments) == {"city": "Paris"}
        assert "Sunny, 21 degrees" in json.dumps(told[3])
        if provider == "cohere":  # Ollama's package sends no ids
            assert told[3]["tool_call_id"] == "c1"


OFFERS: dict[str, Any] = {
    "openai": {"tools": [WEATHER]},
    "openai_compatible": {"tools": [WEATHER]},
    "anthropic": {
        "tools": [
            {
                "name": "get_weather",
                "description": "The weather in a city",
                "input_schema": WEATHER["function"]["parameters"],
            }
        ]
    },
    "cohere": {"tools": [WEATHER]},
    "ollama": {},
}
NAMED = {"type": "function", "function": {"name": "get_weather"}}
CHOICES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("openai", {"tool_choice": "required", "parallel_tool_calls": False},
     {"tool_choice": "required", "parallel_tool_calls": False}),
    ("openai", {"tool_choice": NAMED}, {"tool_choice": NAMED}),
    ("openai_compatible", {"tool_choice": "none"}, {"tool_choice": "none"}),
    ("anthropic", {"tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
    ("anthropic", {"tool_choice": "required", "parallel_tool_calls": False},
     {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}),
    ("anthropic", {"parallel_tool_calls": True}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": False}}),
    ("anthropic", {"tool_choice": NAMED}, {"tool_choice": {"type": "tool", "name": "get_weather"}}),
    ("anthropic", {"tool_choice": "none", "parallel_tool_calls": False}, {"tool_choice": {"type": "none"}}),
    ("cohere", {"tool_choice": "required"}, {"tool_choice": "REQUIRED"}),
    ("cohere", {"tool_choice": "none"}, {"tool_choice": "NONE"}),
    ("cohere", {"tool_choice": "auto"}, {"tool_choice": None}),
    ("ollama", {"tool_choice": "auto"}, {"tool_choice": None}),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "asked", "sent"), CHOICES)
def test_tools_and_the_choice_arrive_in_the_providers_own_words(
    play: Play, serve_models: ServeModels, provider: str, asked: dict[str, Any], sent: dict[str, Any]
) -> None:
    model = play(lambda answer: answer.say("ok"))
    assert complete(serve_models(row(provider, model.url)), tools=[WEATHER], **asked).text == "ok"
    body = body_of(model)
    for name, value in {**OFFERS[provider], **sent}.items():
        assert body.get(name) == value, name
    assert body["tools"]


def test_a_model_of_ollama_that_may_call_nothing_is_told_of_no_tool(play: Play, serve_models: ServeModels) -> None:
    model = play(lambda answer: answer.say("ok"))
    assert complete(serve_models(row("ollama", model.url)), tools=[WEATHER], tool_choice="none").text == "ok"
    assert not body_of(model).get("tools")


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
STRICT = {**SCHEMA, "additionalProperties": False}
BY_SCHEMA = {"type": "json_schema", "json_schema": {"name": "place", "schema": STRICT, "strict": True}}
FORMATS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("openai", BY_SCHEMA, {"response_format": BY_SCHEMA}),
    ("openai", {"type": "json_object"}, {"response_format": {"type": "json_object"}}),
    ("openai_compatible", BY_SCHEMA, {"response_format": BY_SCHEMA}),
    ("anthropic", BY_SCHEMA, {"output_config": {"format": {"type": "json_schema", "schema": STRICT}}}),
    ("cohere", BY_SCHEMA, {"response_format": {"type": "json_object", "json_schema": STRICT}}),
    ("cohere", {"type": "json_object"}, {"response_format": {"type": "json_object"}}),
    ("ollama", BY_SCHEMA, {"format": STRICT}),
    ("ollama", {"type": "json_object"}, {"format": "json"}),
    ("ollama", {"type": "text"}, {"format": None}),
]


@pytest.mark.parametrize(("provider", "wanted", "sent"), FORMATS)
def test_the_wanted_format_arrives_in_the_providers_own_words(
    play: Play, serve_models: ServeModels, provider: str, wanted: dict[str, Any], sent: dict[str, Any]
) -> None:
    def script(answer: Answer) -> None:
        answer.chunk('{"city": ')
        answer.chunk('"Paris"')
        answer.finish("length")  # an SDK that reads the JSON by itself would raise

    model = play(script)
    answer = complete(serve_models(row(provider, model.url)), response_format=wanted)
    assert (answer.text, answer.finish_reason, answer.error) == ('{"city": "Paris"', "length", None)
    assert {name: body_of(model).get(name) for name in sent} == sent


EFFORTS: list[tuple[str, str, dict[str, Any]]] = [
    ("openai", "minimal", {"reasoning_effort": "minimal"}),
    ("openai_compatible", "xhigh", {"reasoning_effort": "xhigh"}),
    ("anthropic", "high", {"output_config": {"effort": "high"}}),
    ("ollama", "low", {"think": "low"}),
    ("ollama", "none", {"think": False}),
]


@pytest.mark.parametrize(("provider", "effort", "sent"), EFFORTS)
def test_the_effort_arrives_in_the_providers_own_words(
    play: Play, serve_models: ServeModels, provider: str, effort: str, sent: dict[str, Any]
) -> None:
    model = play(lambda answer: answer.say("ok"))
    assert complete(serve_models(row(provider, model.url)), reasoning_effort=effort).text == "ok"
    assert {name: body_of(model).get(name) for name in sent} == sent


@every_provider
def test_pictures_stand_where_the_client_has_put_them(play: Play, serve_models: ServeModels, provider: str) -> None:
    model = play(lambda answer: answer.say("a ", "dot"))
    server = serve_models(row(provider, model.url, capabilities=["vision"]))
    content = [
        {"type": "text", "text": "This"},
        IMAGE,
        {"type": "text", "text": "is"},
        {"type": "text", "text": "what?"},
    ]
    assert complete(server, messages=[{"role": "user", "content": content}]).text == "a dot"
    (message,) = body_of(model)["messages"]
    if provider == "ollama":
        assert (message["content"].split(), message["images"]) == (["This", "is", "what?"], [PIXEL])
        return
    before, image, after = message["content"]
    assert (before["text"], after["text"]) == ("This", "is\nwhat?")
    if provider == "anthropic":
        assert image["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL}
    else:
        assert image["image_url"]["url"] == IMAGE["image_url"]["url"]  # type: ignore[index]


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("ollama", {"tools": [WEATHER], "tool_choice": "required"}, {}, "tool_choice"),
    ("ollama", {"tools": [WEATHER], "parallel_tool_calls": True}, {}, "parallel_tool_calls"),
    ("cohere", {"tools": [WEATHER], "tool_choice": NAMED}, {}, "tool_choice"),
    ("cohere", {"reasoning_effort": "low"}, {}, "reasoning_effort"),
    ("anthropic", {"response_format": {"type": "json_object"}}, {}, "response_format"),
    ("anthropic", {"reasoning_effort": "none"}, {}, "reasoning_effort"),
    ("anthropic", {"tools": [WEATHER], "tool_choice": "required"}, {"capabilities": ["reasoning"]}, "tool_choice"),
    ("anthropic", {"seed": 1}, {}, "seed"),
    ("openai", {"tools": [WEATHER]}, {"unsupported": ["tools"]}, "tools"),
    ("openai", {"tools": [WEATHER], "tool_choice": "auto"}, {"unsupported": ["tool_choice"]}, "tool_choice"),
    ("openai", {"max_completion_tokens": 101}, {"max_output_tokens": 100}, "max_completion_tokens"),
    ("openai", {"max_tokens": 101}, {"max_output_tokens": 100}, "max_tokens"),
    ("openai", {"stop": "x", "temperature": 0.1}, {"unsupported": ["stop"]}, "stop"),
    ("openai", {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": [IMAGE]}]}, {},
     "messages[1].content"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "fields", "entry", "param"), REFUSED)
def test_what_the_model_cannot_do_is_refused_by_its_name(
    play: Play,
    serve_models: ServeModels,
    provider: str,
    fields: dict[str, Any],
    entry: dict[str, Any],
    param: str,
) -> None:
    model = play(lambda answer: answer.say("never"))
    answer = complete(serve_models(row(provider, model.url, **entry)), **fields)
    assert answer.status == 400
    assert answer.error is not None
    assert (answer.error["param"], answer.error["type"]) == (param, "invalid_request_error")
    assert answer.headers["x-should-retry"] == "false"
    assert model.seen.requests == []


def test_a_fallback_that_cannot_see_or_call_is_passed_over(play: Play, serve_models: ServeModels) -> None:
    broken, blind = play(lambda answer: answer.status(503)), play(lambda answer: answer.say("never"))
    seeing = play(lambda answer: answer.say("I see"))
    server = serve_models(
        row("openai", broken.url, capabilities=["vision"], fallbacks=["blind", "seeing"]),
        row("openai", blind.url, id="blind"),
        row("ollama", seeing.url, id="seeing", capabilities=["vision"]),
    )
    assert complete(server, messages=[{"role": "user", "content": [IMAGE]}]).text == "I see"
    assert blind.seen.requests == []


def test_the_native_wire_offers_no_tools(serve_models: ServeModels) -> None:
    answer = ask(serve_models({"id": "simulated", "provider": "simulated"}), tools=[WEATHER])
    assert (answer.status, answer.problem["errors"][0]["pointer"]) == (422, "#/tools")


def test_a_call_counts_as_the_first_word(play: Play, serve_models: ServeModels) -> None:
    def script(answer: Answer) -> None:
        answer.call("get_weather", '{"city"')
        answer.in_band_error()

    model = play(script)
    other = play(lambda answer: answer.say("never"))
    server = serve_models(
        row("openai", model.url, fallbacks=["b"]),
        row("openai", other.url, id="b"),
        MODEL_RETRIES=2,
        STREAM_COMMIT_DELAY=5,
    )
    answer = complete(server, tools=[WEATHER])
    assert answer.status == 200, "something was said, so it is no refusal"
    assert answer.error is not None
    assert answer.error["code"] == "provider_error"
    assert len(model.seen.requests) == 1
    assert other.seen.requests == []


def test_calls_are_held_to_the_limit_of_size(play: Play, serve_models: ServeModels) -> None:
    def script(answer: Answer) -> None:
        answer.call("f", *(["x" * 200] * 20))
        answer.finish("tool_calls")

    server = serve_models(row("openai", play(script).url), STREAM_MAX_BYTES=1000)
    answer = complete(server, tools=[WEATHER])
    assert answer.error is not None
    assert answer.error["code"] == "log_limit"
    assert len(answer.calls[0]["arguments"]) <= 1000


LOCAL = {"id": "local", "provider": "local", "model": "smollm2", "timeouts": {"first_token": 120}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"tool_choice": "required"}, "tool_choice"), ({"parallel_tool_calls": False}, "parallel_tool_calls")],
)
def test_what_the_embedded_model_cannot_be_made_to_do_is_refused(
    serve_models: ServeModels, fields: dict[str, Any], param: str
) -> None:
    answer = post(serve_models(LOCAL), tools=[WEATHER], **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_the_embedded_model_is_told_of_the_tools(serve_models: ServeModels) -> None:
    if not local_models():
        missing("the local model")
    server = serve_models(LOCAL, MODEL_RETRIES=2)  # as shipped: its connections are as real as the model
    answers = [post(server, max_tokens=1, tools=tools) for tools in (None, [WEATHER])]
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
    alone, armed = (answer.json()["usage"]["prompt_tokens"] for answer in answers)
    assert armed > alone + 100
