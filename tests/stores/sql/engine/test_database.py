"""What the database does when it is locked, slow, full, gone or back: an answer in time, and never half a change (T41).

Shows F13, F14 and F16.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from domain.errors import StreamForgeError
from domain.messages import new_id
from stores.sql.conversations.messages import MessageStore
from stores.sql.conversations.sessions import SessionStore
from stores.sql.engine.database import Database, open_database
from stores.sql.engine.postgres import PostgresDatabase
from stores.sql.engine.timeouts import CutShort, Timeouts
from tests.stores.sql.support import ask, ending
from tests.support.postgres import Postgres
from tests.support.server import ROOT

pytestmark = pytest.mark.clock

HURRIED = Timeouts(turn=0.3, work=0.3)


async def made(database: Database, owner: str = "ann") -> str:
    return (await SessionStore(database).create(owner, client_id=None, title=None, now=1.0)).id


@asynccontextmanager
async def refused(code: str, within: float) -> AsyncIterator[None]:
    """What is done inside fails with this code, in time."""
    began = time.monotonic()
    with pytest.raises(StreamForgeError) as caught:
        yield
    assert caught.value.code == code
    assert caught.value.retry_after == 5
    assert time.monotonic() - began < within


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another process is in the middle of a write."""
    program = """
        import sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        print("locked", flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "streamforge.db"


async def test_work_that_fails_changes_nothing(database: Database) -> None:
    def half(connection: Connection) -> None:
        connection.execute(text("INSERT INTO summaries VALUES ('s', :id, 'm', 0, '', 0, 'm', 0)"), {"id": session_id})
        raise LookupError

    session_id = await made(database)
    with pytest.raises(LookupError):
        await database.write(half)
    assert await database.read(lambda connection: connection.scalar(text("SELECT count(*) FROM summaries"))) == 0
    await made(database)


async def test_a_locked_file_is_read_and_written_as_soon_as_it_is_free(file: Path) -> None:
    async with open_database(f"sqlite:///{file}", timeouts=HURRIED) as database:
        session_id = await made(database)
        with locked(file):
            async with refused("storage_unavailable", within=2):
                await made(database)
            assert await SessionStore(database).get("ann", session_id) is not None
        await made(database)


async def test_while_a_write_waits_for_a_locked_file_everything_else_goes_on(file: Path) -> None:
    async with open_database(f"sqlite:///{file}", timeouts=Timeouts(turn=0.5, work=1)) as database:
        with locked(file):
            writes = [asyncio.create_task(made(database)) for _ in range(20)]
            turns = 0
            while not all(write.done() for write in writes):
                await asyncio.sleep(0.01)
                turns += 1
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert {outcome.code for outcome in outcomes if isinstance(outcome, StreamForgeError)} == {
            "storage_unavailable"
        }
        assert 20 < turns < 120
        assert (await SessionStore(database).list("ann", None, 50)).items == []


async def test_a_write_that_is_cancelled_before_its_turn_is_never_done(file: Path) -> None:
    async with open_database(f"sqlite:///{file}") as database:
        with locked(file):
            first, second = (asyncio.create_task(made(database, owner)) for owner in ("ann", "bob"))
            await asyncio.sleep(0)
            second.cancel()
            await asyncio.wait([second])
        await first
        sessions = SessionStore(database)
        assert len((await sessions.list("ann", None, 5)).items) == 1
        assert (await sessions.list("bob", None, 5)).items == []


async def test_a_statement_that_does_not_end_is_ended(database: Database, url: str) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n"
    removes = text(f"DELETE FROM usage WHERE id = ({endless})")
    async with open_database(url, timeouts=HURRIED) as hurried:
        async with refused("storage_unavailable", within=5):
            await hurried.read(lambda connection: connection.execute(text(endless)))
        async with refused("storage_unavailable", within=5):
            await hurried.write(lambda connection: connection.execute(removes))
        await made(hurried)


ENDLESS = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n")


async def test_a_scan_ends_when_its_time_is_over_and_the_next_one_is_not_touched(database: Database) -> None:
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(CutShort):
            await database.scan(lambda connection: connection.execute(ENDLESS), 0.1)
        assert time.monotonic() - began < 3
        assert await database.scan(lambda connection: connection.scalar(text("SELECT 5")), 5) == 5
        assert await database.scan(lambda connection: connection.scalar(text("SELECT 6"))) == 6


async def test_what_others_read_and_write_does_not_wait_for_scans(database: Database) -> None:
    """More of them than there are connections; and those that nobody waits for any more end at once."""
    scans = [
        asyncio.create_task(database.scan(lambda connection: connection.execute(ENDLESS), 60, spent=number))
        for number in range(12)
    ]
    await asyncio.sleep(0)
    began = time.monotonic()
    for _ in range(10):
        session_id = await made(database)
        assert await SessionStore(database).get("ann", session_id) is not None
    assert time.monotonic() - began < 5
    for scan in scans:
        scan.cancel()
    await asyncio.wait(scans)
    assert await database.scan(lambda connection: connection.scalar(text("SELECT 5")), 20) == 5


async def test_scans_without_a_limit_of_their_own_keep_no_reader_of_sqlite_either(file: Path) -> None:
    async with open_database(f"sqlite:///{file}", timeouts=Timeouts(turn=1, work=1)) as database:
        session_id = await made(database)
        scans = [asyncio.create_task(database.scan(lambda connection: connection.execute(ENDLESS))) for _ in range(8)]
        await asyncio.sleep(0)
        for _ in range(20):
            assert await SessionStore(database).get("ann", session_id) is not None
        assert not any(scan.done() for scan in scans)
        await asyncio.gather(*scans, return_exceptions=True)


def test_a_full_disk_is_said_to_be_full_and_when_it_is_not_all_goes_on(file: Path) -> None:
    program = """
        import asyncio, resource, sys
        from domain.errors import StreamForgeError
        from stores.sql.engine.database import open_database
        from stores.sql.conversations.sessions import SessionStore

        async def main():
            async with open_database("sqlite:///" + sys.argv[1]) as database:
                sessions = SessionStore(database)
                async def make():
                    return await sessions.create("ann", client_id=None, title="x" * 200, now=1.0)
                first = await make()
                resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
                made, codes = 1, []
                while len(codes) < 3:
                    try:
                        await make()
                        made += 1
                    except StreamForgeError as error:
                        codes.append(error.code)
                assert codes == ["storage_full"] * 3, codes
                assert await sessions.get("ann", first.id) == first
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
                await make()
                assert len((await sessions.list("ann", None, 100_000)).items) == made + 1

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


async def test_many_more_writers_than_connections_all_get_their_turn(database: Database) -> None:
    messages = MessageStore(database)

    async def converse(number: int) -> None:
        session_id = await made(database, f"owner {number}")
        begun = await ask(messages, f"owner {number}", session_id)
        assert await messages.finish(begun.answer.id, ending("complete", "so"), 2.0)

    await asyncio.gather(*(converse(number) for number in range(60)))


async def test_a_restart_of_postgresql_costs_nobody_anything(postgres: Postgres, postgres_url: str) -> None:
    async with open_database(postgres_url, timeouts=HURRIED) as database:
        session_id = await made(database)
        slow = text("SELECT pg_sleep(0.05)")
        await asyncio.gather(*(database.read(lambda c: c.execute(slow)) for _ in range(5)))  # five connections
        for mode in ("immediate", "fast"):
            postgres.stop(mode)
            try:
                async with refused("storage_unavailable", within=3):
                    await made(database)
            finally:
                postgres.start()
            assert await SessionStore(database).get("ann", session_id) is not None
            postgres.stop(mode)
            postgres.start()
            await made(database)


async def test_work_that_is_lost_with_its_connection_is_done_once_more(postgres_url: str) -> None:
    ran = []

    def work(connection: Connection) -> str:
        ran.append(connection)
        if len(ran) == 1:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return "done"

    async with open_database(postgres_url) as database:
        assert await database.write(work) == "done"
        assert len(ran) == 2


async def test_a_commit_whose_answer_is_lost_is_not_done_again(postgres_url: str) -> None:
    """Whether it counts, nobody knows."""
    statements = (
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON sessions DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION die()",
    )
    insert = text("INSERT INTO sessions (id, owner, auto_title, created, updated) VALUES ('s', 'ann', true, 1, 1)")
    ran = []

    def work(connection: Connection) -> None:
        ran.append(connection.execute(insert))

    async with open_database(postgres_url) as database:
        for statement in statements:
            await database.write(lambda connection, statement=statement: connection.exec_driver_sql(statement))  # type: ignore[misc]
        async with refused("storage_unavailable", within=3):
            await database.write(work)
        assert len(ran) == 1


async def test_a_pool_that_is_used_up_is_waited_for_and_not_for_ever(postgres_url: str) -> None:
    async with open_database(postgres_url, timeouts=Timeouts(turn=0.3, work=5), connections=1) as database:
        began = asyncio.Event()

        def work(connection: Connection) -> None:
            began.set()
            connection.execute(text("SELECT pg_sleep(1)"))

        slow = asyncio.create_task(database.read(work))
        await began.wait()
        async with refused("storage_unavailable", within=1):
            await made(database)
        await slow
        await made(database)


async def test_a_server_that_falls_silent_is_left(postgres_url: str) -> None:
    async with open_database(postgres_url, timeouts=HURRIED, connections=1) as database:
        pid = await database.read(lambda connection: connection.scalar(text("SELECT pg_backend_pid()")))
        os.kill(pid, signal.SIGSTOP)
        try:
            async with refused("storage_unavailable", within=8):
                await made(database)
            await made(database)
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_a_port_that_accepts_and_says_nothing_is_no_database() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        nobody.listen()
        port = nobody.getsockname()[1]
        database = PostgresDatabase(f"postgresql://x@127.0.0.1:{port}/x", HURRIED, 1)
        async with refused("storage_unavailable", within=3):
            await SessionStore(database).get("ann", new_id())
        await database.close()
