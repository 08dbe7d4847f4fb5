"""T04, T06, T24: one way to bring a credential, asked for before anything else, and kept so that nobody can take it.

Shows F20 and T22 as well.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import httpx
import pytest
import pytest_asyncio

from domain.callers import ApiKey, Caller
from domain.errors import ERRORS, StreamForgeError
from services.access import auth_service
from services.access.api_keys import ApiKeys, MadeKey, key_id_of, make_key
from services.access.auth_service import AuthService, Known
from services.access.secret import SecretError, read_secret
from stores.sql.engine.database import Database, open_database
from stores.sql.keys import KeyStore
from tests.journeys.streams.test_reading import code_of
from tests.security.conftest import ServeKeys
from tests.security.test_bola_matrix import Row, each_case
from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer, wait_for

SECRET = b"s" * 32


class CountingStore(KeyStore):
    """The database's keys, and which ids it was asked for."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.asked: list[str] = []

    async def get(self, key_id: str) -> ApiKey | None:
        self.asked.append(key_id)
        return await super().get(key_id)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(f"sqlite:///{tmp_path / 'keys.db'}") as opened:
        yield opened


async def store_of(database: Database, *keys: MadeKey) -> CountingStore:
    """A store that holds these."""
    store = CountingStore(database)
    for each in keys:
        await store.create(each.key)
    return store


def made(owner: str = "ann", expires: float | None = None) -> MadeKey:
    return make_key(SECRET, owner, name="", scopes=frozenset({"read"}), now=0, expires=expires)


def service(store: CountingStore, clock: Clock) -> AuthService:
    return AuthService(ApiKeys(store, SECRET, now=clock), clock=clock, now=clock)


async def outcome(service: AuthService, text: str) -> Caller | str:
    try:
        return await service.identify([f"Bearer {text}".encode()])
    except StreamForgeError as error:
        return error.code


@pytest.mark.parametrize(
    "way",
    ["query", "x-api-key", "cookie", "basic", "token", "no scheme", "proxy", "twice", "two in one", "empty", "body"],
)
def test_a_key_that_comes_any_other_way_is_no_key(shared_server: LiveServer, shared_ring: KeyRing, way: str) -> None:
    text = shared_ring.make("ann").text
    headers: dict[str, list[tuple[str, str]]] = {
        "x-api-key": [("x-api-key", text)],
        "cookie": [("cookie", f"authorization=Bearer {text}; api_key={text}")],
        "basic": [("authorization", f"Basic {text}")],
        "token": [("authorization", f"Token {text}")],
        "no scheme": [("authorization", text)],
        "proxy": [("proxy-authorization", f"Bearer {text}")],
        "twice": [("authorization", f"Bearer {text}"), ("authorization", f"Bearer {text}")],
        "two in one": [("authorization", f"Bearer {text}, Bearer {text}")],
        "empty": [("authorization", "Bearer")],
    }
    params = {"access_token": text, "api_key": text, "key": text, "authorization": f"Bearer {text}"}
    answer = httpx.request(
        "POST" if way == "body" else "GET",
        f"{shared_server.url}/{'chat' if way == 'body' else 'models'}",
        headers=headers.get(way, []),
        params=params if way == "query" else {},
        json={"message": "x", "authorization": f"Bearer {text}"} if way == "body" else None,
    )
    assert code_of(answer) == (401, "unauthenticated")


def test_a_second_credential_beside_a_good_one_changes_nothing(shared_server: LiveServer, shared_ring: KeyRing) -> None:
    ann, bob = shared_ring.make("ann"), shared_ring.make("bob")
    mine = httpx.get(
        f"{shared_server.url}/keys",
        params={"access_token": bob.text},
        headers={**bearer(ann), "x-api-key": bob.text, "cookie": f"key={bob.text}"},
    ).json()["items"]
    assert ann.key.id in {item["id"] for item in mine}
    assert bob.key.id not in {item["id"] for item in mine}
    lower = httpx.get(f"{shared_server.url}/models", headers={"authorization": f"bearer  {ann.text}"})
    assert lower.status_code == 200, "the scheme's case and white space are the client's"


@pytest.mark.parametrize("body", ["valid", "invalid", "no JSON", "another type"])
@each_case
def test_who_is_unknown_hears_only_that_whatever_it_sends(
    shared_server: LiveServer, verb: str, path: str, row: Row, body: str
) -> None:
    content = {
        "valid": b'{"message": "x"}',
        "invalid": b'{"message": 1, "x": 2}',
        "no JSON": b"{",
        "another type": b"x",
    }
    kind = "text/plain" if body == "another type" else "application/json"
    target = path.replace("{stream_id}", "x").replace("{key_id}", "x").replace("{model_id:path}", "x")
    streams = len(shared_server.log)
    answer = httpx.request(
        verb,
        f"{shared_server.url}{target}",
        content=content[body],
        headers={"content-type": kind},
        params={"after": "x"},
    )
    assert answer.status_code == 401
    assert ERRORS["unauthenticated"].message in answer.text, "in whatever shape this path's clients expect"
    assert len(shared_server.log) == streams


def test_who_may_not_hears_that_before_its_body_is_looked_at(shared_server: LiveServer, shared_ring: KeyRing) -> None:
    reader = bearer(shared_ring.make("ann", frozenset({"read"})))
    answer = httpx.post(
        f"{shared_server.url}/chat", content=b"{", headers={**reader, "content-type": "application/json"}
    )
    assert code_of(answer) == (403, "insufficient_scope")


def test_what_is_kept_holds_no_key(serve_keys: ServeKeys, ring: KeyRing) -> None:
    server = serve_keys()
    first = ring.make("ann")
    second = httpx.post(f"{server.url}/keys", json={}, headers=bearer(first)).json()["key"]
    assert httpx.get(f"{server.url}/models", headers={"authorization": f"Bearer {second}"}).status_code == 200
    with sqlite3.connect(ring.folder / "streamforge.db") as connection:
        dump = "\n".join(connection.iterdump())
    kept = b"".join(file.read_bytes() for file in ring.folder.iterdir() if file.name != "secret")
    for text in (first.text, second):
        secret = text.split("_")[2]
        assert secret not in dump
        assert secret.encode() not in kept
        assert bytes.fromhex(secret) not in kept
    assert first.key.digest in kept, "the dump is of the table that keys are in"


def test_the_secret_is_made_once_for_its_owner_alone(ring: KeyRing, serve_keys: ServeKeys) -> None:
    key = ring.make("ann")
    secret = ring.folder / "secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert ring.folder.stat().st_mode & 0o777 == 0o700
    before = secret.read_bytes()
    assert httpx.get(f"{serve_keys().url}/models", headers=bearer(key)).status_code == 200
    assert secret.read_bytes() == before
    other = serve_keys(AUTH_SECRET="x" * 32)
    assert code_of(httpx.get(f"{other.url}/models", headers=bearer(key))) == (401, "unauthenticated")


async def test_a_mistyped_key_asks_no_database(database: Database) -> None:
    key, clock = made(), Clock()
    store = await store_of(database, key)
    text = key.text
    typos = [text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :] for place in range(3, len(text))]
    for typo in [*typos, text[:-1], text + "0", text.upper(), "", "sf_", "x" * 8_000]:
        assert await outcome(service(store, clock), typo) == "unauthenticated", typo
    assert store.asked == []


async def test_an_unknown_id_and_a_wrong_secret_take_the_same_way(database: Database) -> None:
    key, clock = made(), Clock()
    answers = []
    for kept in ([], [replace(key, key=replace(key.key, digest=b"x" * 32))]):
        store = await store_of(database, *kept)
        answers.append((await outcome(service(store, clock), key.text), store.asked))
    assert answers == [("unauthenticated", [key.key.id])] * 2


async def test_a_key_is_looked_up_once_for_a_few_seconds_and_not_beyond_its_end(database: Database) -> None:
    clock = Clock()
    key = made(expires=clock.seconds + 8)
    store = await store_of(database, key)
    asked = service(store, clock)
    for _ in range(3):
        assert await outcome(asked, key.text) == Caller("ann", frozenset({"read"}), key.key.id)
    assert len(store.asked) == 1
    clock.seconds += auth_service.MEMORY_SECONDS
    assert await outcome(asked, key.text) != "unauthenticated"
    assert len(store.asked) == 2
    clock.seconds = 1_008
    assert await outcome(asked, key.text) == "unauthenticated"


async def test_a_remembered_key_opens_nothing_for_another_with_its_id(database: Database) -> None:
    clock, key = Clock(), made()
    asked = service(await store_of(database, key), clock)
    assert await outcome(asked, key.text) != "unauthenticated"
    body = f"{key.key.prefix}_{made().text.split('_')[2]}"
    forged = f"{body}_{crc32(body.encode()):08x}"
    assert key_id_of(forged) == key.key.id
    assert await outcome(asked, forged) == "unauthenticated"


async def test_what_is_remembered_is_bounded() -> None:
    class Anybody:
        async def check(self, text: str) -> Known:
            return Known(Caller(text, frozenset()), None)

    asked = AuthService(Anybody())
    for number in range(auth_service.REMEMBERED + 10):
        await outcome(asked, str(number))
    assert len(asked._known) == auth_service.REMEMBERED


async def test_the_last_use_is_written_once_a_minute_and_never_waited_for(database: Database) -> None:
    clock, key = Clock(), made()
    written: list[float] = []
    gate = asyncio.Event()

    class Slow(CountingStore):
        async def used(self, key_id: str, when: float) -> None:
            await gate.wait()
            written.append(when)
            await super().used(key_id, when)

    store = Slow(database)
    await store.create(key.key)
    keys = ApiKeys(store, SECRET, now=clock)
    for _ in range(5):
        assert await keys.check(key.text) is not None, "though the first note is still being written"
    gate.set()
    await keys.close()
    assert written == [1_000.0]
    clock.seconds += 59
    await keys.check(key.text)
    await keys.close()
    assert len(written) == 1
    clock.seconds += 1
    await keys.check(key.text)
    await keys.close()
    assert written == [1_000.0, 1_060.0]


def test_the_last_use_is_shown(serve_keys: ServeKeys, ring: KeyRing) -> None:
    server, key = serve_keys(), ring.make("ann")

    def used() -> float | None:
        (item,) = httpx.get(f"{server.url}/keys", headers=bearer(key)).json()["items"]
        moment: float | None = item["last_used"]
        return moment

    wait_for(used)
    assert time.time() - (used() or 0) < 60


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    read_secret(None, tmp_path)
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        read_secret(None, tmp_path)
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(SecretError, match="fewer than 32"):
        read_secret(None, tmp_path)
