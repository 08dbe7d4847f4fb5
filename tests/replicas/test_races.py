"""The same thing asked of two replicas at once: one of them does it, and everybody is told what became of it.

Shows F23, F24, F25 and T28.
"""

import asyncio
import itertools
import time
from collections import Counter

import pytest

from tests.replicas.conftest import COMMIT_DELAY, Pair
from tests.stores.streams.logs import until
from tests.support.history import History, Reader
from tests.support.provider import Answer
from tests.support.stage import Part


def refuse(answer: Answer) -> None:
    answer.status(400)


def refuse_slowly(answer: Answer) -> None:
    answer.pause(0.3)
    refuse(answer)


async def test_twenty_posts_with_one_key_are_one_stream_and_one_call_of_the_model(pair: Pair, told: History) -> None:
    part = pair.stage.cast(Part(words=6, held=3))
    urls = [pair.here.url, pair.there.url] * 10
    readers = [told.send(url, part.tag, owner="alice", key=f"k {part.tag}", new_session=True) for url in urls]
    for reader in readers:
        await reader.answered()
    part.go.set()
    ends = [await reader.end() for reader in readers]
    assert {end.event for end in ends} == {"done"}
    assert len({reader.stream_id for reader in readers}) == 1
    assert {reader.text for reader in readers} == {part.text}
    assert part.asked == 1
    assert Counter(reader.first.headers.get("idempotent-replayed") for reader in readers) == {None: 1, "true": 19}


async def test_a_key_is_its_owners(pair: Pair, told: History) -> None:
    part = pair.stage.cast(Part(words=6, held=3))
    readers = []
    for owner, replica in itertools.product(("alice", "bob"), (pair.here, pair.there)):
        reader = await told.post(replica.url, part.tag, owner=owner, key=part.tag)
        readers.append(await reader.heard(3))
    part.go.set()
    for reader in readers:
        assert (await reader.end()).event == "done"
    assert [reader.first.headers.get("idempotent-replayed") for reader in readers] == [None, "true", None, "true"]
    assert readers[0].stream_id == readers[1].stream_id != readers[2].stream_id == readers[3].stream_id
    assert part.asked == 2


async def test_who_joins_an_answer_that_has_begun_does_not_wait_for_its_next_word(pair: Pair, told: History) -> None:
    part = pair.stage.cast(Part(words=6, held=3))
    first = await told.post(pair.here.url, part.tag, owner="alice", key=part.tag)
    await first.heard(3)
    begun = time.monotonic()
    await told.post(pair.there.url, part.tag, owner="alice", key=part.tag)
    await told.post(pair.here.url, part.tag, owner="alice", key=part.tag)
    assert time.monotonic() - begun < COMMIT_DELAY
    part.go.set()


async def test_a_key_with_another_body_is_refused_on_every_replica(pair: Pair, told: History) -> None:
    part, other = pair.stage.cast(Part()), pair.stage.cast(Part())
    first = await told.post(pair.here.url, part.tag, owner="alice", key=part.tag)
    for url in (pair.here.url, pair.there.url):
        refused = await told.post(url, other.tag, owner="alice", key=part.tag)
        assert (refused.first.status, refused.code) == (422, "idempotency_mismatch")
    assert (await first.end()).event == "done"
    assert other.asked == 0


async def test_a_key_gives_the_answer_again_once_it_has_been_given(pair: Pair, told: History) -> None:
    part = pair.stage.cast(Part())
    first = await told.post(pair.here.url, part.tag, owner="alice", key=part.tag, new_session=True)
    end = await first.end()
    for url in (pair.there.url, pair.here.url):
        again = await told.post(url, part.tag, owner="alice", key=part.tag, new_session=True)
        assert await again.end() == end
        assert again.session_id == first.session_id
    assert part.asked == 1


async def test_a_key_is_free_again_after_a_failure_before_the_first_word(pair: Pair, told: History) -> None:
    part = pair.stage.cast(Part(trouble=refuse))
    refused = await told.post(pair.here.url, part.tag, owner="alice", key=part.tag, new_session=True)
    assert (refused.first.status, refused.code) == (502, "provider_refused")
    again = await told.post(pair.there.url, part.tag, owner="alice", key=part.tag, new_session=True)
    assert (await again.end()).event == "done"
    assert "idempotent-replayed" not in again.first.headers
    assert part.asked == 2


async def test_everybody_with_the_key_of_a_failure_is_told_of_it(pair: Pair, told: History) -> None:
    part = pair.stage.cast(Part(trouble=refuse_slowly, fails=100))
    urls = [pair.here.url, pair.there.url] * 5
    readers = [told.send(url, part.tag, owner="alice", key=part.tag) for url in urls]
    for reader in readers:
        await reader.answered()
    assert {(reader.first.status, reader.code) for reader in readers} == {(502, "provider_refused")}


@pytest.fixture
async def talk(pair: Pair, told: History) -> str:
    """A session with an exchange."""
    part = pair.stage.cast(Part(words=2))
    opened = await told.post(pair.here.url, part.tag, owner="alice", new_session=True)
    await opened.end()
    return opened.session_id


async def test_of_two_tabs_that_post_to_one_session_one_is_answered(pair: Pair, told: History, talk: str) -> None:
    parts = [pair.stage.cast(Part(words=4, held=2)) for _ in range(8)]
    readers = [
        told.send((pair.here, pair.there)[number % 2].url, part.tag, owner="alice", session_id=talk)
        for number, part in enumerate(parts)
    ]
    for reader in readers:
        await reader.answered()
    answered = [reader for reader in readers if reader.first.status == 200]
    refused = [reader for reader in readers if reader.first.status != 200]
    assert len(answered) == 1
    assert {(reader.first.status, reader.code) for reader in refused} == {(409, "session_busy")}
    assert {reader.first.headers["x-stream-id"] for reader in refused} == {answered[0].stream_id}
    for part in parts:
        part.go.set()
    assert (await answered[0].end()).event == "done"
    assert sum(part.asked for part in parts) == 1


async def test_the_previous_answer_of_a_session_makes_way_on_whatever_replica_it_is(
    pair: Pair, told: History, talk: str
) -> None:
    parts = [pair.stage.cast(Part(words=4, held=2)) for _ in range(4)]
    readers: list[Reader] = []
    for number, part in enumerate(parts):
        url = (pair.here, pair.there)[number % 2].url
        reader = await told.post(url, part.tag, owner="alice", session_id=talk, on_busy="cancel_previous")
        readers.append(await reader.heard(2))
    parts[-1].go.set()
    assert (await readers[-1].end()).event == "done"
    for reader in readers[:-1]:
        assert (await reader.end()).data["reason"] == "replaced"
    stored = await told.messages(pair.there.url, talk, owner="alice")
    assert [item["state"] for item in stored if item["role"] == "assistant"][1:] == ["cancelled"] * 3 + ["complete"]


async def test_tabs_that_replace_one_another_at_once_leave_one_sequence(pair: Pair, told: History, talk: str) -> None:
    parts = [pair.stage.cast(Part(words=4, held=2)) for _ in range(8)]
    readers = [
        told.send(
            (pair.here, pair.there)[number % 2].url, part.tag, owner="alice", session_id=talk, on_busy="cancel_previous"
        )
        for number, part in enumerate(parts)
    ]
    for reader in readers:
        await reader.answered()
    for part in parts:
        part.go.set()
    answered = [reader for reader in readers if reader.first.status == 200]
    assert {reader.code for reader in readers if reader.first.status != 200} <= {"session_busy"}
    ends = Counter([(await reader.end()).event for reader in answered])
    assert ends["done"] >= 1
    assert set(ends) <= {"done", "cancelled"}


async def test_a_cancel_that_meets_the_end_leaves_one_end(pair: Pair, told: History) -> None:
    outcomes = Counter[str]()
    for number in range(20):
        part = pair.stage.cast(Part(words=4, held=1))
        asked = await told.post(pair.here.url, part.tag, owner="alice", new_session=True)
        other = await told.follow(pair.there.url, asked.stream_id, owner="alice")
        await asked.heard(3)
        part.go.set()
        await asyncio.sleep(number / 1000)  # over the whole of the last word's way
        url = (pair.here, pair.there)[number % 2].url
        answer = await told.cancel(url, asked.stream_id, owner="alice")
        assert answer.status_code == 202
        ends = [await reader.end() for reader in (asked, other)]
        assert ends[0] == ends[1]
        assert answer.json()["state"] == {"done": "completed", "cancelled": "cancelled"}[ends[0].event]
        outcomes[ends[0].event] += 1
    assert set(outcomes) <= {"done", "cancelled"}


async def test_a_client_that_asks_and_leaves_at_once_leaves_no_half_of_anything(pair: Pair, told: History) -> None:
    parts = [pair.stage.cast(Part(words=3)) for _ in range(20)]
    for number, part in enumerate(parts):
        url = (pair.here, pair.there)[number % 2].url
        reader = told.send(url, part.tag, owner="alice", key=part.tag, new_session=True)
        await asyncio.sleep(number / 1000)
        await reader.leave()
    for part in parts:
        again = await told.post(pair.there.url, part.tag, owner="alice", key=part.tag, new_session=True)
        assert (await again.end()).event == "done"
    await until(lambda: pair.replicas.live() == 0)
