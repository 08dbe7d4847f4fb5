"""A program that has our modules loaded and forks a process for each run, which serves within a tenth of a second.

Started by `tests.support.forks`, with any Python that has the packages. Each message on the socket whose number is its
argument says what to run, in JSON, and brings four descriptors: the three standard ones, and a socket on which the
process id is sent at once, and the exit code when there is one. It ends with the process that asks.
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
    "main", "uvicorn.supervisors", "uvicorn.loops.uvloop", "uvicorn.protocols.http.httptools_impl",
    "uvicorn.lifespan.on", "anyio._backends._asyncio", "sqlalchemy.ext.asyncio", "alembic.command", "alembic.config",
    "sqlite3", "greenlet", "redis.asyncio", "numpy", "chromadb", *MODELS,
]  # fmt: skip
"""Modules that most runs load sooner or later."""


def load() -> None:
    """Load all installed modules that a run may need."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process that forks has no other threads
    names = THEIRS + [
        module.name
        for package in OURS
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}.")
        if "migrations" not in module.name and not module.name.endswith("_child")
    ]
    load_all(names)


def load_all(names: Iterable[str]) -> None:
    """Load these modules, as far as they are installed."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork for each request. Returns the request in the new process, and `None` at the end in this one."""
    running: dict[int, socket.socket] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([control.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell_who_ended(running)
        if control.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(control, 1_000_000, 4)
            if not message:
                return None
            asker = socket.socket(fileno=descriptors.pop())
            pid = os.fork()
            if pid == 0:
                for inherited in (control, asker, *running.values()):
                    inherited.close()
                for number in (woken, wake):
                    os.close(number)
                request: dict[str, Any] = json.loads(message)
                _become(request, descriptors)
                return request
            for number in descriptors:
                os.close(number)
            asker.send(str(pid).encode())
            running[pid] = asker


def _tell_who_ended(running: dict[int, socket.socket]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with contextlib.suppress(OSError), running.pop(pid) as asker:  # it may not want to know any more
                asker.send(str(os.waitstatus_to_exitcode(status)).encode())


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
    sys.stdout.reconfigure(write_through="PYTHONUNBUFFERED" in os.environ)  # type: ignore[union-attr]


def run(words: list[str]) -> None:
    """Do what `python` does with these arguments."""
    module = words[0] == "-m"
    sys.argv = words[1:] if module else words
    if module:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    load()
    gc.collect()
    gc.freeze()
    if (wanted := serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        run(wanted["words"])
