"""What Redis forgets of finished streams, and of whom, while servers of older versions write there as well (T28)."""

import asyncio

from domain.streams import new_stream_id
from stores.streams.shared.commands import Commands, Spans
from stores.streams.shared.connection import Link
from stores.streams.shared.writer import Writer
from tests.stores.streams.logs import finish, shared_log
from tests.stores.streams.shared.conftest import Replicas
from tests.support.valkey import RedisServer


async def test_a_key_is_taken_on_every_replica_though_its_log_had_to_go(replicas: Replicas) -> None:
    async with replicas(size=0) as (here, there):
        bobs = await finish(here, "bob", key="once")
        await there.expire()
        assert await there.find(bobs.info.id) is None
        bound = await there.keys.find("bob", "once")
        assert bound is not None
        assert bound.stream_id == bobs.info.id


async def test_an_owner_has_only_so_many_keys_without_logs(server: RedisServer, prefix: str) -> None:
    link = Link(server.url)
    await link.open()
    commands, writer = Commands(prefix, "another", Spans(15, 600, 0, claims=3)), Writer(link)
    writing = asyncio.create_task(writer.run())
    async with (
        shared_log(server.url, prefix=prefix) as here,
        shared_log(server.url, prefix=prefix) as there,
    ):
        await finish(here, "bob", key="first")
        for number in range(6):
            await finish(here, "ann", key=str(number))
        assert await writer.ask(commands.prune(100)) == 7
        assert [number for number in range(6) if await there.keys.find("ann", str(number))] == [3, 4, 5]
        assert await there.keys.find("bob", "first") is not None
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await link.close()


async def test_what_older_versions_ended_and_deleted_is_counted_right(
    replicas: Replicas, server: RedisServer, prefix: str
) -> None:
    """They know of no owners: what they end has none, and what they delete is still listed with its owner."""
    async with replicas(size=1_000_000) as (here, there):
        deleted = [await finish(here, "ann", size=300_000) for _ in range(2)]
        for tail in deleted:
            size = 1_500 + 3 * 110 + 300_000
            server.say("ZREM", f"{prefix}:finished", f"{tail.info.id}:{size}")
            server.say("DECRBY", f"{prefix}:retained", str(size))
        server.say("ZADD", f"{prefix}:finished", "9000000000000", f"{new_stream_id()}:900000")
        server.say("INCRBY", f"{prefix}:retained", "900000")
        kept = await finish(here, "ann", size=50_000)
        bobs = await finish(here, "bob", size=60_000)
        server.say("ZADD", f"{prefix}:held", "99999999", "junk")
        server.say("ZADD", f"{prefix}:held", "99999998", "more junk")
        server.say("ZADD", f"{prefix}:finished:more junk", "1", "junk")
        await there.expire()
        assert await there.find(bobs.info.id) is None, "ann holds less, now that what was deleted no longer counts"
        assert await there.find(kept.info.id) is not None
        assert int(server.say("GET", f"{prefix}:retained").split(b"\r\n")[1]) == 900_000 + 1_500 + 3 * 110 + 50_000
