"""A program that has our modules loaded and forks a process for each run, which serves within a tenth of a second.

Started by `tests.support.forks`, with any Python that has the packages. Its argument is the number of a socket on which
the process that started it asks, and with which it ends. A second one is that of a socket on which others connect.
Each message says what to run, in JSON, and brings four descriptors: the three standard ones, and a socket on which the
process id is sent at once, and at its end the exit code and the processor time that it took, in seconds.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OURS = ["domain", "config", "wires", "routers", "services", "stores", "cli", "chains"]
MODELS = [
    "langchain_openai", "langchain.chat_models", "langchain_core.tracers.stdout",
    "openai.resources.chat.completions.messages", "jiter", "truststore", "httpcore2", "genai_prices.data",
    "genai_prices.data_snapshot",
]  # fmt: skip
"""What is loaded when a model is asked for the first time."""
THEIRS = [
    "main", "uvicorn.supervisors", "uvicorn.loops.uvloop", "routers.http.limits.httptools_protocol",
    "uvicorn.lifespan.on", "anyio._backends._asyncio", "sqlalchemy.ext.asyncio", "alembic.command", "alembic.config",
    "sqlite3", "greenlet", "redis.asyncio", "numpy", "chromadb", *MODELS,
]  # fmt: skip
"""Modules that most runs load sooner or later."""
TESTS = [
    "pytest_asyncio.plugin", "_hypothesis_pytestplugin", "hypothesis", "blockbuster", "httpx", "docx", "openai",
    "anthropic", "langchain.agents", "ag_ui.core", "playwright.sync_api", "psutil", "jsonschema_rs",
    "asyncpg", "jwt", "cryptography.hazmat.primitives.asymmetric.rsa", "httpx_sse", "pytest_asyncio",
]  # fmt: skip
"""... and most processes that run tests."""


def load(*more: str) -> None:
    """Load all installed modules that a run may need, and these."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process that forks has no other threads
    load_all([*THEIRS, *more])
    ours = [
        module.name
        for package in OURS
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}.")
        if "migrations" not in module.name and not module.name.endswith("_child")
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="|".join(OURS))
        load_all(ours)


def load_all(names: Iterable[str]) -> None:
    """Load these modules, as far as they are installed."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


class Forks:
    """Forks for each request of any asker, and tells it when the process has ended."""

    def __init__(self, control: socket.socket, *listeners: socket.socket) -> None:
        self._control = control
        self._listeners = listeners
        self._askers = [control]
        self._running: dict[int, socket.socket] = {}
        self._woken, self._wake = os.pipe()

    def serve(self) -> dict[str, Any] | None:
        """Returns the request in each new process, and `None` at the end in this one."""
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            waiting: list[int | socket.socket] = [self._woken, *self._askers, *self._listeners]
            ready, _, _ = select.select(waiting, [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._tell_who_ended()
            self._askers += [listener.accept()[0] for listener in self._listeners if listener in ready]
            for asker in [asker for asker in self._askers if asker in ready]:
                message, descriptors, _, _ = socket.recv_fds(asker, 1_000_000, 4)
                if message and (request := self._fork(message, descriptors)) is not None:
                    return request
                if not message:
                    asker.close()
                    self._askers.remove(asker)
            if self._control not in self._askers:
                return None

    def _fork(self, message: bytes, descriptors: list[int]) -> dict[str, Any] | None:
        told = socket.socket(fileno=descriptors.pop())
        pid = os.fork()
        if pid == 0:
            self._close()
            told.close()
            request: dict[str, Any] = json.loads(message)
            _become(request, descriptors)
            return request
        for number in descriptors:
            os.close(number)
        told.send(str(pid).encode())
        self._running[pid] = told
        return None

    def _close(self) -> None:
        for inherited in (*self._askers, *self._running.values(), *self._listeners):
            inherited.close()
        for number in (self._woken, self._wake):
            os.close(number)

    def _tell_who_ended(self) -> None:
        for pid in list(self._running):
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                code, spent = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
                with contextlib.suppress(OSError), self._running.pop(pid) as told:  # it may not want to know any more
                    told.send(f"{code} {spent}".encode())


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Make this process look as if it had been started with this command."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setpgid(0, 0)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(ROOT)
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.stdout.reconfigure(write_through="PYTHONUNBUFFERED" in os.environ)  # type: ignore[union-attr]


def run(words: list[str]) -> None:
    """Do what `python` does with these arguments."""
    option = words[0] if words[0] in ("-m", "-c") else ""
    sys.argv = words[1:] if option else words
    if option == "-c":
        exec(sys.argv[0], {"__name__": "__main__"})
    elif option == "-m":
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    load(*(TESTS if len(sys.argv) > 2 else []))
    gc.collect()
    gc.freeze()
    control, *listeners = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    if (wanted := Forks(control, *listeners).serve()) is not None:
        run(wanted["words"])
