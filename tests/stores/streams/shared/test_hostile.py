"""Who can write to Redis can end a reading there, and do nothing else (T31)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.events import Delta, Failed
from domain.streams import digest, new_stream_id
from stores.streams.base import Appended, Binding
from stores.streams.codec import Unreadable, decode, decode_info, decode_outcome, encode, encode_info
from stores.streams.shared.log import RedisStreamLog
from stores.streams.tail import Tail
from tests.stores.streams.logs import DONE, SPENT, followed, info, shared_log, until, until_it
from tests.support.valkey import RedisServer

ENTRIES: dict[str, tuple[str, ...]] = {
    "no JSON": ("2-0", "delta", "\x80\x04\x95."),
    "another kind": ("2-0", "__reduce__", "{}"),
    "a name with a line end": ("2-0", "a\nevent:", "{}"),
    "a text that is none": ("2-0", "delta", '{"text": 5}'),
    "an empty text": ("2-0", "delta", '{"text": ""}'),
    "NUL": ("2-0", "delta", '{"text": "a\\u0000"}'),
    "half a surrogate pair": ("2-0", "delta", '{"text": "\\ud800"}'),
    "a call without an id": ("2-0", "tool_call", '{"id": "", "name": "f", "arguments": ""}'),
    "a call with an empty name": ("2-0", "tool_call", '{"id": "a", "name": "", "arguments": ""}'),
    "half a surrogate pair in a call": ("2-0", "tool_call", '{"id": "a", "name": "f", "arguments": "\\ud800"}'),
    "a code that is none": ("2-0", "failed", '{"code": "a\\nevent: done", "spent": {"usage": null, "cost": null}}'),
    "a deep nest": ("2-0", "done", "[" * 100_000),
    "a gap": ("7-0", "delta", '{"text": "a"}'),
    "a number with a tail": ("2-5", "delta", '{"text": "a"}'),
    "a number beyond all": ("18446744073709551615-0", "delta", '{"text": "a"}'),
    "two fields": ("2-0", "delta", '{"text": "a"}', "delta2", "{}"),
}


@pytest.fixture
async def here(valkey: RedisServer, prefix: str) -> AsyncIterator[RedisStreamLog]:
    async with shared_log(valkey.url, prefix=prefix, lease=0.6) as log:
        yield log


@pytest.fixture
async def there(valkey: RedisServer, prefix: str) -> AsyncIterator[RedisStreamLog]:
    async with shared_log(valkey.url, prefix=prefix, lease=0.6) as log:
        yield log


def key(prefix: str, tail: Tail, part: str) -> str:
    return f"{prefix}:{{{tail.info.id}}}:{part}"


async def still_well(here: RedisStreamLog, there: RedisStreamLog) -> None:
    """Another stream is written, followed and ended."""
    tail = await here.open(info())
    assert tail.shared
    copy = await there.find(tail.info.id)
    assert copy is not None
    assert await here.append(tail, 2, Delta("a")) is Appended.OK
    await here.seal(tail, DONE)
    await here.announce(tail, DONE)
    await until(lambda: copy.ended)
    assert copy.events == tail.events


@pytest.mark.parametrize("what", ENTRIES)
async def test_a_planted_entry_ends_the_reading_of_that_stream_alone(
    here: RedisStreamLog, there: RedisStreamLog, valkey: RedisServer, prefix: str, what: str
) -> None:
    tail = await here.open(info())
    copy, follower = await followed(there, tail.info.id)
    assert valkey.say("XADD", key(prefix, tail, "log"), *ENTRIES[what]).startswith(b"$")
    await until(lambda: follower.cuts == 1)
    assert copy.events == tail.events
    assert await there.find(tail.info.id) is None
    await still_well(here, there)


async def test_something_else_in_the_place_of_a_log_ends_its_reading_alone(
    here: RedisStreamLog, there: RedisStreamLog, valkey: RedisServer, prefix: str
) -> None:
    tail = await here.open(info())
    _, follower = await followed(there, tail.info.id)
    valkey.say("SET", key(prefix, tail, "log"), "x")
    await until(lambda: follower.cuts == 1)
    await still_well(here, there)
    assert await here.append(tail, 2, Delta("a")) is Appended.OK
    assert not tail.shared


@pytest.mark.parametrize(
    ("field", "value"),
    [("info", "{}"), ("info", "\x80"), ("info", '{"id": 1}'), ("outcome", "done {}"), ("outcome", "delta {}")],
)
async def test_planted_facts_about_a_stream_make_it_unknown(
    here: RedisStreamLog, there: RedisStreamLog, valkey: RedisServer, prefix: str, field: str, value: str
) -> None:
    tail = await here.open(info())
    valkey.say("HSET", key(prefix, tail, "meta"), field, value)
    assert await there.find(tail.info.id) is None
    await still_well(here, there)


@pytest.mark.parametrize("field", ["epoch", "last", "state", "owner", "bytes"])
async def test_planted_facts_about_a_stream_do_not_stop_its_producer(
    here: RedisStreamLog, there: RedisStreamLog, valkey: RedisServer, prefix: str, field: str
) -> None:
    tail = await here.open(info())
    valkey.say("HSET", key(prefix, tail, "meta"), field, "\x00junk")
    await here.append(tail, 2, Delta("a"))
    if not tail.fenced:
        await here.seal(tail, DONE)
        await here.announce(tail, DONE)
    await still_well(here, there)


async def test_a_lost_stream_whose_log_was_spoiled_is_ended_with_what_can_be_read(
    here: RedisStreamLog, there: RedisStreamLog, valkey: RedisServer, prefix: str
) -> None:
    tail = await here.open(info())
    await here.append(tail, 2, Delta("a"))
    valkey.say("XADD", key(prefix, tail, "log"), "3-0", "delta", "junk")
    await here.close()
    tails: list[Tail] = []

    async def lost() -> bool:
        tails.extend(await there.peers.lost())
        return bool(tails)

    await until_it(lost)
    (copy,) = tails
    assert copy.events == tail.events
    failed = Failed("producer_lost", SPENT)
    await there.seal(copy, failed)
    await there.announce(copy, failed)
    assert copy.ended
    assert await there.peers.lost() == []


async def test_junk_among_the_live_the_finished_and_the_messages_is_passed_over(
    here: RedisStreamLog, there: RedisStreamLog, valkey: RedisServer, prefix: str
) -> None:
    valkey.say("ZADD", f"{prefix}:live", "1", "junk", "2", new_stream_id(), "3", "\x80")
    valkey.say("ZADD", f"{prefix}:finished", "1", "junk", "2", "a:b:c")
    tail = await here.open(info())
    copy = await there.find(tail.info.id)
    assert copy is not None
    valkey.say("XADD", f"{prefix}:inbox:x", "*", "fenced", tail.info.id)
    await asyncio.sleep(0.7)
    assert await there.peers.lost() == []
    await there.expire()
    await still_well(here, there)


async def test_a_key_that_is_bound_to_junk_does_not_refuse_its_owner(
    here: RedisStreamLog, valkey: RedisServer, prefix: str
) -> None:
    tail = await here.open(info())
    binding = Binding(tail.info.id, digest("hello"))
    await here.keys.bind("local", "key", binding)
    name = valkey.say("KEYS", f"{prefix}:key:*").split(b"\r\n")[2].decode()
    valkey.say("SET", name, "junk")
    assert await here.keys.bind("local", "key", binding) == binding


def test_what_was_read_is_what_was_written_and_nothing_else_reads() -> None:
    about = info()
    assert decode_info(encode_info(about), about.id) == about
    with pytest.raises(Unreadable):
        decode_info(encode_info(about), new_stream_id())
    assert decode(*encode(DONE)) == DONE
    assert decode_outcome(b"") is None
    with pytest.raises(Unreadable):
        decode_outcome(b"delta " + encode(Delta("a"))[1])
