"""Any replica resumes, reports and stops any stream, and knows what was said in any session (T01)."""

from tests.replicas.conftest import Pair
from tests.support.history import History
from tests.support.stage import Part


async def test_another_replica_reads_a_stream_from_any_event_on_up_to_its_end(pair: Pair, told: History) -> None:
    part = pair.stage.cast(Part(words=8, held=4))
    asked = await told.post(pair.here.url, part.tag, owner="alice", new_session=True)
    await asked.heard(4)
    others = [
        await told.follow(url, asked.stream_id, owner="alice", after=after)
        for url in (pair.there.url, pair.here.url)
        for after in (0, 1, 3, 5)
    ]
    part.go.set()
    ends = [await reader.end() for reader in (asked, *others)]
    assert {end.event for end in ends} == {"done"}
    assert ends[0].data["usage"] == {"input_tokens": 11, "output_tokens": 8, "exact": True}
    late = await told.follow(pair.there.url, asked.stream_id, owner="alice")
    assert (await late.end()) == ends[0]
    assert part.asked == 1


async def test_a_client_that_moves_from_replica_to_replica_has_every_word_once(pair: Pair, told: History) -> None:
    part = pair.stage.cast(Part(words=40, every=0.03))
    client = await told.post(pair.here.url, part.tag, owner="alice")
    for words in range(4, 24, 4):
        await client.heard(words)
        await client.leave()
        client.go_on((pair.there, pair.here)[words // 4 % 2].url)
    assert (await client.end()).event == "done"
    assert client.text == part.text
    assert len(client.bodies) == 6


async def test_another_replica_reports_a_stream(pair: Pair, told: History) -> None:
    part = pair.stage.cast(Part(words=4, held=2))
    asked = await told.post(pair.here.url, part.tag, owner="alice", new_session=True)
    await asked.heard(2)
    await told.follow(pair.there.url, asked.stream_id, owner="alice", after=3)
    here, there = [await told.state(url, asked.stream_id, owner="alice") for url in (pair.here.url, pair.there.url)]
    assert here == there
    assert (there["state"], there["resumable_elsewhere"]) == ("running", True)
    assert there["text"] == part.word(0) + part.word(1)
    part.go.set()
    await asked.end()
    there = await told.state(pair.there.url, asked.stream_id, owner="alice")
    assert (there["state"], there["text"], there["session_id"]) == ("completed", part.text, asked.session_id)


async def test_what_is_anothers_is_unknown_on_every_replica(pair: Pair, told: History) -> None:
    part = pair.stage.cast(Part(words=4, held=2))
    asked = await told.post(pair.here.url, part.tag, owner="alice", new_session=True)
    path = f"{pair.there.url}/chat/streams/"
    for method, end in (("GET", ""), ("POST", "/cancel")):
        foreign = await told.ask(method, f"{path}{asked.stream_id}{end}", owner="bob")
        unknown = await told.ask(method, f"{path}{'0' * 32}{end}", owner="bob")
        assert (foreign.status_code, foreign.json()) == (unknown.status_code, unknown.json())
        assert foreign.status_code == 404
    part.go.set()
    assert (await asked.end()).event == "done"


async def test_a_session_goes_on_on_another_replica_and_its_model_knows_what_was_said(
    pair: Pair, told: History
) -> None:
    first, second = pair.stage.cast(Part(words=2)), pair.stage.cast(Part(words=2))
    asked = await told.post(pair.here.url, first.tag, owner="alice", new_session=True)
    await asked.end()
    again = await told.post(pair.there.url, second.tag, owner="alice", session_id=asked.session_id)
    await again.end()
    requests = [request["body"]["messages"] for request in pair.stage.provider.seen.requests]
    (window,) = [messages for messages in requests if messages[-1]["content"] == second.tag]
    assert [message["content"] for message in window[-3:]] == [first.tag, first.text, second.tag]


async def test_a_stream_is_cancelled_from_another_replica_and_its_model_is_left(pair: Pair, told: History) -> None:
    part = pair.stage.cast(Part(words=4, held=2))
    asked = await told.post(pair.here.url, part.tag, owner="alice", new_session=True)
    other = await told.follow(pair.there.url, asked.stream_id, owner="alice")
    await asked.heard(2)
    answer = await told.cancel(pair.there.url, asked.stream_id, owner="alice")
    assert (answer.status_code, answer.json()["state"], answer.json()["reason"]) == (202, "cancelled", "requested")
    for reader in (asked, other):
        end = await reader.end()
        assert (end.event, end.data["reason"]) == ("cancelled", "requested")
    again = await told.cancel(pair.here.url, asked.stream_id, owner="alice")
    assert (again.status_code, again.json()["state"]) == (202, "cancelled")
    assert part.left == 1
    kept = await told.answer(pair.there.url, asked, owner="alice")
    assert (kept["state"], kept["text"]) == ("cancelled", part.word(0) + part.word(1))
