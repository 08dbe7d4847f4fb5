"""Real models, chosen per request on one running server: SmolLM2 by three roads, and many answers at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chains.core.local.server import local_models
from tests.conftest import missing
from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import Heard, ask
from tests.support.catalogue import row
from tests.support.llama import KEY, llama
from tests.support.provider import Answer

QUESTION = "What is the capital of France? Answer in one sentence."


def test_smollm2_answers_through_openai_anthropic_and_local(serve_models: ServeModels) -> None:
    if not local_models():
        missing("the local model")
    with llama() as url:
        server = serve_models(
            {"id": "local", "provider": "local", "model": "smollm2", "timeouts": {"first_token": 120}},
            row("openai", url, id="through-openai", model="smollm2", key="llama"),
            row("openai_compatible", url, id="through-compatible", model="smollm2") | {"key": "llama"},
            row("anthropic", url, id="through-anthropic", model="smollm2", key="llama"),
            PROVIDER_KEYS=json.dumps({"llama": KEY}),
            LLM_TEMPERATURE=0,
        )
        for name in ("local", "through-openai", "through-compatible", "through-anthropic"):
            answer = ask(server, QUESTION, model=name, max_tokens=40)
            event, done = answer.last
            assert event == "done", answer.events[-1]
            assert done["model"] == name
            assert done["usage"]["exact"] is (name != "through-anthropic"), "there llama.cpp counts the answer alone"
            assert done["finish_reason"] in ("stop", "length")
            assert 0 < done["usage"]["output_tokens"] <= 40
            assert done["usage"]["input_tokens"] > 5
            assert "Paris" in answer.text, name


def test_fifty_answers_of_three_models_at_once_are_each_whole(play: Play, serve_models: ServeModels) -> None:
    def script(answer: Answer) -> None:
        said: Any = answer.request["messages"][-1]["content"]
        text = said if isinstance(said, str) else said[0]["text"]
        for word in range(20):
            answer.pause(0.01)
            answer.chunk(f"{text}-{word} ")
        answer.finish()

    models = {name: play(script) for name in ("openai", "anthropic", "ollama")}
    server = serve_models(*(row(name, model.url, id=name) for name, model in models.items()))

    def one(number: int) -> tuple[int, Heard]:
        return number, ask(server, f"q{number}", model=list(models)[number % 3])

    with ThreadPoolExecutor(50) as pool:
        for number, answer in pool.map(one, range(50)):
            assert answer.text == "".join(f"q{number}-{word} " for word in range(20))
            assert answer.last[1]["model"] == list(models)[number % 3]


@pytest.mark.parametrize("wire", ["text", "events"])
def test_a_switch_is_invisible_in_the_text(play: Play, serve_models: ServeModels, wire: str) -> None:
    import httpx

    from tests.support.sse import text_of

    broken, whole = play(lambda answer: answer.status(503)), play(lambda answer: answer.say("the ", "answer"))
    server = serve_models(row("openai", broken.url, fallbacks=["b"]), row("cohere", whole.url, id="b"))
    response = httpx.post(f"{server.url}/chat?format={wire}", json={"message": "x"}, timeout=30)
    if wire == "text":
        assert response.content == b"data: the \n\ndata: answer\n\n"
        assert text_of(response.content) == "the answer"
    else:
        assert b"model_switched" in response.content
