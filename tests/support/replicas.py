"""Several real servers on one Redis and one database, as an operator would run them."""

import contextlib
import json
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from stores.sql.engine.schema import migrate
from tests.support.catalogue import KEYS, row, write_catalogue
from tests.support.keys import KeyRing, bearer
from tests.support.server import Process, running
from tests.support.stage import Stage
from tests.support.valkey import RedisServer

MAIN = [sys.executable, "main.py"]
OWNERS = ("alice", "bob")


class Replica:
    """One server: a process, and its URL."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.url = url

    def kill(self) -> None:
        """Kill it with SIGKILL, as the kernel does when memory runs out."""
        self.process.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it with SIGSTOP: it keeps everything, and does nothing."""
        self.process.popen.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue, as if no time had passed."""
        self.process.popen.send_signal(signal.SIGCONT)

    def told(self, event: str) -> list[dict[str, Any]]:
        """The records of this event in its log."""
        return [record for record in self._records() if record.get("event", "").startswith(event)]

    def leave(self, allowed: tuple[str, ...] = ()) -> None:
        """Shut it down as an operator would; fails if anything still runs in it, or an unexpected error was logged."""
        if self.process.popen.poll() is not None:
            return
        self.thaw()
        code = self.process.stop()
        log = "".join(self.process.log)
        assert code in (-signal.SIGTERM, 128 + signal.SIGTERM), log
        left = [record["streams"] for record in self.told("draining")]
        assert left == [0], f"streams are left: {left}"
        for trouble in ("Traceback", "Task was destroyed", "never retrieved"):
            assert trouble not in log, log
        errors = [record for record in self._records() if record.get("level") in ("error", "critical")]
        assert [record for record in errors if not record["event"].startswith(allowed or "\0")] == []

    def _records(self) -> Iterator[dict[str, Any]]:
        for line in list(self.process.log):
            with contextlib.suppress(ValueError):
                yield json.loads(line)


class Replicas:
    """All servers that were started, and the things they share. Without `database` they use a file in `folder`."""

    def __init__(
        self, stack: ExitStack, folder: Path, valkey: RedisServer, database: str | None, settings: dict[str, Any]
    ) -> None:
        self._stack = stack
        self.folder = folder
        self.valkey = valkey
        self.prefix = f"test-{secrets.token_hex(6)}"
        self.all: list[Replica] = []
        self.owners: dict[str | None, dict[str, str]] = {None: {}}
        self.settings: dict[str, Any] = {
            "DATA_DIR": folder / "data", "DATABASE_URL": database or "",
            "REDIS_URL": valkey.url, "REDIS_PREFIX": self.prefix, **settings,
        }  # fmt: skip
        if settings.get("AUTH_MODE") == "api_key":
            ring = KeyRing(folder / "data", database)
            self.owners |= {owner: bearer(ring.make(owner)) for owner in OWNERS}

    def start(self, count: int = 1, command: list[str] | None = None, **settings: Any) -> list[Replica]:
        """Start this many more at the same time; returns when they serve."""
        started = [
            self._stack.enter_context(running(command or MAIN, **{**self.settings, **settings})) for _ in range(count)
        ]
        made = [Replica(process, process.wait_for_event("serving")["url"]) for process in started]
        self.all += made
        return made

    def one(self, **settings: Any) -> Replica:
        """Start one more."""
        return self.start(**settings)[0]

    def live(self) -> int:
        """Streams that have not ended, as far as Redis knows."""
        return int(self.valkey.say("ZCARD", f"{self.prefix}:live").strip(b":\r\n") or b"-1")

    def leave(self, allowed: tuple[str, ...] = ()) -> None:
        """Shut down all that still run; they must leave nothing behind. `allowed` errors may be in their logs."""
        for replica in self.all:
            replica.leave(allowed)


@contextlib.contextmanager
def replicas(
    folder: Path, valkey: RedisServer, *, stage: Stage | None = None, database: str | None = None, **settings: Any
) -> Iterator[Replicas]:
    """No servers yet, on this Redis, with the stage's model or the simulated one; all are stopped at the end."""
    if database is not None:
        migrate(database)
    if stage is not None:
        price = {"input": 1, "output": 1}
        file = write_catalogue(folder, row("openai", stage.provider.url, id="stage", price=price))
        settings = {
            "MODELS_FILE": file, "PROVIDER_KEYS": json.dumps(KEYS), "LLM_MODEL": "stage", "MODEL_RETRIES": 0,
            "MODEL_COOLING": 0, **settings,
        }  # fmt: skip
    with ExitStack() as stack:
        yield Replicas(stack, folder, valkey, database, settings)
