"""T06: who is unknown gets 401 for a good request and for a bad one, and nothing has happened: no stream, no row in any
table, no request to the model."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.security.test_bola_matrix import MAKERS, MESSAGE, ROWS, Cast, Row, ask, each_case
from tests.support.keys import KeyRing, bearer
from tests.support.provider import Answer, Seen, scripted_model
from tests.support.server import live_server, make_settings, wait_for
from tests.support.tables import contents

BAD_BODY = {"unknown": [{}], "message": 7, "messages": "x", "text": None, "query": {}, "input": {}, "scopes": 1}


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[str, Seen]]:
    def script(answer: Answer) -> None:
        answer.say("A ", "word")

    with scripted_model(script) as started:
        yield started


@pytest.fixture(scope="module")
def cast(model: tuple[str, Seen], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    ring = KeyRing(tmp_path_factory.mktemp("effects") / "data")
    settings = make_settings(AUTH_MODE="api_key", DATA_DIR=ring.folder, LLM_MODEL="scripted", LLM_BASE_URL=model[0])
    with live_server(settings) as server:
        revoked = ring.make("owner")
        ring.revoke(revoked.key.id)
        yield Cast(server, ring.make("owner"), ring.make("other"), revoked, ring)


@pytest.fixture(scope="module")
def things(cast: Cast) -> dict[str, str]:
    """One of each, when nothing is left to do for any of them."""
    first = httpx.post(f"{cast.server.url}/chat", json=MESSAGE, headers=bearer(cast.owner), timeout=60)
    assert first.status_code == 200  # LangChain is loaded by now, which may take seconds
    found = {name: make(cast) for name, make in MAKERS.items()}
    wait_for(lambda: {row["state"] for row in contents(cast.ring.folder)["documents"]} == {"ready"}, seconds=60)
    wait_for(lambda: len(contents(cast.ring.folder)["usage"]) == len(cast.server.log))
    return found


def effects(cast: Cast, seen: Seen) -> dict[str, Any]:
    """All that a request could have done. When a key was last used is told by requests that were let in."""
    rows = contents(cast.ring.folder)
    for key in rows["api_keys"]:
        del key["last_used"]
    return {**rows, "streams": len(cast.server.log), "requests to the model": len(seen.requests)}


def bad(row: Row) -> Row:
    """The same request with a body or a form that nothing takes."""
    if row.files:
        return replace(row, files={"other": b"x"}, form={"purpose": "none"})
    return replace(row, body=BAD_BODY)


@each_case
def test_who_is_unknown_causes_nothing(
    cast: Cast, things: dict[str, str], model: tuple[str, Seen], verb: str, path: str, row: Row
) -> None:
    thing = things[row.makes] if row.makes else row.unknown
    before = effects(cast, model[1])
    for key in (None, cast.revoked):
        for tried in (row, bad(row)):
            answer = ask(cast, verb, path, tried, key=key, thing=thing)
            assert answer.status_code == 401, answer.text
    assert effects(cast, model[1]) == before


def test_a_good_request_of_a_known_caller_is_seen_in_what_is_counted(
    cast: Cast, things: dict[str, str], model: tuple[str, Seen]
) -> None:
    before = effects(cast, model[1])
    for case in (("POST", "/chat"), ("POST", "/sessions"), ("POST", "/documents/text")):
        assert ask(cast, *case, ROWS[case][0], key=cast.owner, thing="").status_code < 300
    after = effects(cast, model[1])
    assert {name for name in after if after[name] != before[name]} >= {
        "streams", "requests to the model", "sessions", "documents", "document_contents",
    }  # fmt: skip
