"""API keys: `sf_<id>_<secret>_<checksum>`. A key is shown once; what is kept is its HMAC-SHA-256 under a secret.

The secret half has 256 random bits, so no slow hash is needed. The checksum tells a mistyped key from a wrong one
without asking the database.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from domain.callers import ApiKey, Caller
from domain.errors import StreamForgeError
from services.access.auth_service import Known

MAX_KEYS = 100
"""Keys in use that one owner may have."""
USED_EVERY = 60.0

log = structlog.get_logger("keys")

_KEY = re.compile(r"(sf_([0-9a-f]{16})_[0-9a-f]{64})_([0-9a-f]{8})", re.ASCII)
_KEY_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_NOBODY = bytes(32)


class KeyRepository(Protocol):
    """Where keys are kept. `storage_unavailable` where they cannot be reached."""

    async def create(self, key: ApiKey) -> None:
        """Keep a new key."""

    async def get(self, key_id: str) -> ApiKey | None:
        """The key of this id, revoked or not."""

    async def list(self, owner: str | None) -> Sequence[ApiKey]:
        """The owner's keys, or everybody's; newest first."""

    async def revoke(self, key_id: str, when: float, *, owner: str | None = None) -> bool:
        """Revoke it, if it is the owner's; false where there is no such key. A revoked one stays as it is."""

    async def used(self, key_id: str, when: float) -> None:
        """It was used then."""

    async def unusable(self, key_ids: Collection[str], now: float) -> set[str]:
        """Those of the ids that are revoked, expired or unknown."""


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key; `text` is the key itself, which nobody can show again."""

    key: ApiKey
    text: str


def make_key(
    secret: bytes, owner: str, *, name: str, scopes: frozenset[str], now: float, expires: float | None
) -> MadeKey:
    """A fresh key of this owner; moments in seconds since the Unix epoch."""
    key_id = secrets.token_hex(8)
    prefix = f"sf_{key_id}"
    body = f"{prefix}_{secrets.token_hex(32)}"
    text = f"{body}_{_checksum(body)}"
    return MadeKey(ApiKey(key_id, owner, name, prefix, digest_of(secret, text), scopes, now, expires), text)


def digest_of(secret: bytes, text: str) -> bytes:
    """What is kept of a key."""
    return hmac.digest(secret, text.encode(), hashlib.sha256)


def key_id_of(text: str) -> str | None:
    """The id in a key; `None` where it is none, or mistyped."""
    match = _KEY.fullmatch(text)
    return match[2] if match and _checksum(match[1]) == match[3] else None


class ApiKeys:
    """Checks keys, makes them and revokes them."""

    def __init__(self, store: KeyRepository, secret: bytes, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._secret = secret
        self._now = now
        self._notes: dict[str, asyncio.Task[None]] = {}

    async def check(self, text: str) -> Known | None:
        """Whose key it is. An unknown id and a wrong secret take the same steps."""
        key_id = key_id_of(text)
        if key_id is None:
            return None
        key = await self._store.get(key_id)
        matches = hmac.compare_digest(key.digest if key else _NOBODY, digest_of(self._secret, text))
        if key is None or not matches or not key.usable(self._now()):
            return None
        self._note(key)
        return Known(Caller(key.owner, key.scopes, key.id), key.expires)

    async def create(self, maker: Caller, *, name: str, scopes: frozenset[str], seconds: float | None) -> MadeKey:
        """A key of the maker's own, which can do and lasts no more than the one it was made with."""
        if missing := sorted(scope for scope in scopes if not maker.may(scope)):
            raise StreamForgeError("insufficient_scope", f"A key cannot give the scope {missing[0]!r}: it has none.")
        now = self._now()
        parent = await self._store.get(maker.key_id or "")  # afresh: it may have been revoked a moment ago
        if parent is None or not parent.usable(now):
            raise StreamForgeError("unauthenticated")
        if sum(key.usable(now) for key in await self._store.list(maker.id)) >= MAX_KEYS:
            raise StreamForgeError("invalid_request", f"There are {MAX_KEYS} keys already. Revoke one first.")
        ends = [moment for moment in (parent.expires, now + seconds if seconds else None) if moment is not None]
        made = make_key(self._secret, maker.id, name=name, scopes=scopes, now=now, expires=min(ends, default=None))
        await self._store.create(made.key)
        return made

    async def list(self, caller: Caller) -> Sequence[ApiKey]:
        """The caller's keys, newest first."""
        return await self._store.list(caller.id)

    async def revoke(self, caller: Caller, key_id: str) -> None:
        """Revoke one of the caller's keys; `key_not_found` for any other."""
        if not _KEY_ID.fullmatch(key_id) or not await self._store.revoke(key_id, self._now(), owner=caller.id):
            raise StreamForgeError("key_not_found")

    async def close(self) -> None:
        """Let the last notes be written, for a second."""
        if self._notes:
            await asyncio.wait(self._notes.values(), timeout=1)

    def _note(self, key: ApiKey) -> None:
        """Write down, once a minute and in nobody's way, that the key is used."""
        now = self._now()
        if key.id not in self._notes and now - (key.last_used or 0) >= USED_EVERY:
            task = self._notes[key.id] = asyncio.create_task(self._write(key.id, now), name="key used")
            task.add_done_callback(lambda _: self._notes.pop(key.id, None))

    async def _write(self, key_id: str, now: float) -> None:
        try:
            await self._store.used(key_id, now)
        except Exception as error:
            log.warning("the use of a key could not be written down", exc_info=error)


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
