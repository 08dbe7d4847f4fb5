"""Chroma for the tests, from the venv that `scripts/setup.py tests-chroma` makes, and places to keep vectors in it."""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import urllib.request
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from stores.vectors.base import VectorStore
from stores.vectors.chroma import open_chroma
from tests.support.server import ROOT, wait_for

VENV = ROOT / ".venv-chroma"


def installed() -> bool:
    """Whether Chroma can be imported. Its packages come last on the path, so that the tests' own versions win."""
    sites = list(VENV.glob("lib/python*/site-packages/chromadb"))
    if not sites:
        return False
    if str(sites[0].parent) not in sys.path:
        sys.path.append(str(sites[0].parent))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import chromadb  # noqa: F401
    return True


class ChromaServer:
    """A server with a port and a folder of its own, which it keeps across restarts."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it responds."""
        command = [str(VENV / "bin" / "chroma"), "run", "--path", str(self._folder), "--host", "127.0.0.1"]
        self._process = subprocess.Popen(
            [*command, "--port", str(self._port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
        )
        wait_for(self._answers, seconds=30)

    def kill(self) -> None:
        """Kill it with SIGKILL, as the kernel does when memory runs out."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def clear(self) -> None:
        """Forget everything."""
        url = f"{self.url}/api/v2/tenants/default_tenant/databases/default_database/collections"
        with urllib.request.urlopen(url, timeout=10) as answer:
            names = [collection["name"] for collection in json.loads(answer.read())]
        for name in names:
            urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", method="DELETE"), timeout=10).close()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/api/v2/heartbeat", timeout=2):
            return True
        return False


@contextlib.contextmanager
def chroma_server() -> Iterator[ChromaServer]:
    """A running server, removed at the end together with its folder."""
    with tempfile.TemporaryDirectory() as folder:
        server = ChromaServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


class ChromaPlace:
    """A folder or a server, for the contract tests of vector stores."""

    recall = 0.97

    def __init__(self, folder: Path, url: str | None) -> None:
        self._folder = folder
        self._url = url
        self.shared = url is not None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[VectorStore]:
        store = await open_chroma(self._folder, self._url)
        try:
            yield store
        finally:
            await store.close()

    async def know(self, owner: str, *document_ids: str) -> None:
        """It keeps whatever it is given."""
