"""T30: what is put into an id, a cursor, a key, a filter or an order is a value, in SQL and in Redis, never a command.

Any of them, on any route, is answered without a 5xx and with nobody else's rows; and no request that reads changes any.
"""

import itertools
import json
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from main import create_app
from services.access.api_keys import MadeKey
from tests.security.test_bola_matrix import CASES, MAKERS, Cast, filled
from tests.support.effort import examples
from tests.support.keys import KeyRing, bearer
from tests.support.postgres import Postgres
from tests.support.server import LiveServer, live_server, make_settings
from tests.support.siege import Ask, Connection
from tests.support.valkey import RedisServer

CANARY = "onlythevictimsaysthis"
PARAMETERS = sorted(
    {
        each["name"]
        for item in create_app(make_settings(AUTH_MODE="api_key", AUTH_SECRET="x" * 32)).openapi()["paths"].values()
        for operation in item.values()
        for each in operation.get("parameters", [])
        if each["in"] == "query"
    }
    | {"sort", "order", "order_by", "filter", "owner", "where"}
)
PIECES = (
    "'", '"', "`", "\\", ";", "--", "/*", "*/", "#", "%", "_", "*", "(", ")", "{", "}", "[", "]", "?", "?1", ":owner",
    "$1", "%s", "%(x)s", "@x", "::text", "\0", "\r\n", "\t", " ", "||", "=", "<>", " OR 1=1", "' OR '1'='1",
    "); DROP TABLE", "' UNION SELECT owner FROM sessions--", " sessions;--", "NULL", "NaN", "-1", "1e308", "9" * 30,
    "0x41", " NEAR(a b)", "a AND b NOT c", '"a" OR', "owner:", "col:", "^", "+", "~", "\r\nFLUSHALL\r\n",
    "*1\r\n$8\r\nFLUSHALL\r\n", "KEYS *", "{x}:", "stream:*", "../", "\u2028", "\uff07", "victim", CANARY,
)  # fmt: skip
"""Of SQL, of the languages of searches, of Redis' protocol and of its keys."""
PHRASE = f"{CANARY} and nobody else"
"""In every text of the victim's; requests hold its first word alone."""


@dataclass(frozen=True)
class Store:
    """A server, two owners' keys, the attacker's things, and a way to see all that is stored for the victim."""

    server: LiveServer
    attacker: MadeKey
    victim: MadeKey
    things: dict[str, str]
    seen: Callable[[], Any]


@pytest.fixture(scope="module", params=["files", "servers"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """SQLite and memory, or PostgreSQL and Valkey."""
    folder = tmp_path_factory.mktemp("injected") / "data"
    if request.param == "files":
        yield from stored(KeyRing(folder), {})
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    valkey: RedisServer = request.getfixturevalue("valkey")
    with postgres.database(request.getfixturevalue("migrated")) as url:
        yield from stored(
            KeyRing(folder, url), {"DATABASE_URL": url, "REDIS_URL": valkey.url, "VECTOR_STORE_TYPE": "pgvector"}
        )


def stored(ring: KeyRing, more: dict[str, Any]) -> Iterator[Store]:
    settings = make_settings(AUTH_MODE="api_key", DATA_DIR=ring.folder, STREAM_DELAY=0, SIMULATED_TEXT="Words", **more)
    with live_server(settings) as server:
        attacker, victim = ring.make("attacker"), ring.make("victim")
        chat = httpx.post(f"{server.url}/chat", json={"message": PHRASE, "new_session": True}, headers=bearer(victim))
        body = {"text": PHRASE, "name": PHRASE, "collections": [PHRASE]}
        httpx.post(f"{server.url}/documents/text", json=body, headers=bearer(victim))
        cast = Cast(server, attacker, victim, victim, ring)
        things = {name: make(cast) for name, make in MAKERS.items() if name != "key"}
        things["cursor"] = f"1700000000.5-{things['session']}"
        things["event"] = f"{things['stream']}-1"

        def seen() -> Any:
            reads = ("/sessions", "/documents", "/collections", f"/chat/history/{chat.headers['x-session-id']}")
            with httpx.Client(base_url=server.url, headers={**bearer(victim), "accept": "application/json"}) as client:
                found = [client.get(path).json() for path in (*reads, f"/chat/streams/{chat.headers['x-stream-id']}")]
            found[1] = [document["name"] for document in found[1]["items"]]  # it is being read meanwhile
            assert str(found).count(PHRASE) >= 4
            return found

        yield Store(server, attacker, victim, things, seen)


@st.composite
def injected(draw: st.DrawFn, good: list[str]) -> str:
    """A good value with pieces of a language in it, or these alone."""
    text = draw(st.sampled_from([*good, ""]))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(PIECES)) + text[at:]
    return text[:2_000]


@st.composite
def asks(draw: st.DrawFn, things: dict[str, str]) -> Ask:
    """A good request to any route, with something put into its path, its query, a header or its body."""
    verb, path, row = draw(st.sampled_from(CASES))
    odd = injected(list(things.values()))
    own = things.get(row.makes or "", row.unknown)
    for other, known in row.within.items():
        path = path.replace(other, known)
    place = draw(st.sampled_from(["path", "query", "header", "body"]))
    before, brace, after = path.partition("{")
    name = quoted(draw(odd) if place == "path" else own) if brace else ""
    params = {name: text.format(id=own) for name, text in row.params.items()}
    headers = {name: text.format(id=own) for name, text in row.headers.items()}
    if place == "query":
        params |= draw(st.dictionaries(st.sampled_from(PARAMETERS) | odd, odd, min_size=1, max_size=3))
    if place == "header":
        headers[draw(st.sampled_from(["last-event-id", "idempotency-key", "x-request-id"]))] = draw(odd)
    body = filled(row.body, id=own, message="0" * 32)
    if place == "body":
        body = draw(spoiled(body, odd))
    query = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in params.items())
    content = json.dumps(body).encode() if body is not None else b""
    if body is not None:
        headers["content-type"] = "application/json"
    target = before + name + after.partition("}")[2] + ("?" + query if query else "")
    sent = {name: value.encode().translate(None, b"\r\n\0") for name, value in headers.items()}
    return Ask(verb, target.encode(), content, tuple(sent.items()))


def quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def spoiled(value: Any, odd: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """The value with some of its texts replaced."""
    if isinstance(value, dict):
        return st.fixed_dictionaries({name: spoiled(part, odd) for name, part in value.items()})
    if isinstance(value, list):
        return st.tuples(*(spoiled(part, odd) for part in value)).map(list)
    return st.just(value) | odd if isinstance(value, str) else st.just(value)


class Attack:
    """Sends requests of the attacker, and judges their answers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._before = store.seen()
        self._sent = itertools.count(1)

    def send(self, connection: Connection, ask: Ask) -> None:
        credential = ("authorization", f"Bearer {self._store.attacker.text}".encode())
        answer = connection.exchange(replace(ask, headers=(*ask.headers, credential)).raw(), ask.method)
        assert answer is not None
        assert answer.status < 500, answer.body
        assert PHRASE.encode() not in answer.body
        if next(self._sent) % 20 == 0:
            self.nothing_has_changed()

    def nothing_has_changed(self) -> None:
        assert self._store.seen() == self._before


def test_what_is_put_in_is_a_value(store: Store) -> None:
    attack = Attack(store)

    @settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))
    @given(asks(store.things))
    def one(ask: Ask) -> None:
        attack.send(connection, ask)

    with closing(Connection(store.server.port)) as connection:
        one()
    attack.nothing_has_changed()


@pytest.mark.parametrize("value", [CANARY, "%", "' OR '1'='1", "*"])
def test_whatever_is_looked_for_only_ones_own_is_found(store: Store, value: str) -> None:
    """In each place where something is looked for: of the examples above few are such."""
    attack = Attack(store)
    with closing(Connection(store.server.port)) as connection:
        for verb, path, row in CASES:
            if verb != "GET" and not path.endswith("/search"):
                continue
            before, brace, after = path.partition("{")
            own = store.things.get(row.makes or "", row.unknown)
            if brace:
                attack.send(connection, Ask(verb, (before + quoted(value) + after.partition("}")[2]).encode()))
            target = before + (own if brace else "") + after.partition("}")[2]
            for name in {*row.params, "q", "cursor", "collection", "after"}:
                attack.send(connection, Ask(verb, f"{target}?{name}={quoted(value)}".encode()))
            if row.body is not None:
                content = json.dumps(dict.fromkeys(row.body, value)).encode()
                attack.send(connection, Ask(verb, target.encode(), content, (("content-type", b"application/json"),)))
    attack.nothing_has_changed()
