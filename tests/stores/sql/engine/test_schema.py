"""The schema: up from each earlier version with data, one migration at a time, and never from the future."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from domain.documents import PieceKey
from stores.sql.conversations.messages import MessageStore
from stores.sql.conversations.sessions import SessionStore
from stores.sql.documents.store import DocumentStore
from stores.sql.documents.tables import sqlite_only
from stores.sql.engine.address import sqlite_file
from stores.sql.engine.database import open_database
from stores.sql.engine.glance import VERSIONS, Glance, glance
from stores.sql.engine.postgres import postgres_engine
from stores.sql.engine.schema import MIGRATIONS, SchemaError, check, migrate, prepare
from stores.sql.tables import metadata
from tests.stores.sql.support import ask
from tests.support.postgres import Postgres
from tests.support.server import ROOT

T = TypeVar("T")

DATA = {
    "0001": (
        "INSERT INTO api_keys (id, owner, name, prefix, digest, scopes, created) "
        "VALUES ('k', 'ann', '', '', '', '', 1)",
        "INSERT INTO sessions (id, owner, auto_title, created, updated, root_id, leaf_id) VALUES "
        "('s', 'ann', true, 1, 1, 'q', 'a')",
        "INSERT INTO messages (id, session_id, owner, active_child_id, depth, role, state, text, tokens, created) "
        "VALUES ('q', 's', 'ann', 'a', 0, 'user', 'complete', 'why', 1, 1)",
        "INSERT INTO messages (id, session_id, owner, parent_id, depth, role, state, text, tokens, created) VALUES "
        "('a', 's', 'ann', 'q', 1, 'assistant', 'complete', 'because', 1, 1)",
        "INSERT INTO summaries (id, session_id, message_id, depth, text, tokens, model, created) VALUES "
        "('z', 's', 'a', 1, 'short', 1, 'm', 1)",
        "INSERT INTO usage (owner, stream_id, model, state, day, input_tokens, output_tokens, exact, created) VALUES "
        "('ann', 't', 'm', 'completed', '2026-01-01', 1, 2, true, 1)",
    ),
    "0002": (
        "INSERT INTO documents (id, owner, name, digest, size, state, created, updated, chunks, attempts) "
        "VALUES ('d', 'ann', 'fish.txt', 'f', 4, 'ready', 1, 1, 1, 1)",
        "INSERT INTO document_contents (document_id, content) VALUES ('d', 'fish')",
        "INSERT INTO document_collections (document_id, name, owner) VALUES ('d', 'sea', 'ann')",
        'INSERT INTO document_chunks (document_id, owner, number, start, "end", text) '
        "VALUES ('d', 'ann', 0, 0, 10, 'fish swims')",
        "INSERT INTO vector_index (id, model, dimension, updated) VALUES (1, 'm', 2, 1)",
        "INSERT INTO document_indexes (document_id, model, dimension) VALUES ('d', 'm', 2)",
    ),
    "0003": (),
    "0004": ("UPDATE documents SET detail = 'It swims.' WHERE id = 'd'",),
    "0005": (),
    "0006": (
        "INSERT INTO api_keys (id, owner, name, prefix, digest, scopes, created, parent) "
        "VALUES ('l', 'ann', '', '', '', '', 2, 'k')",
    ),
    "0007": (),
}
"""What each version can hold, in plain SQL: a new version adds what is new in it."""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database that nobody has used."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'streamforge.db'}"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.database() as address:
        yield address


def at(url: str, work: Callable[[Connection], T]) -> T:
    """Do something with a database, whatever its version."""
    file = sqlite_file(url)
    if file is not None:
        engine = create_engine(f"sqlite:///{file}")
        try:
            with engine.begin() as connection:
                return work(connection)
        finally:
            engine.dispose()

    async def run() -> T:
        engine = postgres_engine(url)
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def execute(url: str, *statements: str) -> None:
    at(url, lambda connection: [connection.execute(text(statement)) for statement in statements])


def test_the_versions_are_those_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(scripts)) == VERSIONS
    assert set(DATA) == set(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_data_of_each_version_is_there_at_the_newest(empty: str, version: str) -> None:
    migrate(empty, to=version)
    for known in VERSIONS[: VERSIONS.index(version) + 1]:
        execute(empty, *DATA[known])
    assert migrate(empty) == version
    check(empty)

    async def read() -> None:
        async with open_database(empty) as database:
            history = await MessageStore(database).history("ann", "s", None, 10)
            assert [message.text for message in history.items] == ["why", "because"]
            found = await MessageStore(database).search("ann", "because", None, 10)
            assert [one.message.id for one in found.items] == ["a"]
            await ask(MessageStore(database), "ann", "s")
            documents = DocumentStore(database)
            page = await documents.list("ann", collection=None, after=None, limit=10)
            assert [document.id for document in page.items] == (["d"] if version >= "0002" else [])
            keys = await documents.keywords("ann", "swimming", document_ids=None, limit=10)
            assert keys == ([PieceKey("d", 0)] if version >= "0002" else [])
            counted = len("fish") + len("fish swims") if "0002" <= version < "0007" else len("fish")
            assert await documents.stored("ann") == ((1, counted) if version >= "0002" else (0, 0))

    asyncio.run(read())


def test_the_migrated_schema_is_the_programs(empty: str) -> None:
    """The indexes of words, which SQLAlchemy cannot describe, are left out."""
    migrate(empty)
    tables: Any = [metadata, sqlite_only] if sqlite_file(empty) else metadata

    def differences(connection: Connection) -> list[object]:
        def ours(_: object, name: str | None, *__: object) -> bool:
            return not (name or "").startswith(("messages_words", "document_words"))

        options = {"include_object": ours, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, tables))

    assert at(empty, differences) == []


def test_of_several_that_migrate_at_once_one_does_and_all_are_content(empty: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        before = list(threads.map(lambda _: migrate(empty), range(4)))
    assert sorted(map(str, before)) == [*[VERSIONS[-1]] * 3, "None"]
    assert migrate(empty) == VERSIONS[-1]


def test_a_schema_from_the_future_is_refused_and_left_alone(empty: str) -> None:
    migrate(empty)
    execute(empty, "UPDATE alembic_version SET version_num = '9999'")
    for attempt in (migrate, check, prepare):
        with pytest.raises(SchemaError, match=r"9999.*newer.*Update the program"):
            attempt(empty)
    assert at(empty, lambda connection: connection.scalar(text("SELECT version_num FROM alembic_version"))) == "9999"


def test_postgresql_is_not_migrated_unasked(postgres: Postgres) -> None:
    with postgres.database() as url:

        async def open_it() -> None:
            async with open_database(url):
                pass

        with pytest.raises(SchemaError, match=r"python main\.py migrate"):
            asyncio.run(open_it())
        migrate(url)
        asyncio.run(open_it())


def test_a_user_who_may_not_create_tables_is_told_so(postgres: Postgres) -> None:
    with postgres.database() as url:
        execute(url, "CREATE ROLE reader LOGIN")
        try:
            with pytest.raises(SchemaError, match="may not create tables"):
                migrate(url.replace("postgres@", "reader@"))
        finally:
            execute(url, "DROP ROLE reader")


def test_a_glance_makes_no_file_and_needs_no_sqlalchemy(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from stores.sql.engine.glance import Glance, glance;"
        "assert glance(Path(sys.argv[1])) == Glance(None, False);"
        "assert not {'sqlalchemy', 'alembic', 'asyncpg'} & set(sys.modules)"
    )
    file = tmp_path / "streamforge.db"
    subprocess.run([sys.executable, "-c", program, str(file)], cwd=ROOT, check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_glance_tells_the_version_and_whether_answers_were_left_running(tmp_path: Path) -> None:
    file = tmp_path / "a folder 100%?#" / "streamforge.db"
    url = f"sqlite:///{file}"
    migrate(url)
    assert glance(file) == Glance(VERSIONS[-1], pending=False)

    async def leave() -> None:
        async with open_database(url) as database:
            session = await SessionStore(database).create("ann", client_id=None, title=None, now=1.0)
            await ask(MessageStore(database), "ann", session.id)
            assert await asyncio.to_thread(glance, file) == Glance(VERSIONS[-1], pending=True)

    asyncio.run(leave())
    assert glance(file) == Glance(VERSIONS[-1], pending=True)


def test_a_glance_at_another_programs_file_sees_no_schema(tmp_path: Path) -> None:
    file = tmp_path / "streamforge.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE messages (state TEXT)")
    assert glance(file) == Glance(None, pending=False)
    file.write_text("no database " * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        glance(file)
