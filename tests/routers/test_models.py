"""GET /models: what callers may know of the catalogue."""

from typing import Any

import httpx

from tests.journeys.streams.test_reading import code_of
from tests.support.catalogue import row, write_catalogue
from tests.support.server import live_server, make_settings


def test_the_list_shows_what_a_caller_needs_and_no_more(tmp_path: Any) -> None:
    file = write_catalogue(
        tmp_path,
        row("anthropic", "http://secret-host:1", id="a/b:1", context_window=9, price={"input": 1, "output": 2.5}),
        {"id": "simulated", "provider": "simulated"},
    )
    with live_server(make_settings(MODELS_FILE=file, PROVIDER_KEYS='{"anthropic": "sk-secret"}')) as server:
        listed = httpx.get(f"{server.url}/models")
        one = httpx.get(f"{server.url}/models/a/b:1")
        missing = httpx.get(f"{server.url}/models/a/b:2")
    assert [item["id"] for item in listed.json()["items"]] == ["a/b:1", "simulated"]
    assert listed.json()["next"] is None
    assert one.json() == listed.json()["items"][0]
    assert one.json() == {
        "id": "a/b:1",
        "provider": "anthropic",
        "default": False,
        "context_window": 9,
        "max_output_tokens": None,
        "capabilities": [],
        "parameters": [
            "temperature",
            "max_tokens",
            "top_p",
            "stop",
            "system",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "response_format",
            "reasoning_effort",
        ],
        "price": {"input": 1.0, "output": 2.5, "cached": None, "currency": "USD"},
        "fallbacks": [],
    }
    assert "secret" not in listed.text
    assert code_of(missing) == (404, "model_not_found")
    assert "'a/b:1'" in missing.json()["detail"]
    assert "errors" not in missing.json(), "there is no body to point into"
