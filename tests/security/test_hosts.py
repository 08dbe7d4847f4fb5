"""T05, T07, T08, T36: no trick with target, Host or Origin gets anybody further than they would get without."""

import json
import socket
from collections.abc import Callable

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.journeys.streams.test_reading import code_of
from tests.security.conftest import ServeKeys
from tests.support.effort import examples
from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer

Serve = Callable[..., LiveServer]
ORIGIN = "http://localhost:3000"
asking = settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))


def raw(server: LiveServer, head: bytes) -> bytes:
    """All that a server answers to the head of a request, which it is asked to close after."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(head + b"Connection: close\r\n\r\n")
        answer = b""
        while part := client.recv(65536):
            answer += part
    return answer


TARGETS = [
    b"//keys", b"/keys/", b"/%6beys", b"/KEYS", b"/keys%00", b"/./keys", b"/health/../keys", b"/health/%2e%2e/keys",
    b"/docs/assets/../../keys", b"/docs/assets/..%2f..%2fkeys", b"/docs/assets/%2e%2e/%2e%2e/main.py",
    b"/keys?x=/health",
    b"/health%2f..%2fkeys", b"/keys;/health", b"/keys%3f/health", b"/\\keys", b"http://localhost/keys",
    b"http://localhost/health/../keys", b"/keys#/health", b"keys", b"*", b"?", b"localhost:80",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_no_way_of_writing_a_path_gets_round_the_guard(shared_server: LiveServer, target: bytes) -> None:
    for method in (b"GET", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"get", b"BREW"):
        answer = raw(shared_server, b"%s %s HTTP/1.1\r\nHost: localhost\r\n" % (method, target))
        status = int(answer.split(b" ", 2)[1])
        assert 400 <= status < 500 or status in (301, 307), (method, answer[:300])
        assert b'"items"' not in answer


@pytest.mark.parametrize(
    "header", [b"X-Original-URL", b"X-Rewrite-URL", b"X-HTTP-Method-Override", b"X-Forwarded-Host"]
)
def test_no_header_names_another_path(shared_server: LiveServer, header: bytes) -> None:
    answer = raw(shared_server, b"GET /keys HTTP/1.1\r\nHost: localhost\r\n" + header + b": /health\r\n")
    assert b" 401 " in answer


def test_a_target_that_is_no_path_is_refused(serve: Serve) -> None:
    for server in (serve(), serve(ALLOW_UNAUTHENTICATED=True)):
        for target in (b"health", b"*"):
            answer = raw(server, b"OPTIONS %s HTTP/1.1\r\nHost: localhost\r\n" % target)
            assert int(answer.split(b" ", 2)[1]) == 400, answer


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        ("chat.example.org", True), ("CHAT.example.org", True), ("chat.example.org:8001", True), ("[::1]", True),
        ("[::1]:80", True), ("evil.example", False), ("chat.example.org.evil.example", False), ("localhost", False),
        ("chat.example.org@evil.example", False), ("chat.example.org:80:80", False), ("chat.example.org/x", False),
        ("127.0.0.1", False), ("", False), ("chat.example.org evil", False),
    ],
)  # fmt: skip
def test_only_the_listed_hosts_are_served(serve_keys: ServeKeys, host: str, passes: bool) -> None:
    server = serve_keys(ALLOWED_HOSTS="chat.example.org,[::1]")
    answer = raw(server, f"GET /health HTTP/1.1\r\nHost: {host}\r\n".encode())
    assert int(answer.split(b" ", 2)[1]) == (200 if passes else 403), answer
    if not passes:
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "foreign_host"


def test_a_request_names_its_host_once(serve_keys: ServeKeys) -> None:
    listed, any_host = serve_keys(ALLOWED_HOSTS="a.example"), serve_keys()
    twice = b"GET /health HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n"
    none = b"GET /health HTTP/1.0\r\n"
    for server in (listed, any_host):
        assert raw(server, twice).split(b" ", 2)[1] in (b"403", b"400")
        assert b"200" in raw(server, none).split(b"\r\n")[0]
    assert httpx.get(f"{any_host.url}/health", headers={"host": "anything.example"}).status_code == 200


def test_without_authentication_only_this_machines_names_are_served(serve: Serve) -> None:
    server = serve()
    assert code_of(httpx.get(f"{server.url}/health", headers={"host": "rebound.example"})) == (403, "foreign_host")
    opened = serve(ALLOW_UNAUTHENTICATED=True)
    assert httpx.get(f"{opened.url}/health", headers={"host": "rebound.example"}).status_code == 200


FORWARDING = [
    ("forwarded", "for=192.0.2.1"), ("via", "1.1 proxy"), ("x-real-ip", "192.0.2.1"), ("x-forwarded-for", "192.0.2.1"),
    ("x-forwarded-host", "chat.example.org"), ("x-forwarded-proto", "https"), ("X-Forwarded-Anything", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), FORWARDING)
def test_without_authentication_nothing_that_a_proxy_forwards_is_served(
    serve: Serve, serve_keys: ServeKeys, name: str, value: str
) -> None:
    server = serve(FORWARDED_ALLOW_IPS="127.0.0.1")  # which says whom to believe, not whom to serve
    for verb, path in (("GET", "/health"), ("GET", "/sessions"), ("POST", "/chat"), ("GET", "/chat/doctor")):
        refused = httpx.request(verb, f"{server.url}{path}", headers={name: value})
        assert code_of(refused) == (403, "forwarded_request")
        assert "AUTH_MODE" in refused.json()["detail"]
        assert "ALLOW_UNAUTHENTICATED" in refused.json()["detail"]
    refused = httpx.get(f"{server.url}/v1/models", headers={name: value})
    assert refused.json()["error"]["code"] == "forwarded_request"
    for other in (serve(ALLOW_UNAUTHENTICATED=True), serve_keys()):
        assert httpx.get(f"{other.url}/health", headers={name: value}).status_code == 200


@asking
@given(
    st.sampled_from([ORIGIN, ORIGIN.upper(), f"{ORIGIN}.evil.example", f"http://evil.example/{ORIGIN}", "null", "*"])
    | st.from_regex(r"(https?|file)://[a-z.]{1,20}(:[0-9]{1,5})?/?", fullmatch=True)
    | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
    | st.builds(lambda a, b: f"{a}{ORIGIN}{b}", *[st.sampled_from(["", "x", ".", ":1", "/", " x", "%00"])] * 2)
)
def test_only_a_listed_origin_is_let_in(shared_server: LiveServer, origin: str) -> None:
    asked = {"origin": origin.strip(), "access-control-request-method": "POST"}
    for verb in ("OPTIONS", "GET"):
        answer = httpx.request(verb, f"{shared_server.url}/chat", headers=asked)
        let_in = answer.headers.get("access-control-allow-origin")
        assert let_in == (ORIGIN if origin.strip() == ORIGIN else None)
        assert "*" not in answer.headers.get("access-control-allow-headers", "")


@pytest.mark.parametrize("verb", ["GET", "POST", "PATCH", "DELETE"])
def test_a_page_of_a_listed_origin_may_use_the_api(shared_server: LiveServer, shared_ring: KeyRing, verb: str) -> None:
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": verb,
        "access-control-request-headers": "authorization,content-type,idempotency-key,last-event-id",
    }
    allowed = httpx.options(f"{shared_server.url}/keys/x", headers=asked)
    assert allowed.status_code == 200, "a browser asks without a credential"
    assert verb in allowed.headers["access-control-allow-methods"]
    answer = httpx.get(f"{shared_server.url}/keys", headers={"origin": ORIGIN, **bearer(shared_ring.make("ann"))})
    assert "RateLimit-Remaining" in answer.headers["access-control-expose-headers"]
    refused = httpx.get(f"{shared_server.url}/keys", headers={"origin": ORIGIN})
    assert refused.headers["access-control-allow-origin"] == ORIGIN, "the page can read why"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_that_any_page_could_send_is_not_read(
    serve: Serve, shared_server: LiveServer, shared_ring: KeyRing, kind: str
) -> None:
    headers = {"content-type": kind, "origin": ORIGIN}  # a listed one: test_origins.py has the others
    for server, more in ((serve(), {}), (shared_server, bearer(shared_ring.make("ann")))):
        answer = httpx.post(f"{server.url}/chat", content=b'{"message": "x"}', headers={**headers, **more})
        assert code_of(answer) == (415, "unsupported_media_type")
