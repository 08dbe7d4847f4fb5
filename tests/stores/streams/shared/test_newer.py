"""While a deployment is updated, a stream may hold what only its newer processes know; these are the older ones."""

from collections.abc import AsyncIterator

import pytest

from domain.errors import StreamForgeError
from domain.events import AnswerEvent, Delta, Failed, Unknown
from domain.streams import StreamInfo, digest, new_stream_id
from stores.streams.base import Appended
from stores.streams.shared.log import RedisStreamLog
from stores.streams.tail import Tail
from tests.stores.streams.logs import CANCELLED, DONE, SPENT, followed, info, shared_log, until, until_it
from tests.support.valkey import RedisServer

LEASE = 0.4
FIELDS = '{"id":"a"}'
SPENT_NOW = '"spent":{"usage":{"input_tokens":4,"output_tokens":6,"exact":false},"cost":null}'
NEWER = {
    "an event": ("tool_result", FIELDS),
    "a retry": ("retrying", '{"reason":"tool_failed","attempt":2,"delay":0.5}'),
    "a phase": ("progress", '{"phase":"recognising"}'),
}
OUTCOMES = {
    "a code": f'failed {{"code":"budget_spent",{SPENT_NOW}}}',
    "a reason": f'cancelled {{"reason":"disapproved",{SPENT_NOW}}}',
    "a reason to finish": f'done {{"finish_reason":"paused","model":"m",{SPENT_NOW}}}',
    "a kind of end": "parked {}",
}


@pytest.fixture
async def newer(valkey: RedisServer, prefix: str) -> AsyncIterator[RedisStreamLog]:
    async with shared_log(valkey.url, prefix=prefix, lease=LEASE) as log:
        yield log


@pytest.fixture
async def older(valkey: RedisServer, prefix: str) -> AsyncIterator[RedisStreamLog]:
    async with shared_log(valkey.url, prefix=prefix, lease=LEASE) as log:
        yield log


class Planted:
    """What a newer process has written of a stream, by another way than through this version's code."""

    def __init__(self, valkey: RedisServer, prefix: str, stream_id: str) -> None:
        self._valkey = valkey
        self._stem = f"{prefix}:{{{stream_id}}}:"

    def entry(self, seq: int, kind: str, fields: str) -> None:
        self._valkey.say("XADD", f"{self._stem}log", f"{seq}-0", kind, fields)
        self._valkey.say("HSET", f"{self._stem}meta", "last", str(seq))

    def outcome(self, outcome: str, state: str) -> None:
        self._valkey.say("HSET", f"{self._stem}meta", "state", state, "outcome", outcome)

    def meta(self, field: str) -> str:
        return self._valkey.say("HGET", f"{self._stem}meta", field).split(b"\r\n")[1].decode()

    def leased(self) -> bool:
        return self._valkey.say("EXISTS", f"{self._stem}lease").startswith(b":1")


async def left_alone(older: RedisStreamLog, there: Planted) -> None:
    """A look of the older process claims the stream, gives it back, and never claims it again."""

    async def given_back() -> bool:
        assert await older.peers.lost() == []
        return there.meta("epoch") == "2" and not there.leased()

    await until_it(given_back)
    for _ in range(3):
        assert await older.peers.lost() == []
    assert (there.meta("epoch"), there.meta("owner")) == ("2", "")


@pytest.mark.parametrize("what", NEWER)
async def test_readers_go_on_after_what_they_do_not_know(
    newer: RedisStreamLog, older: RedisStreamLog, valkey: RedisServer, prefix: str, what: str
) -> None:
    tail = await newer.open(info())
    copy, follower = await followed(older, tail.info.id)
    Planted(valkey, prefix, tail.info.id).entry(2, *NEWER[what])
    tail.events.append(Unknown("tool_result", FIELDS))  # its writer, of course, has it
    assert await newer.append(tail, 3, Delta("a")) is Appended.OK
    await newer.seal(tail, DONE)
    await newer.announce(tail, DONE)
    await until(lambda: copy.ended)
    assert (follower.times, follower.cuts) == (3, 0)
    assert [copy.events[0], *copy.events[2:]] == [tail.events[0], Delta("a"), DONE]
    later = await older.find(tail.info.id)
    assert later is not None
    assert later.events == copy.events


@pytest.mark.parametrize("what", NEWER)
async def test_a_dead_stream_with_something_unknown_is_left_to_those_who_know_it(
    newer: RedisStreamLog, older: RedisStreamLog, valkey: RedisServer, prefix: str, what: str
) -> None:
    tail = await newer.open(info())
    there = Planted(valkey, prefix, tail.info.id)
    there.entry(2, *NEWER[what])
    await newer.close()
    await left_alone(older, there)
    assert there.meta("state") == "running", "nobody has ended it"
    async with shared_log(valkey.url, prefix=prefix, lease=LEASE) as another:

        async def claimed() -> bool:
            await another.peers.lost()
            return there.meta("epoch") == "3"

        await until_it(claimed)


@pytest.mark.parametrize("what", OUTCOMES)
async def test_a_dead_stream_with_an_unknown_outcome_is_left_to_those_who_know_it(
    newer: RedisStreamLog, older: RedisStreamLog, valkey: RedisServer, prefix: str, what: str
) -> None:
    tail = await newer.open(info())
    there = Planted(valkey, prefix, tail.info.id)
    there.outcome(OUTCOMES[what], "sealed")
    await newer.close()
    await left_alone(older, there)
    assert (there.meta("state"), there.meta("outcome")) == ("sealed", OUTCOMES[what])


async def test_a_dead_stream_of_an_unknown_kind_is_left_to_those_who_know_it(
    newer: RedisStreamLog, older: RedisStreamLog, valkey: RedisServer, prefix: str
) -> None:
    tail = await newer.open(
        StreamInfo(new_stream_id(), "simulated", 1, "detach", digest("hello"), "local", kind="rehearsal")
    )
    await newer.close()
    await left_alone(older, Planted(valkey, prefix, tail.info.id))


async def test_a_dead_stream_of_which_nothing_can_be_read_is_left_alone_as_well(
    newer: RedisStreamLog, older: RedisStreamLog, valkey: RedisServer, prefix: str
) -> None:
    tail = await newer.open(info())
    await newer.close()
    valkey.say("HSET", f"{prefix}:{{{tail.info.id}}}:meta", "info", "{}")
    await left_alone(older, Planted(valkey, prefix, tail.info.id))


async def test_other_dead_streams_are_ended_all_the_same(
    newer: RedisStreamLog, older: RedisStreamLog, valkey: RedisServer, prefix: str
) -> None:
    opened = [await newer.open(info()) for _ in range(60)]
    for tail in opened[:-1]:
        Planted(valkey, prefix, tail.info.id).entry(2, *NEWER["an event"])
    await newer.close()
    lost: list[Tail] = []

    async def found() -> bool:
        lost.extend(await older.peers.lost())
        return bool(lost)

    await until_it(found)
    assert [tail.info for tail in lost] == [opened[-1].info]
    await older.seal(lost[0], Failed("producer_lost", SPENT))
    await older.announce(lost[0], Failed("producer_lost", SPENT))


async def test_a_stream_is_not_taken_over_to_cancel_it_either(
    newer: RedisStreamLog, older: RedisStreamLog, valkey: RedisServer, prefix: str
) -> None:
    tail = await newer.open(info())
    there = Planted(valkey, prefix, tail.info.id)
    copy = await older.find(tail.info.id)
    assert copy is not None
    there.entry(2, *NEWER["an event"])
    await newer.close()
    assert await older.seal(copy, CANCELLED) == CANCELLED
    assert not await older.peers.claim(copy, force=True)
    assert (there.meta("state"), there.meta("epoch")) == ("sealed", "1")


async def test_a_stream_whose_end_is_of_an_unknown_kind_can_be_read_elsewhere_only(
    newer: RedisStreamLog, older: RedisStreamLog, valkey: RedisServer, prefix: str
) -> None:
    tail = await newer.open(info())
    copy, follower = await followed(older, tail.info.id)
    there = Planted(valkey, prefix, tail.info.id)
    there.entry(2, "parked", "{}")
    there.outcome("parked {}", "ended")
    await until(lambda: follower.cuts == 1)
    known: list[AnswerEvent] = [Unknown("parked", "{}")]
    assert copy.events[1:] == known
    with pytest.raises(StreamForgeError, match=r".") as refused:
        await older.find(tail.info.id)
    assert (refused.value.code, refused.value.retry_after is not None) == ("log_unavailable", True)
