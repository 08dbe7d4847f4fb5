"""The public keys of a token issuer: a JWK set from an https URL or a file, kept for a while."""

import asyncio
import json
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import structlog

from domain.errors import StreamForgeError

MAX_BYTES = 256 * 1024
MAX_KEYS = 100
SECONDS = 5.0
"""The limit for one fetch, from connecting to the last byte."""
FRESH = 300.0
"""Seconds for which keys count as fresh. After that they are fetched again in the background."""
PAUSE = 30.0
"""The least seconds between two fetches, no matter how many tokens name unknown keys."""

_HEADERS = {"accept": "application/json", "accept-encoding": "identity"}  # no compression: it could expand to any size

Jwk = dict[str, Any]

log = structlog.get_logger("tokens")


class IssuerKeys:
    """The issuer's keys by id. `clock` returns monotonic seconds."""

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._keys: dict[str | None, Jwk] | None = None
        self._fetched = -FRESH
        self._asked = -PAUSE
        self._task: asyncio.Task[None] | None = None

    async def get(self, key_id: str | None) -> Jwk | None:
        """The key with this id; without an id, the only key. Raises `auth_unavailable` before the first successful
        fetch."""
        due = self._clock() - self._asked >= PAUSE
        if self._keys is None or ((due or self._task is not None) and key_id not in self._keys):
            await self._fetch(due)
        elif due and self._clock() - self._fetched >= FRESH:
            self._begin()
        if self._keys is None:
            raise StreamForgeError("auth_unavailable", retry_after=5)
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    async def close(self) -> None:
        """Cancel a fetch that is in progress."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _fetch(self, due: bool) -> None:
        """Fetch the keys, or wait for a fetch that is in progress: concurrent callers share one."""
        if self._task is None and due:
            self._begin()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _begin(self) -> None:
        self._asked = self._clock()
        self._task = asyncio.create_task(self._renew(), name="issuer keys")

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                body = await (self._download() if "://" in self._source else asyncio.to_thread(self._read))
            self._keys = _parse(body)
            self._fetched = self._clock()
        except Exception as error:
            log.error("the keys of the token issuer could not be fetched", exc_info=error)
        finally:
            self._task = None

    def _read(self) -> bytes:
        with Path(self._source).open("rb") as file:
            return file.read(MAX_BYTES + 1)

    async def _download(self) -> bytes:
        """The body. Follows no redirects, ignores the environment's proxies, and raises for any status but 200."""
        await asyncio.to_thread(import_module, "httpx2")
        import httpx2

        client = await asyncio.to_thread(httpx2.AsyncClient, trust_env=False, follow_redirects=False, timeout=SECONDS)
        body = b""
        async with client, client.stream("GET", self._source, headers=_HEADERS) as response:
            if response.status_code != 200:
                raise ValueError("the status is not 200")
            async for part in response.aiter_raw(16_384):
                body += part
                if len(body) > MAX_BYTES:
                    break
        return body


def _parse(body: bytes) -> dict[str | None, Jwk]:
    if len(body) > MAX_BYTES:
        raise ValueError("too large")
    keys = json.loads(body)["keys"]
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise ValueError("not a list of at most 100 keys")
    signing = [key for key in keys if isinstance(key, dict) and key.get("use", "sig") == "sig"]
    return {key.get("kid"): key for key in signing if isinstance(key.get("kid"), str | None)}
