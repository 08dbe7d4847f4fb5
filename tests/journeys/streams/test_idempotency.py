"""The same request with the same key starts one stream, and is answered alike however often it comes.

Shows F23, T28 and T33.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.catalogue import row
from tests.support.keys import KeyRing, bearer
from tests.support.provider import Answer
from tests.support.scripts import COMMIT, asked, first, ok
from tests.support.server import LiveServer, wait_for

KEY = {"Idempotency-Key": "one try"}


def slowly(answer: Answer) -> None:
    """A proper answer that takes a while."""
    answer.chunk("fine ")
    answer.pause(0.3)
    answer.say("answer")


def post(server: LiveServer, message: str = "hello", **fields: object) -> httpx.Response:
    params = {"format": str(fields.pop("format", "events"))}
    headers: dict[str, str] = {**KEY, **fields.pop("headers", {})}  # type: ignore[dict-item]
    body = {"message": message, **fields}
    return httpx.post(f"{server.url}/chat", json=body, headers=headers, params=params, timeout=30)


def test_twenty_at_once_start_one_stream_and_ask_the_model_once(play: Play, serve_models: ServeModels) -> None:
    model = play(slowly)
    server = serve_models(row("openai_compatible", model.url), **COMMIT)
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(post(server))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert asked(model) == 1
    assert len({answer.headers["x-stream-id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert {answer.text.count("event: delta") for answer in answers} == {2}
    again = post(server, format="text")
    assert (again.headers["idempotent-replayed"], again.text) == ("true", "data: fine \n\ndata: answer\n\n")


def test_another_request_with_the_key_is_refused_and_another_owner_has_keys_of_its_own(
    play: Play, serve_models: ServeModels, tmp_path: Path
) -> None:
    ring = KeyRing(tmp_path)
    model = play(ok)
    server = serve_models(row("openai_compatible", model.url), AUTH_MODE="api_key", DATA_DIR=ring.folder)
    ann, bob = bearer(ring.make("ann")), bearer(ring.make("bob"))
    one = post(server, headers=ann)
    for other in (post(server, "other", headers=ann), post(server, headers=ann, temperature=0.1)):
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert post(server, headers=bob).headers["x-stream-id"] != one.headers["x-stream-id"]
    assert asked(model) == 2


def test_a_retry_gets_the_early_failure_while_it_is_under_way_and_a_fresh_start_after_it(
    play: Play, serve_models: ServeModels
) -> None:
    def refuse_later(answer: Answer) -> None:
        answer.pause(0.3)
        answer.status(503)

    model = play(first(1, refuse_later, ok))
    server = serve_models(row("openai_compatible", model.url), **COMMIT)
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(post(server))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert {answer.status_code for answer in answers} == {503}
    assert asked(model) == 1
    fresh = post(server)
    assert fresh.status_code == 200
    assert "idempotent-replayed" not in fresh.headers


def test_in_a_session_a_retry_adds_nothing(play: Play, serve_models: ServeModels) -> None:
    model = play(ok)
    server = serve_models(row("openai_compatible", model.url), SUMMARY_MODEL="simulated")
    answers = [post(server, new_session=True) for _ in range(3)]
    assert len({answer.headers["x-session-id"] for answer in answers}) == 1
    history = httpx.get(f"{server.url}/chat/history/{answers[0].headers['x-session-id']}").json()["items"]
    assert [message["text"] for message in history] == ["hello", "fine answer"]


def test_the_noise_of_one_owner_does_not_cost_another_its_answer(
    serve: Callable[..., LiveServer], tmp_path: Path
) -> None:
    ring = KeyRing(tmp_path)
    settings = {"SIMULATED_TEXT": "word " * 200, "STREAM_DELAY": 0, "STREAM_RETAINED_BYTES": 250_000}
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder, **settings)
    ann, bob = bearer(ring.make("ann")), bearer(ring.make("bob"))
    paid = post(server, headers={**bob, "Idempotency-Key": "pay once"})
    noise = [post(server, headers={**ann, "Idempotency-Key": str(number)}) for number in range(40)]
    first, last = (f"{server.url}/chat/streams/{noise[number].headers['x-stream-id']}" for number in (0, -1))
    wait_for(lambda: httpx.get(first, headers=ann).status_code == 404)
    assert httpx.get(last, headers=ann).status_code == 200
    again = post(server, headers={**bob, "Idempotency-Key": "pay once"})
    assert (again.headers["idempotent-replayed"], again.headers["x-stream-id"]) == ("true", paid.headers["x-stream-id"])
    gone = post(server, headers={**ann, "Idempotency-Key": "0"})
    assert (gone.status_code, gone.json()["code"]) == (409, "idempotency_gone")
    other = post(server, "other", headers={**ann, "Idempotency-Key": "0"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_a_resume_beats_a_key(play: Play, serve_models: ServeModels) -> None:
    server = serve_models(row("openai_compatible", play(ok).url))
    one, two = post(server), post(server, headers={"Idempotency-Key": "another try"})
    resumed = post(server, headers={"Last-Event-ID": f"{two.headers['x-stream-id']}-1"})
    assert resumed.headers["x-stream-id"] == two.headers["x-stream-id"] != one.headers["x-stream-id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "\u00fc"])
def test_a_key_that_is_none_is_refused(play: Play, serve_models: ServeModels, key: str) -> None:
    server = serve_models(row("openai_compatible", play(ok).url))
    headers = [(b"idempotency-key", key.encode())]
    refused = httpx.post(f"{server.url}/chat", json={"message": "x"}, headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "Idempotency-Key")
