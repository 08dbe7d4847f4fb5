"""A Chroma server, used through its HTTP API (version 2), which is small enough to need no package.

As with every other server, redirects and the environment's proxies are ignored, certificates are verified, and every
wait has a limit.
"""

import asyncio
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import orjson
import structlog

from domain.errors import StreamForgeError
from domain.streams import RETRY_AFTER
from stores.vectors.chroma import CONFIGURATION, Where

log = structlog.get_logger("stores.chroma")

SECONDS = 30.0
"""The limit for one request, from connecting to the last byte."""
MAX_BYTES = 32 * 1024 * 1024
_COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"
_HEADERS = {"content-type": "application/json", "accept-encoding": "identity"}
_PAGE = 100


class ServerCollections:
    """The collections of the server at `url`, which may contain a user and a password."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        login = (parts.username or "", parts.password or "") if parts.username else None
        self._client = httpx2.AsyncClient(
            base_url=address, auth=login, trust_env=False, follow_redirects=False, timeout=SECONDS, headers=_HEADERS
        )
        self._ids: dict[str, str] = {}

    async def names(self) -> list[str]:
        names: list[str] = []
        while True:
            page = await self._ask("GET", f"?limit={_PAGE}&offset={len(names)}")
            names += [collection["name"] for collection in page or []]
            if not page or len(page) < _PAGE:
                return names

    async def upsert(
        self, name: str, ids: list[str], vectors: list[list[float]], metadatas: list[dict[str, str]]
    ) -> None:
        body = await asyncio.to_thread(orjson.dumps, {"ids": ids, "embeddings": vectors, "metadatas": metadatas})
        if await self._ask("POST", f"/{await self._made(name)}/upsert", body) is None:
            del self._ids[name]  # another process has dropped it meanwhile
            if await self._ask("POST", f"/{await self._made(name)}/upsert", body) is None:
                raise _unavailable("the collection disappears again and again")

    async def query(self, name: str, vector: list[float], where: Where, limit: int) -> list[tuple[str, float]]:
        body = {"query_embeddings": [vector], "where": where, "n_results": limit, "include": ["distances"]}
        found = await self._of(name, "query", body)
        return list(zip(found["ids"][0], map(float, found["distances"][0]), strict=True)) if found else []

    async def vectors(self, name: str, ids: list[str], where: Where) -> list[tuple[str, list[float]]]:
        found = await self._of(name, "get", {"ids": ids, "where": where, "include": ["embeddings"]})
        return list(zip(found["ids"], found["embeddings"], strict=True)) if found else []

    async def forget(self, name: str, where: Where) -> None:
        await self._of(name, "delete", {"where": where})

    async def drop(self, name: str) -> None:
        self._ids.pop(name, None)
        await self._ask("DELETE", f"/{name}")

    async def close(self) -> None:
        await self._client.aclose()

    async def _made(self, name: str) -> str:
        """The collection's id; it is created if it does not exist."""
        if name not in self._ids:
            body = {"name": name, "get_or_create": True, "configuration": CONFIGURATION}
            made = await self._ask("POST", "", orjson.dumps(body))
            if made is None:
                raise _unavailable("no such tenant or database")
            self._ids[name] = made["id"]
        return self._ids[name]

    async def _of(self, name: str, verb: str, body: dict[str, Any]) -> Any:
        """The response to a request on a collection; `None` if the collection does not exist."""
        for _ in range(2):
            known = self._ids.get(name)
            if known is None:
                found = await self._ask("GET", f"/{name}")
                if found is None:
                    return None
                known = self._ids[name] = found["id"]
            answer = await self._ask("POST", f"/{known}/{verb}", orjson.dumps(body))
            if answer is not None:
                return answer
            self._ids.pop(name, None)  # it was dropped meanwhile, and perhaps created again
        return None

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        """The response's JSON; `None` for a 404."""
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._client.stream(method, _COLLECTIONS + path, content=body) as response,
            ):
                received = b""
                async for part in response.aiter_raw(65_536):
                    received += part
                    if len(received) > MAX_BYTES:
                        raise ValueError("the response is too large")
            if response.status_code == 404:
                return None
            if not 200 <= response.status_code < 300:
                raise ValueError(f"status {response.status_code}")
            return orjson.loads(received) if received else {}
        except (httpx2.HTTPError, ValueError, TimeoutError, OSError) as error:
            raise _unavailable(str(error) if isinstance(error, ValueError) else type(error).__name__) from error


def _unavailable(reason: str) -> StreamForgeError:
    log.warning("chroma_failed", reason=reason)
    return StreamForgeError("storage_unavailable", retry_after=RETRY_AFTER)
