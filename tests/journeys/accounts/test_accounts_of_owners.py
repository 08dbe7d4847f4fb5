"""What was used, summed by its owner; and of all by who may see that."""

from collections.abc import Callable
from pathlib import Path

import httpx

from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer, wait_for
from tests.support.talk import rows

Serve = Callable[..., LiveServer]


def test_everybody_sees_their_own_and_an_admin_all(serve: Serve, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder)
    ann, bob = (bearer(ring.make(name, frozenset({"read", "chat"}))) for name in ("ann", "bob"))
    admin = bearer(ring.make("root", frozenset({"read", "admin"})))

    def chat(headers: dict[str, str], **fields: object) -> httpx.Response:
        return httpx.post(f"{server.url}/chat", json={"message": "one two three", **fields}, headers=headers)

    def usage(headers: dict[str, str], **params: object) -> httpx.Response:
        return httpx.get(f"{server.url}/usage", params=params, headers=headers)  # type: ignore[arg-type]

    session_id = chat(ann, new_session=True).headers["x-session-id"]
    chat(ann)
    chat(bob)
    wait_for(lambda: rows(ring.folder, "usage") == 3)
    [mine] = usage(ann, by="model").json()["items"]
    assert (mine["model"], mine["streams"], mine["input_tokens"], mine["output_tokens"]) == ("simulated", 2, 6, 12)
    by_session = usage(ann, by="session").json()["items"]
    assert {each.get("session_id") for each in by_session} == {session_id, None}
    assert len(usage(ann).json()["items"]) == 1, "by day, unless asked"
    assert usage(ann, until="2020-01-01").json()["items"] == []
    assert usage(ann, since="yesterday").status_code == 422
    refused = usage(ann, everybody=True)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    everybody = usage(admin, everybody=True, by="owner").json()["items"]
    assert {each["owner"]: each["streams"] for each in everybody} == {"ann": 2, "bob": 1}


def test_what_was_used_outlives_its_session(serve: Serve, tmp_path: Path) -> None:
    server = serve(DATA_DIR=tmp_path)
    answer = httpx.post(f"{server.url}/chat", json={"message": "x", "new_session": True})
    httpx.delete(f"{server.url}/sessions/{answer.headers['x-session-id']}")
    wait_for(lambda: rows(tmp_path, "usage") == 1)
    [row] = httpx.get(f"{server.url}/usage").json()["items"]
    assert row["streams"] == 1
