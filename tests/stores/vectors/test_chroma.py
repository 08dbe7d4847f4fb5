"""What is Chroma's own: a folder for one process alone, and a server that may be away."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.documents import Index, PieceKey
from domain.errors import StreamForgeError
from domain.messages import new_id
from stores.vectors.chroma import open_chroma
from stores.vectors.chroma_folder import ChromaError, check_chroma
from tests.conftest import missing
from tests.stores.vectors.places import unit
from tests.support.chroma import ChromaServer, chroma_server, installed
from tests.support.server import ROOT

INDEX = Index("m", 3)
EAST, NORTH = unit(1, 0, 0), unit(0, 1, 0)


@pytest.fixture(autouse=True)
def there() -> None:
    if not installed():
        missing("Chroma")


@pytest.fixture
def server() -> Iterator[ChromaServer]:
    """A server of the test's own."""
    with chroma_server() as server:
        yield server


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What another process makes of it."""
    site = next(path for path in sys.path if ".venv-chroma" in path)
    start = f"import sys; sys.path.append({site!r})\nfrom pathlib import Path\n"
    return subprocess.run(
        [sys.executable, "-c", start + program, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def test_a_folder_that_is_open_is_nobody_elses(tmp_path: Path) -> None:
    folder = tmp_path / "chroma"
    await asyncio.to_thread(check_chroma, folder)
    assert await asyncio.to_thread(os.listdir, tmp_path) == []
    store = await open_chroma(folder)
    program = "from stores.vectors.chroma_folder import check_chroma; check_chroma(Path(sys.argv[1]))"
    other = await asyncio.to_thread(run, program, str(folder))
    assert "ChromaError: Another process has Chroma's folder" in other.stderr
    with pytest.raises(ChromaError, match="CHROMA_URL"):
        await open_chroma(folder)
    await store.close()
    await asyncio.to_thread(check_chroma, folder)
    assert ((await asyncio.to_thread(folder.stat)).st_mode & 0o777) == 0o700


async def test_what_is_kept_survives_a_killed_process(tmp_path: Path) -> None:
    document_id = new_id()
    program = (
        "import asyncio, os, signal\n"
        "from domain.documents import Index\n"
        "from stores.vectors.chroma import open_chroma\n"
        "async def main():\n"
        "    store = await open_chroma(Path(sys.argv[1]))\n"
        "    await store.add(Index('m', 3), 'ann', sys.argv[2], [bytes.fromhex(sys.argv[3])])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    ended = await asyncio.to_thread(run, program, str(tmp_path / "chroma"), document_id, EAST.hex())
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    store = await open_chroma(tmp_path / "chroma")
    hits = await store.search(INDEX, "ann", EAST, document_ids=None, limit=3)
    await store.close()
    assert [hit.key for hit in hits] == [PieceKey(document_id, 0)]


async def test_settings_of_other_programs_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its package reads the environment, and `.env` where it stands."""
    (tmp_path / ".env").write_text("CHROMA_URL=x\nVECTOR_STORE_TYPE=chroma\nIS_PERSISTENT=false\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSIST_DIRECTORY", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("ANONYMIZED_TELEMETRY", "true")
    store = await open_chroma(tmp_path / "chroma")
    await store.add(INDEX, "ann", new_id(), [EAST])
    await store.close()
    assert sorted(path.name for path in await asyncio.to_thread(os.scandir, tmp_path)) == [".env", "chroma"]


async def test_a_server_that_is_away_is_a_failure_until_it_is_back(server: ChromaServer, tmp_path: Path) -> None:
    document_id = new_id()
    store = await open_chroma(tmp_path / "unused", server.url)
    await store.add(INDEX, "ann", document_id, [EAST, NORTH])
    server.kill()
    with pytest.raises(StreamForgeError) as caught:
        await store.search(INDEX, "ann", EAST, document_ids=None, limit=3)
    assert caught.value.code == "storage_unavailable"
    server.start()
    hits = await store.search(INDEX, "ann", NORTH, document_ids=None, limit=3)
    await store.close()
    assert [hit.key.number for hit in hits] == [1, 0]
    assert await asyncio.to_thread(os.listdir, tmp_path) == []


async def test_a_proxy_of_the_environment_is_not_asked(
    server: ChromaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    store = await open_chroma(tmp_path, server.url.replace("//", "//user:pass-word@"))
    await store.add(INDEX, "ann", new_id(), [EAST])
    assert len(await store.search(INDEX, "ann", EAST, document_ids=None, limit=3)) == 1
    await store.close()


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ChromaError, match="cannot be written"):
        check_chroma(file)
    assert os.listdir(tmp_path) == ["file"]
