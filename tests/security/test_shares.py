"""T13, T23, T41: what one owner may have of what all owners use, refused on every wire in its own shape."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.journeys.streams.test_every_wire import WAYS, Way, every_way
from tests.security.conftest import ServeKeys
from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer, process_server, wait_for
from tests.support.talk import rows

Serve = Callable[..., LiveServer]
Headers = dict[str, str]


@pytest.fixture
def ann(ring: KeyRing) -> Headers:
    return bearer(ring.make("ann"))


@pytest.fixture
def bob(ring: KeyRing) -> Headers:
    return bearer(ring.make("bob"))


def quota(answer: httpx.Response, name: str, *, waiting_helps: bool) -> dict[str, Any]:
    """What is used up, from wherever this wire says it."""
    assert answer.status_code == 429, answer.text
    if answer.headers["content-type"].startswith("text/plain"):
        told, sentence = json.loads(answer.headers["x-quota"]), answer.text
    elif "error" in (body := answer.json()):
        told, sentence = body["error"]["quota"], body["error"]["message"]
        assert body["error"]["code"] == "quota_exceeded"
    else:
        told, sentence = body["quota"], body["detail"]
        assert body["code"] == "quota_exceeded"
    assert set(told) == {"name", "limit", "used", "resets"}
    assert told["name"] == name
    assert f"{told['limit']:,}" in sentence
    assert ("retry-after" in answer.headers) == waiting_helps
    assert answer.headers.get("x-should-retry") == (None if waiting_helps else "false")
    return told  # type: ignore[no-any-return]


def limits(server: LiveServer | str, headers: Headers) -> dict[str, dict[str, Any]]:
    url = server if isinstance(server, str) else server.url
    shown = httpx.get(f"{url}/usage", headers=headers).json()["limits"]
    return {each["name"]: each for each in shown}


@contextmanager
def running(server: LiveServer, headers: Headers) -> Iterator[str]:
    """A stream that says its first word only; its id."""
    with httpx.stream("POST", f"{server.url}/chat", json={"message": "Hi"}, headers=headers) as answer:
        yield answer.headers["x-stream-id"]


def refused(server: LiveServer, way: Way, headers: Headers) -> httpx.Response:
    """A refusal; were it an answer, that would not end."""
    with httpx.stream("POST", f"{server.url}{way.path}", json=way.body, headers=headers) as answer:
        assert answer.status_code != 200
        answer.read()
        return answer


def cancel(server: LiveServer, headers: Headers, stream_id: str) -> None:
    assert httpx.post(f"{server.url}/chat/streams/{stream_id}/cancel", headers=headers).status_code == 202


@every_way
def test_an_owner_runs_so_many_streams_and_others_theirs(
    serve_keys: ServeKeys, ann: Headers, bob: Headers, way: Way
) -> None:
    server = serve_keys(OWNER_STREAMS=1, STREAM_DELAY=60, DRAIN_TIMEOUT=0)
    with running(server, ann) as stream_id:
        told = quota(refused(server, way, ann), "streams", waiting_helps=True)
        assert told == {"name": "streams", "limit": 1, "used": 1, "resets": None}
        with httpx.stream("POST", f"{server.url}{way.path}", json=way.body, headers=bob) as other:
            assert other.status_code == 200
        cancel(server, ann, stream_id)
        with httpx.stream("POST", f"{server.url}{way.path}", json=way.body, headers=ann) as again:
            assert again.status_code == 200


@every_way
def test_an_owner_has_so_many_tokens_a_day(serve_keys: ServeKeys, ann: Headers, bob: Headers, way: Way) -> None:
    """What runs counts with the longest answer that it may get; once it has ended, with what it got."""
    server = serve_keys(OWNER_TOKENS="10000/day", STREAM_DELAY=60, DRAIN_TIMEOUT=0)
    with running(server, ann) as stream_id:
        told = quota(refused(server, way, ann), "tokens", waiting_helps=True)
        assert (told["limit"], told["used"]) == (10_000, 1 + 8_192)
        assert told["resets"].endswith("T00:00:00Z")
        assert refused(server, way, ann).headers["retry-after"] == "5", "as soon as the other one has ended"
        with httpx.stream("POST", f"{server.url}{way.path}", json=way.body, headers=bob) as other:
            assert other.status_code == 200
        cancel(server, ann, stream_id)
        assert limits(server, ann)["tokens"]["used"] == 2, "a part of an answer is paid for"
        with httpx.stream("POST", f"{server.url}{way.path}", json=way.body, headers=ann) as again:
            assert again.status_code == 200


def test_what_never_fits_into_a_day_is_not_worth_a_retry(serve_keys: ServeKeys, ann: Headers) -> None:
    server = serve_keys(OWNER_TOKENS="100/day")
    for way in WAYS.values():
        assert quota(way.ask(server, ann), "tokens", waiting_helps=False)["used"] == 0


def test_of_many_at_once_no_more_run_than_there_is_room_for(serve_keys: ServeKeys, ann: Headers) -> None:
    """Three streams, and tokens for two of them; what was refused holds nothing."""
    server = serve_keys(OWNER_STREAMS=3, OWNER_TOKENS=f"{2 * 8_193}/day", STREAM_DELAY=60, DRAIN_TIMEOUT=0)
    start, leave = threading.Barrier(20), threading.Event()
    codes: list[str] = []

    def ask(_: int) -> None:
        start.wait(10)
        with httpx.stream("POST", f"{server.url}/chat", json={"message": "Hi"}, headers=ann, timeout=30) as answer:
            if answer.status_code == 429:
                answer.read()
                codes.append(answer.json()["quota"]["name"])
            else:
                codes.append("runs")
            if len(codes) == 20:
                leave.set()
            leave.wait(20)

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(ask, range(20)))
    assert codes.count("runs") == 2
    assert limits(server, ann)["streams"]["used"] == 2
    server.call(lambda: server.supervisor.end_all("internal_error"))
    assert limits(server, ann)["streams"]["used"] == 0
    assert limits(server, ann)["tokens"]["used"] < 20


@every_way
def test_a_repeat_gets_what_the_first_one_got_whatever_is_used_up(
    serve_keys: ServeKeys, ann: Headers, way: Way
) -> None:
    server = serve_keys(OWNER_STREAMS=1, OWNER_TOKENS="8300/day", OWNER_SESSIONS=1, STREAM_DELAY=60, DRAIN_TIMEOUT=0)
    headers = {**ann, "idempotency-key": "one try"}
    request: dict[str, Any] = {"url": f"{server.url}{way.path}", "json": way.body, "headers": headers}
    with httpx.stream("POST", **request) as first, httpx.stream("POST", **request) as again:
        assert (first.status_code, again.status_code) == (200, 200)
        assert again.headers["x-stream-id"] == first.headers["x-stream-id"]
        assert again.headers["idempotent-replayed"] == "true"
        quota(refused(server, WAYS["events"], ann), "streams", waiting_helps=True)


def test_what_is_refused_for_something_else_holds_nothing(serve_keys: ServeKeys, ann: Headers) -> None:
    server = serve_keys(OWNER_STREAMS=1, OWNER_TOKENS="8300/day", STREAM_DELAY=60, DRAIN_TIMEOUT=0)
    session = {"message": "Hi", "new_session": True}
    with httpx.stream("POST", f"{server.url}/chat", json=session, headers=ann) as answer:
        session_id = answer.headers["x-session-id"]
        cancel(server, ann, answer.headers["x-stream-id"])
    wait_for(lambda: limits(server, ann)["streams"]["used"] == 0)  # its answer is stored first
    for wrong in ({"session_id": "0" * 32}, {"session_id": session_id, "edit": "0" * 32}):
        gone = httpx.post(f"{server.url}/chat", json={"message": "Hi", **wrong}, headers=ann)
        assert gone.status_code == 404
        assert limits(server, ann)["streams"]["used"] == 0
        assert limits(server, ann)["tokens"]["used"] < 10


SESSIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "sessions": ("/sessions", {}),
    "chat": ("/chat", {"message": "Hi", "new_session": True}),
    "ai_sdk": (WAYS["ai_sdk"].path, WAYS["ai_sdk"].body),
    "ag_ui": (WAYS["ag_ui"].path, WAYS["ag_ui"].body),
}


@pytest.mark.parametrize(("path", "body"), SESSIONS.values(), ids=list(SESSIONS))
def test_an_owner_has_so_many_sessions(
    serve_keys: ServeKeys, ann: Headers, bob: Headers, ring: KeyRing, path: str, body: dict[str, Any]
) -> None:
    """A chat of the AI SDK is one, and a thread of AG-UI; a deleted one is none."""
    server = serve_keys(OWNER_SESSIONS=1)

    def post(headers: Headers) -> httpx.Response:
        return httpx.post(f"{server.url}{path}", json=body, headers=headers)

    named = httpx.post(f"{server.url}/sessions", json={"client_id": "tab"}, headers=ann)
    told = quota(post(ann), "sessions", waiting_helps=False)
    assert told == {"name": "sessions", "limit": 1, "used": 1, "resets": None}
    assert rows(ring.folder, "sessions") == 1
    again = httpx.post(f"{server.url}/sessions", json={"client_id": "tab"}, headers=ann)
    assert (again.status_code, again.json()) == (201, named.json()), "it is there already"
    inside = {"message": "Hi", "session_id": named.json()["id"]}
    assert httpx.post(f"{server.url}/chat", json=inside, headers=ann).status_code == 200
    assert post(bob).status_code in (200, 201)
    assert httpx.delete(f"{server.url}/sessions/{named.json()['id']}", headers=ann).status_code == 204
    assert post(ann).status_code in (200, 201)


def test_a_chat_that_is_known_goes_on_though_no_other_may_be_opened(serve_keys: ServeKeys, ann: Headers) -> None:
    server = serve_keys(OWNER_SESSIONS=2)
    for name in ("ai_sdk", "ag_ui"):
        way = WAYS[name]
        assert way.ask(server, ann).status_code == 200
    for name in ("ai_sdk", "ag_ui"):
        way = WAYS[name]
        assert way.ask(server, ann).status_code == 200, "the same request again"
        more = {**way.body, "messages": [*way.body["messages"], {**way.body["messages"][0], "id": "2"}]}
        assert httpx.post(f"{server.url}{way.path}", json=more, headers=ann).status_code == 200
        quota(way.elsewhere().ask(server, ann), "sessions", waiting_helps=False)


def upload(server: LiveServer, headers: Headers, content: bytes) -> httpx.Response:
    return httpx.post(f"{server.url}/documents/upload", files={"file": ("a.txt", content)}, headers=headers)


def text(server: LiveServer, headers: Headers, content: bytes) -> httpx.Response:
    return httpx.post(f"{server.url}/documents/text", json={"text": content.decode(), "name": "a.txt"}, headers=headers)


def file(server: LiveServer, headers: Headers, content: bytes) -> httpx.Response:
    form: dict[str, Any] = {"files": {"file": ("a.txt", content)}, "data": {"purpose": "assistants"}}
    return httpx.post(f"{server.url}/v1/files", **form, headers=headers)


@pytest.mark.parametrize("send", [upload, text, file])
def test_an_owner_has_so_many_documents_and_bytes_of_them(
    serve_keys: ServeKeys, ann: Headers, bob: Headers, send: Callable[[LiveServer, Headers, bytes], httpx.Response]
) -> None:
    server = serve_keys(OWNER_DOCUMENTS=2, OWNER_STORED_BYTES=1_000)
    assert send(server, ann, b"f" * 400).status_code in (200, 202)
    wait_for(lambda: limits(server, ann)["stored_bytes"]["used"] == 800)  # as uploaded, and as text
    told = quota(send(server, ann, b"g" * 201), "stored_bytes", waiting_helps=False)
    assert told == {"name": "stored_bytes", "limit": 1_000, "used": 800, "resets": None}
    assert send(server, ann, b"g" * 50).status_code in (200, 202)
    told = quota(send(server, ann, b"h"), "documents", waiting_helps=False)
    assert told == {"name": "documents", "limit": 2, "used": 2, "resets": None}
    assert send(server, ann, b"f" * 400).status_code in (200, 202), "these bytes are there already"
    assert send(server, bob, b"f" * 400).status_code in (200, 202)
    for document in httpx.get(f"{server.url}/documents", headers=ann).json()["items"]:
        httpx.delete(f"{server.url}/documents/{document['id']}", headers=ann)
    assert {name: limits(server, ann)[name]["used"] for name in ("documents", "stored_bytes")} == {
        "documents": 0,
        "stored_bytes": 0,
    }
    assert send(server, ann, b"h").status_code in (200, 202)


def test_a_document_whose_text_has_no_room_fails_and_says_so(serve_keys: ServeKeys, ann: Headers) -> None:
    """A small file may be long when it is read."""
    server = serve_keys(OWNER_STORED_BYTES=1_000)
    sent = upload(server, ann, b"fish " * 120).json()["items"][0]

    def document() -> dict[str, Any]:
        return httpx.get(f"{server.url}/documents/{sent['id']}", headers=ann).json()  # type: ignore[no-any-return]

    wait_for(lambda: document()["state"] == "failed")
    assert document()["code"] == "quota_exceeded"
    assert "take 600 bytes and may take 1,000" in document()["error"]
    assert limits(server, ann)["stored_bytes"]["used"] == 600


@contextmanager
def searching(server: LiveServer, owner: str, times: int) -> Iterator[None]:
    """So many searches of this owner that do not end."""
    searches = server.services.sessions._searches
    out = asyncio.Event()

    async def search() -> None:
        async with searches.turn(owner):
            await out.wait()

    async def begin() -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(search()) for _ in range(times)]
        await asyncio.sleep(0)
        return tasks

    async def end() -> None:
        out.set()
        await asyncio.gather(*tasks)

    tasks = server.call(begin)
    try:
        yield
    finally:
        server.call(end)


def test_an_owner_searches_so_much_at_once(serve_keys: ServeKeys, ann: Headers, bob: Headers) -> None:
    """In messages, in documents, and through a whole conversation, all of which take the database's few readers."""
    server = serve_keys(OWNER_SEARCHES=1)
    body = {"message": "fish", "new_session": True}
    session_id = httpx.post(f"{server.url}/chat", json=body, headers=ann).headers["x-session-id"]
    document = upload(server, ann, b"Fish swim.").json()["items"][0]["id"]
    wait_for(lambda: httpx.get(f"{server.url}/documents/{document}", headers=ann).json()["state"] == "ready")
    store = httpx.post(f"{server.url}/v1/vector_stores", json={"name": "sea", "file_ids": [document]}, headers=ann)

    def ask(headers: Headers) -> list[httpx.Response]:
        return [
            httpx.get(f"{server.url}/search", params={"q": "fish"}, headers=headers),
            httpx.get(f"{server.url}/sessions/{session_id}/export", headers=headers),
            httpx.post(
                f"{server.url}/v1/vector_stores/{store.json()['id']}/search", json={"query": "fish"}, headers=headers
            ),
        ]

    with searching(server, "ann", 5):
        for refused in ask(ann):
            told = quota(refused, "searches", waiting_helps=True)
            assert told == {"name": "searches", "limit": 5, "used": 5, "resets": None}
        assert limits(server, ann)["searches"]["used"] == 5
        assert [answer.status_code for answer in ask(bob)] == [200, 404, 200]
        assert httpx.get(f"{server.url}/sessions", headers=ann).status_code == 200, "what is no search goes on"
    assert [answer.status_code for answer in ask(ann)] == [200, 200, 200]


def test_an_answer_from_documents_waits_for_its_turn(serve_keys: ServeKeys, ann: Headers) -> None:
    """It has its limit already, that of streams: many at once must not be refused for what they look up."""
    server = serve_keys(OWNER_SEARCHES=1, STREAM_COMMIT_DELAY=0)
    document = upload(server, ann, b"Fish swim in the sea.").json()["items"][0]["id"]
    wait_for(lambda: httpx.get(f"{server.url}/documents/{document}", headers=ann).json()["state"] == "ready")

    def ask(_: int) -> str:
        body = {"message": "Do fish swim in the sea?", "documents": {}}
        return httpx.post(f"{server.url}/chat?format=events", json=body, headers=ann, timeout=30).text

    with ThreadPoolExecutor(8) as threads:
        with searching(server, "ann", 5):
            answers = threads.map(ask, range(8))
            wait_for(lambda: limits(server, ann)["searches"]["used"] == 5 + 2 * 8)  # by words, and by meaning
        assert all("event: source" in answer and "event: done" in answer for answer in answers)


def test_everything_that_is_limited_is_shown(serve_keys: ServeKeys, ann: Headers) -> None:
    server = serve_keys(OWNER_SEARCHES="unlimited", OWNER_DOCUMENTS="")
    shown = limits(server, ann)
    assert {name: each["limit"] for name, each in shown.items()} == {
        "streams": 100,
        "tokens": 20_000_000,
        "stored_bytes": 2 * 1024**3,
        "sessions": 20_000,
    }
    assert [name for name, each in shown.items() if "resets" in each] == ["tokens"]
    httpx.post(f"{server.url}/chat", json={"message": "one two", "new_session": True}, headers=ann)
    shown = limits(server, ann)
    assert (shown["tokens"]["used"], shown["sessions"]["used"], shown["streams"]["used"]) == (8, 1, 0)


def test_whose_machine_it_is_has_no_limits(serve: Serve) -> None:
    server = serve(OWNER_STREAMS=1, OWNER_TOKENS="1/day", OWNER_SESSIONS=1, OWNER_DOCUMENTS=1, OWNER_STORED_BYTES=1)
    with running(server, {}), running(server, {}):
        assert limits(server, {}) == {}
    for content in (b"fish", b"meat"):
        assert upload(server, {}, content).status_code == 202
        assert httpx.post(f"{server.url}/sessions", json={}).status_code == 201


def test_a_server_that_is_killed_leaves_nothing_set_aside(ring: KeyRing, ann: Headers) -> None:
    settings: dict[str, Any] = {
        "AUTH_MODE": "api_key", "DATA_DIR": ring.folder, "OWNER_TOKENS": "8300/day", "OWNER_STREAMS": 1,
        "STREAM_DELAY": 60, "DRAIN_TIMEOUT": 0,
    }  # fmt: skip
    body = {"message": "Hi", "new_session": True}
    for _ in range(2):
        with process_server(**settings) as (process, url):
            with httpx.stream("POST", f"{url}/chat", json=body, headers=ann, timeout=30) as answer:
                assert answer.status_code == 200
                assert limits(url, ann)["tokens"]["used"] > 8_192
                process.popen.kill()
            process.popen.wait(10)
