"""T08, S6: a web page changes nothing here unless its origin is listed, or it is the server's own."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from domain.errors import ERRORS
from main import create_app
from tests.security.conftest import ServeKeys
from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer, live_server, make_settings

LISTED = "http://localhost:3000"
EXTENSION = "chrome-extension://aaaabbbbccccddddeeeeffffgggghhhh"
EVIL = {
    "a page elsewhere": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "a page elsewhere, in an old browser": {"origin": "https://evil.example"},
    "a page of another port": {"origin": "http://localhost:9999", "sec-fetch-site": "same-site"},
    "a page without an origin of its own": {"origin": "null", "sec-fetch-site": "cross-site"},
    "a sandboxed page, in an old browser": {"origin": "null"},
    "no origin, and another site": {"sec-fetch-site": "cross-site"},
    "an origin that begins like a listed one": {"origin": f"{LISTED}.evil.example", "sec-fetch-site": "cross-site"},
    "an origin that ends like a listed one": {"origin": "http://evil-localhost:3000", "sec-fetch-site": "cross-site"},
    "another extension": {"origin": f"{EXTENSION}i", "sec-fetch-site": "cross-site"},
    "a site of no known kind": {"sec-fetch-site": "friendly"},
}
GOOD = {
    "a program": {},
    "a listed page, which to a browser is of another site": {"origin": LISTED, "sec-fetch-site": "cross-site"},
    "a listed page, in an old browser": {"origin": LISTED},
    "a listed extension": {"origin": EXTENSION, "sec-fetch-site": "cross-site"},
    "its own page": {"origin": "http://127.0.0.1:{port}", "sec-fetch-site": "same-origin"},
    "its own page, in an old browser": {"origin": "http://127.0.0.1:{port}"},
    "a person who typed the address": {"sec-fetch-site": "none"},
}
REFUSED = ERRORS["foreign_origin"].message
FORM = {"content-type": "multipart/form-data; boundary=x"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("origins")
    with live_server(make_settings(DATA_DIR=folder, STREAM_DELAY=0, CORS_ORIGINS=f"{LISTED},{EXTENSION}")) as started:
        yield started


def changing() -> list[tuple[str, str]]:
    """Every route that is not for reading."""
    found = set()
    for route in iter_route_contexts(create_app(make_settings(AUTH_MODE="api_key", AUTH_SECRET="x" * 32)).routes):
        for method in (route.methods or set()) - {"GET", "HEAD", "OPTIONS"}:
            found.add((method, str(route.path)))
    return sorted(found)


def asked(server: LiveServer, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    sent = {name: value.format(port=server.port) for name, value in headers.items()}
    return httpx.request(method, server.url + path, headers={**FORM, **sent}, content=b"--x--")


@pytest.mark.parametrize("who", EVIL)
def test_no_route_is_changed_by_another_page(server: LiveServer, who: str) -> None:
    tried = changing()
    assert ("POST", "/documents/upload") in tried
    assert len(tried) > 15
    for method, path in tried:
        answer = asked(server, method, path, EVIL[who])
        assert answer.status_code == 403, (method, path)
        assert "foreign_origin" in answer.text or REFUSED in answer.text, (method, path)  # in the shape of its wire


@pytest.mark.parametrize("who", GOOD)
def test_what_may_change_things_is_not_kept_from_any_route(server: LiveServer, who: str) -> None:
    for method, path in changing():
        answer = asked(server, method, path, GOOD[who]).text
        assert "foreign_origin" not in answer, (method, path)
        assert REFUSED not in answer, (method, path)


@pytest.mark.parametrize("who", EVIL)
def test_any_page_may_read_what_its_browser_lets_it(server: LiveServer, who: str) -> None:
    assert asked(server, "GET", "/models", EVIL[who]).status_code == 200


@pytest.mark.parametrize("who", EVIL)
def test_a_bearer_credential_passes_and_only_with_authentication(
    serve_keys: ServeKeys, ring: KeyRing, server: LiveServer, who: str
) -> None:
    headers = {**EVIL[who], **bearer(ring.make("ann"))}
    authenticated = serve_keys()
    assert "foreign_origin" not in asked(authenticated, "POST", "/documents/upload", headers).text
    assert "foreign_origin" in asked(authenticated, "POST", "/documents/upload", EVIL[who]).text
    assert "foreign_origin" in asked(server, "POST", "/documents/upload", headers).text
