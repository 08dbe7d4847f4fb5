"""Chroma in a folder, in this process. Imported on first use, because its package is large and optional.

A second process would corrupt the folder, so a lock on a file in it keeps others out while it is open.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, TypeVar

import structlog

from domain.errors import StreamForgeError
from domain.streams import RETRY_AFTER
from stores.vectors.chroma import CONFIGURATION, Where

log = structlog.get_logger("stores.chroma")

SECONDS = 60.0
"""The limit for one call."""
_THREADS = 4

T = TypeVar("T")


class ChromaError(Exception):
    """The folder cannot be used. The message is a sentence that says why."""


def check_chroma(folder: Path) -> None:
    """Raise a `ChromaError` if this process cannot use the folder. Nothing is created, imported or locked."""
    if find_spec("chromadb") is None:
        raise ChromaError("VECTOR_STORE_TYPE is chroma, which is not installed: `make chroma` installs it.")
    if folder.exists():
        lock = _lock(folder)
        lock.close()


def _lock(folder: Path) -> IO[bytes]:
    try:
        lock = (folder / ".streamforge.lock").open("ab")
    except OSError as error:
        raise ChromaError(f"Chroma's folder {folder} cannot be written: {error.strerror}.") from None
    try:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # not on Windows, where an open file keeps others out anyway
        pass
    except OSError:
        lock.close()
        raise ChromaError(
            f"Another process has Chroma's folder {folder} open, and two would break it. Stop the other one, or set "
            "CHROMA_URL to a Chroma server."
        ) from None
    return lock


class FolderCollections:
    """The collections of one folder. Opening it blocks for about a second; raises `ChromaError` if that fails."""

    def __init__(self, folder: Path) -> None:
        check_chroma(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _lock(folder)
        import chromadb
        from chromadb.config import Settings as Options

        self._missing: type[Exception] = chromadb.errors.NotFoundError
        # Given here, a variable of the environment does not count.
        quiet = Options(anonymized_telemetry=False, chroma_otel_collection_endpoint="", is_persistent=True)
        self._client: Any = chromadb.PersistentClient(str(folder), settings=quiet)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="chroma")

    async def names(self) -> list[str]:
        return await self._call(self._names)

    async def upsert(
        self, name: str, ids: list[str], vectors: list[list[float]], metadatas: list[dict[str, str]]
    ) -> None:
        await self._call(self._upsert, name, ids, vectors, metadatas)

    async def query(self, name: str, vector: list[float], where: Where, limit: int) -> list[tuple[str, float]]:
        return await self._call(self._query, name, vector, where, limit)

    async def vectors(self, name: str, ids: list[str], where: Where) -> list[tuple[str, list[float]]]:
        return await self._call(self._vectors, name, ids, where)

    async def forget(self, name: str, where: Where) -> None:
        await self._call(self._forget, name, where)

    async def drop(self, name: str) -> None:
        await self._call(self._drop, name)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._client.close)
        self._lock.close()

    def _names(self) -> list[str]:
        return [collection.name for collection in self._client.list_collections()]

    def _upsert(self, name: str, ids: list[str], vectors: list[list[float]], metadatas: list[dict[str, str]]) -> None:
        # Without an embedding function: the default one would be downloaded.
        collection = self._client.get_or_create_collection(name, embedding_function=None, configuration=CONFIGURATION)
        collection.upsert(ids=ids, embeddings=vectors, metadatas=metadatas)

    def _query(self, name: str, vector: list[float], where: Where, limit: int) -> list[tuple[str, float]]:
        with contextlib.suppress(self._missing):
            collection = self._client.get_collection(name, embedding_function=None)
            found = collection.query(query_embeddings=[vector], n_results=limit, where=where, include=["distances"])
            return list(zip(found["ids"][0], map(float, found["distances"][0]), strict=True))
        return []

    def _vectors(self, name: str, ids: list[str], where: Where) -> list[tuple[str, list[float]]]:
        with contextlib.suppress(self._missing):
            collection = self._client.get_collection(name, embedding_function=None)
            found = collection.get(ids=ids, where=where, include=["embeddings"])
            return [(one, list(map(float, row))) for one, row in zip(found["ids"], found["embeddings"], strict=True)]
        return []

    def _forget(self, name: str, where: Where) -> None:
        with contextlib.suppress(self._missing):
            self._client.get_collection(name, embedding_function=None).delete(where=where)

    def _drop(self, name: str) -> None:
        with contextlib.suppress(self._missing):
            self._client.delete_collection(name)

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        work = asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *arguments))
        try:
            async with asyncio.timeout(SECONDS):
                return await work
        except Exception as error:
            full = "full" in str(error) or getattr(error, "errno", None) in (28, 122)  # ENOSPC, EDQUOT
            log.warning("chroma_failed", reason=type(error).__name__, pid=os.getpid())
            raise StreamForgeError(
                "storage_full" if full else "storage_unavailable", retry_after=RETRY_AFTER
            ) from error
