"""Every route documents the refusals that follow from what it does."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from domain.errors import ERRORS
from main import create_app
from routers.openapi import codes
from tests.support.server import LiveServer, make_settings

Operation = dict[str, Any]

FINDS = {
    "{stream_id}": {"malformed_stream_id", "stream_not_found", "log_unavailable"},
    "{session_id}": {"session_not_found", "storage_full"},
    "{document_id}": {"document_not_found", "storage_full"},
    "{file_id}": {"document_not_found", "storage_full"},
    "{vector_store_id}": {"not_found", "storage_full"},
    "{key_id}": {"key_not_found", "storage_full"},
    "{model_id}": {"model_not_found"},
    "{probe}": {"probe_not_found"},
}
MEDIA = {"/v1/": "application/json", "/api/chat": "text/plain", "/ag-ui": "text/plain"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """What /openapi.json says where every route is there, keys' as well."""
    return create_app(make_settings(AUTH_MODE="api_key", AUTH_SECRET="x" * 32)).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def refused(operation: Operation) -> dict[str, str]:
    """The codes that are documented, each with its status."""
    found: dict[str, str] = {}
    for status, response in operation["responses"].items():
        if status >= "400":
            for media in response["content"].values():
                found |= dict.fromkeys(media.get("examples", {}), status)
    return found


def can_be_wrong(parameter: dict[str, Any]) -> bool:
    """Whether a query could hold something else than the schema takes, that is not refused by a code of its own."""
    named = parameter["in"] == "query" and parameter["name"] not in ("last_event_id", "session_id")
    kinds = [parameter["schema"], *parameter["schema"].get("anyOf", [])]
    return named and any(kind.get("type") in ("integer", "number") or "enum" in kind for kind in kinds)


def follows(path: str, method: str, operation: Operation) -> set[str]:
    """The codes that follow from what the route takes and finds."""
    wanted = set(codes.GUARDED if "security" in operation else codes.PUBLIC)
    if method != "get":
        wanted |= set(codes.MAY_HAVE_A_BODY)
    if "requestBody" in operation:
        wanted |= set(codes.READS_A_BODY)
    if any(map(can_be_wrong, operation.get("parameters", []))):
        wanted.add("invalid_request")
    if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}) and "security" in operation:
        wanted.add("too_many_readers")
    for name in re.findall(r"\{\w+\}", path):
        wanted |= FINDS.get(name, set())
    return wanted


def test_what_a_route_does_says_how_it_may_refuse(document: dict[str, Any]) -> None:
    missing = {
        f"{method} {path}": lacking
        for path, method, operation in operations(document)
        if (lacking := follows(path, method, operation) - refused(operation).keys())
    }
    assert not missing


def test_a_refusal_is_documented_as_its_dialect_words_it(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        media_type = next((media for at, media in MEDIA.items() if path.startswith(at)), "application/problem+json")
        for code, status in refused(operation).items():
            usual = ERRORS[code].status
            assert int(status) == (400 if path.startswith("/v1/") and usual == 422 else usual)
            example = operation["responses"][status]["content"][media_type]["examples"][code]["value"]
            assert ERRORS[code].message in str(example)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert named <= document["components"]["schemas"].keys()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat", "/ag-ui", "/chat"])
def test_the_example_of_a_refusal_is_what_is_sent(
    document: dict[str, Any], serve: Callable[..., LiveServer], path: str
) -> None:
    answer = httpx.post(serve(AUTH_MODE="api_key").url + path, json={})
    response = document["paths"][path]["post"]["responses"]["401"]
    media_type, content = next(iter(response["content"].items()))
    example = content["examples"]["unauthenticated"]["value"]
    assert answer.headers["content-type"].startswith(media_type)
    sent: Any = answer.text if media_type == "text/plain" else answer.json()
    if path.startswith("/v1/"):
        assert sent["error"].pop("param") is None  # FastAPI leaves nulls out of examples
    assert sent == example
