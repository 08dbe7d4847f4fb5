"""F20: the wall clock of one replica jumps by an hour, and back. Nothing is timed by it, and nothing ordered."""

import sys
from pathlib import Path

import pytest

from tests.support.history import history
from tests.support.replicas import replicas
from tests.support.valkey import RedisServer

TEXT = " ".join(f"word{number}" for number in range(30))


@pytest.mark.parametrize("jump", [3_600, -3_600])
async def test_streams_survive_a_clock_that_jumps(valkey: RedisServer, folder: Path, jump: int) -> None:
    wrong = folder / "wrong"
    wrong.write_text("0")
    settings = {"SIMULATED_TEXT": TEXT, "STREAM_DELAY": 0.05, "STREAM_LEASE": 2}
    with replicas(folder, valkey, stage=None, database=None, **settings) as both:
        (here,) = both.start(command=[sys.executable, "-m", "tests.support.wall_clock", str(wrong)])
        (there,) = both.start()
        async with history() as told:
            first = await told.post(here.url, "one", new_session=True)
            await first.end()
            asked = await told.post(here.url, "two", session_id=first.session_id)
            kept = await told.post(there.url, "x", new_session=True)
            other = await told.follow(there.url, asked.stream_id)
            for reader in (asked, kept, other):
                await reader.heard(5)
            wrong.write_text(str(jump))
            for reader in (asked, kept, other):
                assert (await reader.end()).event == "done"
            after = await told.post(here.url, "three", session_id=first.session_id)
            await after.end()
            wrong.write_text("0")
            last = await told.post(there.url, "four", session_id=first.session_id)
            await last.end()
            for replica in both.all:
                said = await told.messages(replica.url, first.session_id)
                assert [item["text"] for item in said[::2]] == ["one", "two", "three", "four"]
                assert abs(said[4]["created"] - said[0]["created"] - jump) < 60, "the clock was wrong indeed"
                assert all(0 <= item["first_word_ms"] <= item["total_ms"] < 60_000 for item in said[1::2])
                await told.check(replica.url, both.live)
        both.leave()
