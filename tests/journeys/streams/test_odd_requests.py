"""What no conversation can hold or be called is refused as what it is, on either database: never an internal error.

Shows T30.
"""

from collections.abc import Callable

import httpx
import pytest

from tests.support.server import LiveServer
from tests.support.talk import open_talk

JSON = {"content-type": "application/json"}


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, serve: Callable[..., LiveServer]) -> LiveServer:
    if request.param == "sqlite":
        return serve()
    return serve(DATABASE_URL=request.getfixturevalue("postgres_url"))


def test_what_is_no_id_is_unknown(server: LiveServer) -> None:
    """NUL is what PostgreSQL takes in no text."""
    with httpx.Client(base_url=server.url) as client:
        for name in ("%00", "a%00b", "0" * 31, "0" * 33, "A" * 32, "%ED%A0%80", "x" * 5_000):
            for verb, path, body in (
                ("GET", f"/sessions/{name}", None),
                ("PATCH", f"/sessions/{name}", {"title": "mine"}),
                ("DELETE", f"/sessions/{name}", None),
                ("GET", f"/sessions/{name}/export", None),
                ("PUT", f"/sessions/{name}/branch", {"message_id": "0" * 32}),
                ("GET", f"/chat/history/{name}", None),
                ("DELETE", f"/chat/history/{name}", None),
            ):
                answer = client.request(verb, path, json=body)
                assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found"), (verb, path)


def test_a_cursor_that_is_none_is_refused(server: LiveServer) -> None:
    talk, _ = open_talk(server)
    with httpx.Client(base_url=server.url) as client:
        for path in (f"/chat/history/{talk.id}", f"/chat/history/{talk.id}?all=true", "/sessions", "/search?q=hello"):
            for cursor in ("", "\0", "nonsense", "9" * 200, "-1", "0" * 32 + "\n", "1e400-" + "0" * 32):
                answer = client.get(path, params={**httpx.URL(path).params, "cursor": cursor})
                assert (answer.status_code, answer.json()["code"]) == (400, "malformed_page"), (path, cursor)
        unknown = client.get(f"/chat/history/{talk.id}", params={"cursor": "0" * 32})
        assert unknown.json()["code"] == "malformed_page"


def test_any_words_may_be_looked_for(server: LiveServer) -> None:
    open_talk(server, '100% of "it" \u0000 costs _5_ \\ \u4f60\u597d')
    with httpx.Client(base_url=server.url) as client:
        for words in ("100%", '"it"', "_5_", "\\", "\u4f60", "costs 100%", "\0", "OF cosTS"):
            found = client.get("/search", params={"q": words}).json()["items"]
            assert len(found) == 1, words
        for words in ("%", "_", "NOT it", "it OR nothing", "co*", "%' OR 1=1 --", "\0 \0 nothing", " "):
            answer = client.get("/search", params={"q": words})
            assert answer.status_code == 200, words


@pytest.mark.parametrize(
    "body",
    [
        b'{"message": "\\ud800", "new_session": true}',
        b'{"message": "x", "new_session": true, "stop": ["\\udfff"]}',
        b'{"message": "x", "new_session": true, "system": "\\ud800"}',
        b'{"message": "x", "new_session": true, "client_id": "\\u0000"}',
    ],
)
def test_half_a_surrogate_pair_is_no_text(serve: Callable[..., LiveServer], body: bytes) -> None:
    server = serve()
    for key in ({}, {"idempotency-key": "mine"}):
        refused = httpx.post(f"{server.url}/chat", content=body, headers={**JSON, **key})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert httpx.get(f"{server.url}/sessions").json()["items"] == []
