"""F29: what cannot work ends the start with one sentence and an exit code, and changes nothing."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from stores.sql.engine.schema import migrate
from tests.support.postgres import Postgres
from tests.support.replicas import MAIN
from tests.support.server import process_server, running
from tests.support.valkey import redis_server

UVICORN = [sys.executable, "-m", "uvicorn", "main:app", "--port", "0"]
NEWER = "UPDATE alembic_version SET version_num = '9999'"


def refused(command: list[str], hint: str, **env: object) -> None:
    with running(command, **env) as started:
        code = started.popen.wait(timeout=30)
        started.close()
        log = "".join(started.log)
    assert code == (3 if command is UVICORN else 2), log
    *lines, sentence = log.splitlines()
    assert sentence.startswith("StreamForge cannot start"), log
    assert hint in sentence
    assert all(line.startswith("{") for line in lines), "beside it there may be lines of the log"
    assert "pass-word" not in log


@pytest.mark.parametrize("command", [MAIN, UVICORN], ids=["main.py", "uvicorn"])
def test_a_file_with_a_schema_from_the_future_is_refused_and_left_alone(command: list[str], folder: Path) -> None:
    file = folder / "streamforge.db"
    migrate(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(NEWER)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = file.read_bytes()
    refused(command, "newer than this program", DATA_DIR=folder)
    assert file.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(folder: Path) -> None:
    (folder / "streamforge.db").write_text("words " * 1_000)
    refused(MAIN, "not an SQLite database", DATA_DIR=folder)


def test_a_file_of_before_the_first_schema_is_brought_up_to_date(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "streamforge.db")) as connection:
        connection.execute("PRAGMA user_version = 0")
        connection.commit()
    with process_server(DATA_DIR=folder, STREAM_DELAY=0) as (_, url):
        assert httpx.post(f"{url}/chat", json={"message": "x", "new_session": True}).status_code == 200


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as url:
        yield url


@pytest.mark.parametrize("command", [MAIN, UVICORN], ids=["main.py", "uvicorn"])
def test_a_postgresql_that_was_not_migrated_is_refused_with_what_to_do(
    command: list[str], empty: str, folder: Path
) -> None:
    refused(command, "python main.py migrate", DATABASE_URL=empty, DATA_DIR=folder)


def test_a_postgresql_with_a_schema_from_the_future_is_refused(postgres: Postgres, empty: str, folder: Path) -> None:
    migrate(empty)
    postgres.execute(NEWER, empty.rpartition("/")[2])
    refused(MAIN, "newer than this program", DATABASE_URL=empty, DATA_DIR=folder)


def test_a_database_that_does_not_exist_is_refused(postgres: Postgres, folder: Path) -> None:
    refused(MAIN, "does not exist", DATABASE_URL=postgres.url("missing"), DATA_DIR=folder)


def test_a_database_that_nobody_serves_is_refused(free_port: Callable[[], int], folder: Path) -> None:
    url = f"postgresql://me:pass-word@127.0.0.1:{free_port()}/db"
    refused(MAIN, "does not answer", DATABASE_URL=url, DATA_DIR=folder)


@pytest.mark.parametrize("command", [MAIN, UVICORN, [*MAIN, "--workers", "2"]], ids=["main.py", "uvicorn", "workers"])
def test_a_redis_that_does_not_accept_the_password_is_refused(command: list[str], folder: Path) -> None:
    with redis_server("valkey", "--requirepass", "pass-word") as server:
        for url in (server.url, server.url.replace("//", "//:wrong-pass-word@")):
            refused(command, "REDIS_URL", REDIS_URL=url, DATA_DIR=folder)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "redis://10.1.2.3", "127.0.0.1:6379"])
def test_an_address_that_is_none_of_a_redis_is_refused(url: str, folder: Path) -> None:
    refused(MAIN, "REDIS_URL", REDIS_URL=url, DATA_DIR=folder)


def test_a_redis_that_is_away_is_waited_for(folder: Path) -> None:
    with redis_server("valkey") as server:
        server.stop()
        with process_server(REDIS_URL=server.url, DATA_DIR=folder, STREAM_DELAY=0) as (process, url):
            process.wait_for_event("redis is away")
            assert httpx.post(f"{url}/chat", json={"message": "x"}).status_code == 200
            server.start()
            process.wait_for_event("redis is back")
            shared = httpx.post(f"{url}/chat", json={"message": "x"}).headers["x-stream-id"]
            state = httpx.get(f"{url}/chat/streams/{shared}", headers={"accept": "application/json"}).json()
            assert state["resumable_elsewhere"] is True
