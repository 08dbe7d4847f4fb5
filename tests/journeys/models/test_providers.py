"""Every provider behind LangChain, over its own wire: the same request, the same answer, the same account (F31)."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask
from tests.support.catalogue import KEYS, PROVIDERS, row
from tests.support.provider import Answer, Provider
from tests.support.server import LiveServer, wait_for

every_provider = pytest.mark.parametrize("provider", PROVIDERS)


def body_of(provider: Provider) -> dict[str, Any]:
    (request,) = provider.seen.requests
    body: dict[str, Any] = request["body"]
    return body


@every_provider
def test_words_usage_and_reason_reach_the_client(play: Play, serve_models: ServeModels, provider: str) -> None:
    def script(answer: Answer) -> None:
        for word in ("Hel", "lo ", "wörld\r\n", "\u2028\u2029\u0085", "😀"):
            answer.chunk(word)
        answer.finish("length", usage=(20, 9), cached=5, thought=4)

    model = play(script)
    answer = ask(serve_models(row(provider, model.url)))
    assert answer.text == "Hello wörld\r\n\u2028\u2029\u0085😀"
    name, done = answer.last
    assert (name, done["finish_reason"], done["model"]) == ("done", "length", "m")
    known = {"cached_tokens": 5, "reasoning_tokens": 4} if provider not in ("cohere", "ollama") else {}
    assert done["usage"] == {"input_tokens": 20, "output_tokens": 9, "exact": True, **known}


@every_provider
def test_a_model_that_only_settings_name_is_asked_at_their_address(
    play: Play, serve: Callable[..., LiveServer], provider: str
) -> None:
    model = play(lambda answer: answer.say("from here"))
    keys = json.dumps({**KEYS, "openai": "sk-mine"})
    base_url = row(provider, model.url)["base_url"]
    server = serve(LLM_MODEL=f"{provider}:their-name", LLM_BASE_URL=base_url, PROVIDER_KEYS=keys)
    assert ask(server).text == "from here"
    assert body_of(model)["model"] == "their-name"


WANTED: dict[str, Any] = {"temperature": 0.5, "max_tokens": 77, "top_p": 0.9, "stop": ["END"], "system": "Be brief."}
SENT: dict[str, dict[str, Any]] = {
    "openai": {"temperature": 0.5, "max_completion_tokens": 77, "top_p": 0.9, "stop": ["END"], "seed": 7},
    "openai_compatible": {"temperature": 0.5, "max_tokens": 77, "top_p": 0.9, "stop": ["END"], "seed": 7},
    "anthropic": {"temperature": 0.5, "max_tokens": 77, "top_p": 0.9, "stop_sequences": ["END"]},
    "cohere": {"temperature": 0.5, "max_tokens": 77, "p": 0.9, "stop_sequences": ["END"], "seed": 7},
    "ollama": {"temperature": 0.5, "num_predict": 77, "top_p": 0.9, "stop": ["END"], "seed": 7},
}


@every_provider
def test_every_parameter_arrives_under_the_providers_own_name(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    model = play(lambda answer: answer.say("ok"))
    server = serve_models(row(provider, model.url, model="their-name"))
    wanted = WANTED if provider == "anthropic" else {**WANTED, "seed": 7}
    assert ask(server, "say it", **wanted).text == "ok"
    body = body_of(model)
    sent = body["options"] if provider == "ollama" else body
    assert {name: sent.get(name) for name in SENT[provider]} == SENT[provider]
    assert body["model"] == "their-name"
    said = body["messages"]
    if provider == "anthropic":
        assert body["system"] == "Be brief."
    else:
        assert (said[0]["role"], said[0]["content"]) == ("system", "Be brief.")
    assert "say it" in str(said[-1]["content"])


@every_provider
def test_defaults_are_the_catalogues_then_the_settings(play: Play, serve_models: ServeModels, provider: str) -> None:
    model = play(lambda answer: answer.say("ok"))
    server = serve_models(row(provider, model.url, defaults={"top_p": 0.8}), LLM_TEMPERATURE=1.5, LLM_MAX_TOKENS=33)
    ask(server)
    body = body_of(model)
    sent = body["options"] if provider == "ollama" else body
    names = SENT[provider]
    most = next(name for name in names if name.startswith(("max", "num")))
    assert sent[most] == 33
    assert sent["p" if provider == "cohere" else "top_p"] == 0.8
    assert sent["temperature"] == (1 if provider in ("anthropic", "cohere") else 1.5), "capped at what it takes"


@every_provider
def test_the_key_goes_to_its_provider_and_nothing_else_of_the_environment_does(
    play: Play, serve_models: ServeModels, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = play(lambda answer: answer.say("wrong"))
    for name in (
        "OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_PROXY", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL", "CO_API_URL",
        "OLLAMA_HOST", "LANGSMITH_GATEWAY", "LANGCHAIN_ENDPOINT", "HTTP_PROXY", "http_proxy", "ALL_PROXY",
    ):  # fmt: skip
        monkeypatch.setenv(name, elsewhere.url)
    for name in ("LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("LC_OUTPUT_VERSION", "v1")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_AUTH_TOKEN", "OLLAMA_API_KEY", "COHERE_API_KEY"):
        monkeypatch.setenv(name, "stray-secret")
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "X-Stray: stray-secret")
    model = play(lambda answer: answer.say("right"))
    answer = ask(serve_models(row(provider, model.url)))
    assert answer.text == "right"
    assert answer.last[0] == "done"
    assert elsewhere.seen.connections == 0
    headers = model.seen.requests[0]["headers"]
    assert "stray-secret" not in str(headers)
    key = headers.get("x-api-key") or headers["authorization"].removeprefix("Bearer ")
    assert key == KEYS[provider]


@pytest.mark.parametrize("provider", ["openai_compatible", "anthropic", "cohere", "ollama"])
def test_what_a_model_thinks_never_mixes_with_what_it_says(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    def script(answer: Answer) -> None:
        answer.reasoning("so ")
        answer.reasoning("so")
        answer.chunk("Hel")
        answer.chunk("lo")
        answer.finish()

    model = play(script)
    server = serve_models(row(provider, model.url, capabilities=["reasoning"]))
    answer = ask(server)
    assert (answer.thoughts, answer.text) == ("so so", "Hello")
    names = [name for name, _ in answer.events]
    assert names == ["start", "reasoning", "reasoning", "delta", "delta", "done"]
    path = f"{server.url}/chat/streams/{answer.headers['x-stream-id']}"
    assert httpx.get(path, headers={"accept": "application/json"}).json()["text"] == "Hello"


@every_provider
def test_stopping_closes_the_connection_to_the_model(play: Play, serve_models: ServeModels, provider: str) -> None:
    model = play(lambda answer: answer.endless(every=0.01))
    server = serve_models(row(provider, model.url))
    with httpx.stream("POST", f"{server.url}/chat", json={"message": "x"}, timeout=30) as response:
        next(response.iter_raw())
        state = httpx.post(f"{server.url}/chat/streams/{response.headers['x-stream-id']}/cancel").json()
    assert state["state"] == "cancelled"
    assert state["usage"]["output_tokens"] >= 1
    assert model.seen.client_left.wait(5), "the model still talks to nobody"
    wait_for(lambda: (model.seen.closures, model.seen.finished) == (1, 0))


@pytest.mark.parametrize(
    ("provider", "fields", "pointer"),
    [
        ("anthropic", {"seed": 1}, "#/seed"),
        ("anthropic", {"temperature": 1.5}, "#/temperature"),
        ("cohere", {"top_p": 1.0}, "#/top_p"),
        ("openai", {"max_tokens": 101}, "#/max_tokens"),
        ("openai", {"top_p": 0.5}, "#/top_p"),
        ("openai", {"stop": ["a"] * 5}, "#/stop"),
        ("openai", {"stop": [""]}, "#/stop/0"),
        ("openai", {"temperature": 2.1}, "#/temperature"),
        ("openai", {"seed": -1}, "#/seed"),
        ("openai", {"seed": 2**31}, "#/seed"),
        ("openai", {"temperature": -0.1}, "#/temperature"),
        ("openai", {"temperature": "hot"}, "#/temperature"),
        ("openai", {"max_tokens": 0}, "#/max_tokens"),
        ("openai", {"stop": []}, "#/stop"),
        ("openai", {"stop": ["x" * 101]}, "#/stop/0"),
        ("openai", {"system": ""}, "#/system"),
        ("openai", {"model": ""}, "#/model"),
        ("openai", {"model": "x" * 201}, "#/model"),
        ("ollama", {"top_p": 1.1}, "#/top_p"),
        ("openai", {"base_url": "http://evil.example"}, "#/base_url"),
        ("openai", {"api_key": "sk"}, "#/api_key"),
        ("openai", {"provider": "cohere"}, "#/provider"),
        ("openai", {"system": "x" * 50_000}, "#/system"),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_name(
    play: Play, serve_models: ServeModels, provider: str, fields: dict[str, Any], pointer: str
) -> None:
    model = play(lambda answer: answer.say("never"))
    server = serve_models(
        row(provider, model.url, max_output_tokens=100, unsupported=["top_p"] * (provider == "openai"))
    )
    answer = ask(server, **fields)
    assert answer.status == 422
    assert [error["pointer"] for error in answer.problem["errors"]] == [pointer]
    assert model.seen.requests == []


def test_the_simulated_responder_takes_no_parameters(serve_models: ServeModels) -> None:
    server = serve_models({"id": "simulated", "provider": "simulated"})
    answer = ask(server, temperature=0.5)
    assert (answer.status, answer.code) == (422, "unsupported_parameter")
    assert "temperature" in answer.problem["detail"]


def test_an_unknown_model_is_told_with_those_that_are_nearly_so_called(serve_models: ServeModels) -> None:
    server = serve_models({"id": "gpt-5-mini", "provider": "simulated"}, {"id": "other", "provider": "simulated"})
    answer = ask(server, model="gpt5-mini")
    assert (answer.status, answer.code) == (404, "model_not_found")
    assert "'gpt-5-mini'" in answer.problem["detail"]
    assert "other" not in answer.problem["detail"]
    assert [error["pointer"] for error in answer.problem["errors"]] == ["#/model"]


def test_each_request_names_its_model(play: Play, serve_models: ServeModels) -> None:
    models = {provider: play(lambda answer: answer.say(answer.dialect)) for provider in PROVIDERS}
    server = serve_models(*(row(provider, model.url, id=f"a/{provider}") for provider, model in models.items()))
    for provider in PROVIDERS:
        answer = ask(server, model=f"a/{provider}")
        assert answer.text == {"openai_compatible": "openai"}.get(provider, provider)
        assert answer.events[0][1]["model"] == answer.last[1]["model"] == f"a/{provider}"


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (
            {"input": 1.0, "output": 2.0, "cached": 0.5, "currency": "EUR"},
            {"amount": 15e-6 + 2.5e-6 + 18e-6, "currency": "EUR", "source": "catalogue"},
        ),
        (None, None),
    ],
)
def test_the_catalogues_price_makes_the_cost(
    play: Play, serve_models: ServeModels, price: dict[str, Any] | None, expected: dict[str, Any] | None
) -> None:
    def script(answer: Answer) -> None:
        answer.chunk("x")
        answer.finish(usage=(20, 9), cached=5)

    model = play(script)
    fields: dict[str, Any] = {"price": price} if price else {}
    cost = ask(serve_models(row("openai_compatible", model.url, **fields))).last[1]["cost"]
    assert cost == (expected if expected is None else pytest.approx(expected))
