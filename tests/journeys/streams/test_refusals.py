"""What is refused, how it is said, and what every answer carries."""

import json
import re
import socket
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.journeys.streams.test_reading import code_of
from tests.support.server import LiveServer, process_server, running

Serve = Callable[..., LiveServer]
JSON = {"content-type": "application/json"}


@pytest.fixture
def server(serve: Serve) -> LiveServer:
    return serve()


def test_the_seeds_endpoints_answer_the_seeds_json(server: LiveServer) -> None:
    assert httpx.get(server.url).json() == {
        "name": "StreamForge API",
        "version": "0.1.0",
        "status": "running",
        "endpoints": {"chat": "/chat", "health": "/chat/health", "docs": "/docs", "openapi": "/openapi.json"},
    }
    health = {"status": "healthy", "service": "StreamForge API", "version": "0.1.0"}
    assert httpx.get(f"{server.url}/health").json() == health
    chat = {"service": "chat", "status": "healthy", "streaming": "enabled"}
    assert httpx.get(f"{server.url}/chat/health").json() == chat


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/message"),
        ({"message": ""}, "#/message"),
        ({"message": " \n\t"}, "#/message"),
        ({"message": 7}, "#/message"),
        ({"message": "x", "model/~": "gpt"}, "#/model~1~0"),
        ({"message": "x", "on_disconnect": "explode"}, "#/on_disconnect"),
        ({"message": "x", "documents": {"top_k": 0}}, "#/documents/top_k"),
        ({"message": "x", "documents": {"ids": ["explode"]}}, "#/documents/ids/0"),
        ({"message": "x", "documents": True}, "#/documents"),
        ([], "#"),
    ],
)
def test_an_invalid_body_is_named_by_pointer_and_not_repeated(server: LiveServer, body: object, pointer: str) -> None:
    response = httpx.post(f"{server.url}/chat", json=body)
    assert code_of(response) == (422, "invalid_request")
    first, *others = [error["pointer"] for error in response.json()["errors"]]
    assert first == pointer
    assert all(pointer.startswith(other) for other in others), "what else would have been taken there"
    assert "explode" not in response.text


def test_a_body_full_of_unknown_fields_is_refused_as_one_problem(server: LiveServer) -> None:
    body = {"message": "x"} | {f"field{number}": 1 for number in range(50_000)}
    response = httpx.post(f"{server.url}/chat", json=body)
    assert code_of(response) == (422, "invalid_request")
    assert len(response.json()["errors"]) == 1


def test_half_a_surrogate_pair_is_no_message(server: LiveServer) -> None:
    response = httpx.post(f"{server.url}/chat", content=b'{"message": "\\ud800"}', headers=JSON)
    assert code_of(response) == (422, "invalid_request")


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"message": "\xc3"}'])
def test_a_body_that_is_not_json_is_malformed(server: LiveServer, body: bytes) -> None:
    assert code_of(httpx.post(f"{server.url}/chat", content=body, headers=JSON)) == (400, "malformed_request")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
def test_json_under_another_content_type_is_refused(server: LiveServer, kind: str) -> None:
    response = httpx.post(f"{server.url}/chat", content=b'{"message": "x"}', headers={"content-type": kind})
    assert code_of(response) == (415, "unsupported_media_type")


def test_unknown_paths_methods_and_formats_are_problems_too(server: LiveServer) -> None:
    assert code_of(httpx.get(f"{server.url}/nowhere")) == (404, "not_found")
    refused = httpx.delete(f"{server.url}/chat")
    assert code_of(refused) == (405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"
    response = httpx.post(f"{server.url}/chat?format=morse", json={"message": "x"})
    assert code_of(response) == (422, "invalid_request")
    assert response.json()["errors"][0]["parameter"] == "format"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "0.0.0.0", "a b", "[::2]"]
)
def test_a_foreign_host_is_refused(server: LiveServer, host: str) -> None:
    assert code_of(httpx.get(server.url, headers={"host": host})) == (403, "foreign_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8001", "127.0.0.1:1", "127.1.2.3", "[::1]:8001"])
def test_every_name_of_this_machine_is_welcome(server: LiveServer, host: str) -> None:
    assert httpx.get(server.url, headers={"host": host}).status_code == 200


def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks the routing table
        return str(probe.getsockname()[0])


def test_a_request_that_came_over_a_network_is_refused() -> None:
    try:
        address = own_address()
    except OSError:
        pytest.skip("this machine has no address but loopback")
    command = [sys.executable, "-m", "uvicorn", "main:app", "--host", "0.0.0.0", "--port", "0"]
    with running(command) as started:
        port = re.search(r":([0-9]+) ", started.wait_for_event("Uvicorn running")["event"])[1]  # type: ignore[index]
        assert code_of(httpx.get(f"http://{address}:{port}/", headers={"host": "localhost"})) == (403, "foreign_host")
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200


def test_a_given_request_id_comes_back_and_a_dubious_one_is_replaced(server: LiveServer) -> None:
    def id_for(given: str) -> str:
        return str(httpx.get(f"{server.url}/nowhere", headers={"x-request-id": given}).headers["x-request-id"])

    assert id_for("abc-DEF_1.2~3") == "abc-DEF_1.2~3"
    for dubious in ("", "a b", "x" * 65, 'a"b'):
        assert re.fullmatch("[0-9a-f]{16}", id_for(dubious))


def test_pages_of_the_listed_origins_may_read_and_no_others(server: LiveServer) -> None:
    for origin in ("http://localhost:3000", "http://127.0.0.1:5173"):
        ask = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,last-event-id,idempotency-key,authorization",
        }
        preflight = httpx.options(f"{server.url}/chat", headers=ask)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == origin
        answer = httpx.post(f"{server.url}/chat", headers={"origin": origin}, json={"message": "x"})
        assert answer.headers["access-control-allow-origin"] == origin
        assert {"x-stream-id", "x-request-id"} <= set(
            answer.headers["access-control-expose-headers"].lower().split(", ")
        )
    for origin in ("http://localhost:3001", "https://localhost:3000", "http://localhost:3000.evil.example", "null"):
        assert "access-control-allow-origin" not in httpx.get(server.url, headers={"origin": origin}).headers


def test_refusals_can_be_read_by_the_listed_origins(serve: Serve) -> None:
    server = serve(MAX_BODY_BYTES=10)
    answer = httpx.post(f"{server.url}/chat", headers={"origin": "http://localhost:3000"}, json={"message": "too long"})
    assert code_of(answer) == (413, "body_too_large")
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


def test_no_prompt_no_answer_and_no_key_is_in_the_log_but_the_request_id_is() -> None:
    canary: dict[str, Any] = {
        "SIMULATED_TEXT": "canary-answer",
        "OPENAI_API_KEY": "sk-canary-key",
        "LOG_LEVEL": "DEBUG",
    }
    with process_server(**canary) as (process, url):
        headers = {"x-request-id": "canary-request"}
        httpx.post(f"{url}/chat", json={"message": "canary-prompt"}, headers=headers)
        httpx.post(f"{url}/chat", json={"message": "canary-prompt", "x": 1}, headers=headers)
        httpx.get(f"{url}/a%0Ab%1B", headers=headers)
        process.stop()
        lines = [json.loads(line) for line in process.log]
    text = json.dumps(lines)
    assert not re.search("canary-(answer|key|prompt)", text)
    ours = [line for line in lines if line.get("request_id") == "canary-request"]
    assert {line["event"] for line in ours} == {"request", "stream ended"}
    assert [line["path"] for line in ours if line["event"] == "request"][-1] == "/a%0Ab%1B"


def test_a_failure_nobody_foresaw_is_a_problem_that_a_listed_page_can_read(serve: Serve) -> None:
    server = serve()

    @server.app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("a secret")

    answer = httpx.get(f"{server.url}/broken", headers={"origin": "http://localhost:3000", "x-request-id": "mine"})
    assert code_of(answer) == (500, "internal_error")
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "secret" not in answer.text


def test_a_path_tells_all_the_methods_that_it_takes(server: LiveServer) -> None:
    for path, methods in (("/chat", "POST"), ("/models/simulated", "GET"), ("/docs/assets/x", "GET, HEAD")):
        answer = httpx.delete(f"{server.url}{path}")
        assert code_of(answer) == (405, "method_not_allowed")
        assert answer.headers["allow"] == methods
