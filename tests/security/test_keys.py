"""T02, T03, T27: a key gives no more than its maker has, a body sets nothing but what it may, ids are the server's.

Shows T41 as well.
"""

import asyncio
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import fields
from itertools import combinations
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.callers import ApiKey
from domain.streams import StreamInfo
from routers.keys import MadeKeyOut, NewKey
from routers.schemas.chat_request import ChatRequest
from routers.schemas.stream_state import StreamOut
from services.access.secret import read_secret
from tests.journeys.streams.test_reading import code_of
from tests.security.conftest import ServeKeys
from tests.support.effort import examples
from tests.support.forks import run_main
from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer, live_server, make_settings

SCOPES = ["read", "chat", "keys", "admin", "premium"]
LATTICE = [frozenset(some) for size in range(len(SCOPES) + 1) for some in combinations(SCOPES, size)]
asking = settings(max_examples=examples(80), deadline=None, suppress_health_check=list(HealthCheck))


def create(server: LiveServer, key: Any, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/keys", json=body, headers=bearer(key))


@asking
@given(own=st.sampled_from(LATTICE), wanted=st.sampled_from(LATTICE))
def test_a_key_gives_no_more_than_its_maker_has(
    shared_server: LiveServer, shared_ring: KeyRing, own: frozenset[str], wanted: frozenset[str]
) -> None:
    answer = create(shared_server, shared_ring.make(f"owner of {sorted(own)}", own), scopes=sorted(wanted))
    if "keys" in own and wanted <= own:
        assert answer.status_code == 201
        assert answer.json()["scopes"] == sorted(wanted)
    else:
        assert code_of(answer) == (403, "insufficient_scope")


def test_a_key_lasts_no_longer_than_its_maker(shared_server: LiveServer, shared_ring: KeyRing) -> None:
    maker = shared_ring.make("ann", seconds=100)
    for body in ({}, {"expires_in": 10_000}):
        assert create(shared_server, maker, **body).json()["expires"] == pytest.approx(maker.key.expires)
    assert create(shared_server, maker, expires_in=10).json()["expires"] == pytest.approx(time.time() + 10, abs=5)


def test_a_revoked_maker_makes_nothing_though_it_is_still_remembered(
    shared_server: LiveServer, shared_ring: KeyRing
) -> None:
    maker = shared_ring.make("ann")
    assert create(shared_server, maker).status_code == 201
    shared_ring.revoke(maker.key.id)
    assert code_of(create(shared_server, maker)) == (401, "unauthenticated")


STORED = {field.name for field in fields(ApiKey)} | {field.name for field in fields(StreamInfo)}
FIELDS = sorted({*STORED, *MadeKeyOut.model_fields, *StreamOut.model_fields, "owner_id", "user", "unlimited"})


@asking
@given(st.sampled_from(FIELDS) | st.text(min_size=1, max_size=20), st.none() | st.text() | st.integers())
def test_a_body_sets_nothing_but_what_it_may(
    shared_server: LiveServer, shared_ring: KeyRing, field: str, value: Any
) -> None:
    key = shared_ring.make("ann")
    for path, model, body in (("keys", NewKey, {"name": "x"}), ("chat", ChatRequest, {"message": "x"})):
        if field not in model.model_fields:
            answer = httpx.post(f"{shared_server.url}/{path}", json={**body, field: value}, headers=bearer(key))
            assert code_of(answer) == (422, "invalid_request")


def test_ids_are_the_servers(shared_server: LiveServer, shared_ring: KeyRing) -> None:
    key = shared_ring.make("ann")
    chosen = "c" * 32
    for body in ({"message": "x", "stream_id": chosen}, {"message": "x", "id": chosen}):
        assert httpx.post(f"{shared_server.url}/chat", json=body, headers=bearer(key)).status_code == 422
    answer = httpx.post(
        f"{shared_server.url}/chat?stream_id={chosen}",
        json={"message": "x"},
        headers={**bearer(key), "x-stream-id": chosen},
    )
    assert answer.headers["x-stream-id"] != chosen
    again = httpx.post(f"{shared_server.url}/chat", json={"message": "x"}, headers=bearer(key))
    assert again.headers["x-stream-id"] != answer.headers["x-stream-id"]
    assert code_of(create(shared_server, key, id="0" * 16)) == (422, "invalid_request")


def test_a_key_is_shown_once_works_and_is_listed_until_it_is_revoked(serve_keys: ServeKeys, ring: KeyRing) -> None:
    server, first = serve_keys(), ring.make("ann")
    made = create(server, first, name="laptop", scopes=["read"])
    text = made.json().pop("key")
    assert made.headers["cache-control"] == "no-store"
    second = {"authorization": f"Bearer {text}"}
    listed = httpx.get(f"{server.url}/keys", headers=second)
    assert text not in listed.text
    assert listed.json()["next"] is None
    newest = listed.json()["items"][0]
    assert (newest["name"], newest["scopes"], newest["revoked"]) == ("laptop", ["read"], None)
    assert text.startswith(newest["prefix"] + "_")
    gone = httpx.delete(f"{server.url}/keys/{newest['id']}", headers=bearer(first))
    assert (gone.status_code, gone.content) == (204, b"")
    assert httpx.get(f"{server.url}/models", headers=second).status_code == 401, "at once, where it was revoked"
    again = httpx.get(f"{server.url}/keys", headers=bearer(first)).json()["items"]
    assert {item["id"] for item in again if item["revoked"] is not None} == {newest["id"]}


def revoke(server: LiveServer, key: Any, other: Any) -> httpx.Response:
    key_id = other if isinstance(other, str) else other.key.id
    return httpx.delete(f"{server.url}/keys/{key_id}", headers=bearer(key))


def test_what_a_key_has_made_ends_with_it(serve_keys: ServeKeys, ring: KeyRing) -> None:
    """A thief of a key cannot outlive it by making more, and cannot lock its owner out."""
    server, first, stolen = serve_keys(), ring.make("ann"), ring.make("ann", frozenset({"read", "chat", "keys"}))
    headers, made = bearer(stolen), []
    for _ in range(3):
        answer = httpx.post(f"{server.url}/keys", json={"scopes": ["read", "chat", "keys"]}, headers=headers)
        headers = {"authorization": f"Bearer {answer.json()['key']}"}
        made.append((answer.json()["id"], headers))
        assert httpx.get(f"{server.url}/models", headers=headers).status_code == 200
    listed = {item["id"]: item["parent"] for item in httpx.get(f"{server.url}/keys", headers=headers).json()["items"]}
    assert [listed[key_id] for key_id, _ in made] == [stolen.key.id, made[0][0], made[1][0]]
    assert listed[first.key.id] is None
    for elder in (first.key.id, stolen.key.id, made[1][0]):
        assert code_of(httpx.delete(f"{server.url}/keys/{elder}", headers=headers)) == (404, "key_not_found")
    assert revoke(server, first, stolen).status_code == 204
    for gone in (bearer(stolen), *(of_made for _, of_made in made)):
        assert code_of(httpx.get(f"{server.url}/models", headers=gone)) == (401, "unauthenticated"), "at once"
    assert httpx.get(f"{server.url}/models", headers=bearer(first)).status_code == 200


def test_without_admin_a_key_revokes_itself_and_what_it_made(shared_server: LiveServer, shared_ring: KeyRing) -> None:
    own = frozenset({"read", "keys"})
    elder = shared_ring.make("zoe", own)
    key, sibling = (shared_ring.make("zoe", own, parent=elder.key.id) for _ in range(2))
    child = shared_ring.make("zoe", own, parent=key.key.id)
    grandchild = shared_ring.make("zoe", own, parent=child.key.id)
    unknown = revoke(shared_server, key, "0" * 16)
    for other in (elder, sibling, shared_ring.make("zoe", own), shared_ring.make("bob")):
        answer = revoke(shared_server, key, other)
        assert (answer.status_code, answer.content) == (404, unknown.content)
        assert httpx.get(f"{shared_server.url}/models", headers=bearer(other)).status_code == 200
    assert revoke(shared_server, key, grandchild).status_code == 204
    assert revoke(shared_server, key, key).status_code == 204
    assert {
        httpx.get(f"{shared_server.url}/models", headers=bearer(gone)).status_code for gone in (key, child, grandchild)
    } == {401}
    assert revoke(shared_server, shared_ring.make("zoe", own | {"admin"}), sibling).status_code == 204
    assert httpx.get(f"{shared_server.url}/models", headers=bearer(elder)).status_code == 200


def test_an_owner_of_a_key_is_not_the_one_of_mode_none(tmp_path: Any, serve_keys: ServeKeys, ring: KeyRing) -> None:
    refused = run_main("keys", "create", "--owner", " local ", env={"DATA_DIR": str(tmp_path), "LOG_LEVEL": "ERROR"})
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "without authentication" in refused.stderr
    made = ring.make("ann")
    with closing(sqlite3.connect(ring.folder / "streamforge.db")) as database, database:  # as an older version could
        database.execute("UPDATE api_keys SET owner = 'local'")
    assert code_of(httpx.get(f"{serve_keys().url}/models", headers=bearer(made))) == (401, "unauthenticated")


def test_a_path_of_several_routes_tells_the_methods_of_all(shared_server: LiveServer) -> None:
    answer = httpx.put(f"{shared_server.url}/keys")
    assert code_of(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


def test_there_are_only_so_many_keys(serve_keys: ServeKeys, ring: KeyRing) -> None:
    server, first = serve_keys(), ring.make("ann")
    made = [create(server, first) for _ in range(100)]
    assert [answer.status_code for answer in made] == [201] * 99 + [422]
    httpx.delete(f"{server.url}/keys/{made[0].json()['id']}", headers=bearer(first))
    assert create(server, first).status_code == 201


def test_an_expired_key_is_none(serve_keys: ServeKeys, ring: KeyRing) -> None:
    key = ring.make("ann", seconds=-1)
    assert code_of(httpx.get(f"{serve_keys().url}/models", headers=bearer(key))) == (401, "unauthenticated")


@pytest.mark.parametrize("odd", ["%00", "%ed%a0%80", "x" * 5_000, "..", "%2e%2e%2fkeys", "0" * 15, "A" * 16])
def test_an_odd_key_id_is_an_unknown_one(shared_server: LiveServer, shared_ring: KeyRing, odd: str) -> None:
    answer = httpx.delete(f"{shared_server.url}/keys/{odd}", headers=bearer(shared_ring.make("ann")))
    assert answer.status_code in (404, 405)


@pytest.mark.parametrize("mode", ["none", "jwt"])
def test_without_api_keys_there_are_no_such_routes(serve: Any, tmp_path: Any, mode: str) -> None:
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    server = serve(AUTH_MODE=mode, JWT_JWKS=str(tmp_path / "jwks.json"), JWT_ISSUER="x", JWT_AUDIENCE="x")
    for verb, path in (("GET", "/keys"), ("POST", "/keys"), ("DELETE", "/keys/x")):
        assert code_of(httpx.request(verb, f"{server.url}{path}")) == (404, "not_found")
    assert "/keys" not in httpx.get(f"{server.url}/openapi.json").json()["paths"]


def test_the_document_says_which_routes_take_a_credential(shared_server: LiveServer) -> None:
    document = httpx.get(f"{shared_server.url}/openapi.json").json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    guarded = {path for path, verbs in document["paths"].items() for verb in verbs.values() if "security" in verb}
    public = {"/", "/health", "/ready", "/chat/health", "/chat/doctor", "/chat/doctor/{probe}"}
    assert guarded == set(document["paths"]) - public
    for path in guarded:
        for operation in document["paths"][path].values():
            assert {"401", "403", "429"} <= operation["responses"].keys()


def test_keys_are_made_listed_and_revoked_by_commands(tmp_path: Any) -> None:
    folder = tmp_path / "data"

    def keys(*words: str) -> subprocess.CompletedProcess[str]:
        env = {"AUTH_MODE": "api_key", "DATA_DIR": str(folder), "LOG_LEVEL": "ERROR"}
        return run_main("keys", *words, env=env)

    made = keys("create", "--owner", "ann \x1b[2J", "--name", "a\nb", "--scope", "read", "--expires", "90d")
    assert (made.returncode, made.stderr) == (0, "")
    text = made.stdout.strip()
    with live_server(make_settings(AUTH_MODE="api_key", DATA_DIR=folder)) as server:
        mine = {"authorization": f"Bearer {text}"}
        (item,) = httpx.get(f"{server.url}/keys", headers=mine).json()["items"]
        assert item["expires"] == pytest.approx(time.time() + 90 * 86_400, abs=60)
        assert httpx.post(f"{server.url}/chat", json={"message": "x"}, headers=mine).status_code == 403
        listed = keys("list").stdout
        assert listed.count("\n") == 1
        assert "\x1b" not in listed
        assert item["id"] in listed
        assert text not in listed
        ring, owner = KeyRing(folder), "ann \x1b[2J"
        made_with_it = ring.make(owner, parent=ring.make(owner, parent=item["id"]).key.id)
        assert f"with {item['id']}" in keys("list").stdout
        revoked = keys("revoke", item["id"])
        assert (revoked.returncode, revoked.stdout) == (0, f"Revoked {item['id']} and 2 made with it.\n")
        assert httpx.get(f"{server.url}/models", headers=bearer(made_with_it)).status_code == 401
        assert "revoked" in keys("list", "--owner", "ann \x1b[2J").stdout
    assert keys("revoke", item["id"][::-1]).returncode == 1
    for wrong in (
        ["create"], ["create", "--owner", " "], ["create", "--owner", "a", "--scope", "No Scope"],
        ["create", "--owner", "a", "--expires", "soon"], ["create", "--owner", "x" * 201],
    ):  # fmt: skip
        ended = keys(*wrong)
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr


def test_two_processes_that_make_the_secret_at_once_agree(tmp_path: Any) -> None:
    async def together() -> list[bytes]:
        return await asyncio.gather(*(asyncio.to_thread(read_secret, None, tmp_path / "d") for _ in range(8)))

    assert len(set(asyncio.run(together()))) == 1
