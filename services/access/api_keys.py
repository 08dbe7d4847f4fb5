"""API keys: `sf_<id>_<secret>_<checksum>`. A key is shown once; only its HMAC-SHA-256 under the server's secret is
stored.

The key's secret part has 256 random bits, so no slow hash is needed. The checksum tells a mistyped key from a wrong one
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

from domain.callers import LOCAL, ApiKey, Caller
from domain.errors import StreamForgeError
from services.access.auth_service import Known

MAX_KEYS = 100
"""The most usable keys that one owner may have."""
USED_EVERY = 60.0

log = structlog.get_logger("keys")

_KEY = re.compile(r"(sf_([0-9a-f]{16})_[0-9a-f]{64})_([0-9a-f]{8})", re.ASCII)
_KEY_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_NOBODY = bytes(32)


class KeyRepository(Protocol):
    """Stores API keys. Every method raises `storage_unavailable` if they cannot be reached."""

    async def create(self, key: ApiKey) -> bool:
        """Store a new key; false if the one that it was made with is no longer usable."""

    async def get(self, key_id: str) -> ApiKey | None:
        """The key, also if it is revoked or expired."""

    async def list(self, owner: str | None) -> Sequence[ApiKey]:
        """The keys of an owner, or of all owners if it is `None`, newest first."""

    async def count(self, owner: str, now: float) -> int:
        """How many usable keys the owner has."""

    async def revoke(
        self, key_id: str, when: float, *, owner: str | None = None, by: str | None = None
    ) -> Collection[str]:
        """Revoke the owner's key and all keys made with it, at any depth; returns their ids, none if there is no such
        key. `by` can revoke only itself and what was made with it."""

    async def prune(self, dead_before: float) -> int:
        """Delete some keys that were revoked or had expired by then, those made with others first; returns how many."""

    async def used(self, key_id: str, when: float) -> None:
        """Set when the key was last used."""

    async def unusable(self, key_ids: Collection[str], now: float) -> set[str]:
        """The ids whose keys are revoked, expired or unknown."""


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key. `text` is the key itself, which cannot be shown again."""

    key: ApiKey
    text: str


def make_key(
    secret: bytes,
    owner: str,
    *,
    name: str,
    scopes: frozenset[str],
    now: float,
    expires: float | None,
    parent: str | None = None,
) -> MadeKey:
    """A fresh key of this owner; times are in seconds since the Unix epoch. `parent` is the key that asked for it."""
    if owner == LOCAL.id:
        raise ValueError(f"no key may belong to {owner!r}, which owns what is stored without authentication")
    key_id = secrets.token_hex(8)
    prefix = f"sf_{key_id}"
    body = f"{prefix}_{secrets.token_hex(32)}"
    text = f"{body}_{_checksum(body)}"
    key = ApiKey(key_id, owner, name, prefix, digest_of(secret, text), scopes, now, expires, parent=parent)
    return MadeKey(key, text)


def digest_of(secret: bytes, text: str) -> bytes:
    """The form in which a key is stored: HMAC-SHA-256, 32 bytes."""
    return hmac.digest(secret, text.encode(), hashlib.sha256)


def key_id_of(text: str) -> str | None:
    """The id in a key; `None` if the text is not a key, or is mistyped."""
    match = _KEY.fullmatch(text)
    return match[2] if match and _checksum(match[1]) == match[3] else None


class ApiKeys:
    """Checks, creates, lists and revokes keys."""

    def __init__(self, store: KeyRepository, secret: bytes, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._secret = secret
        self._now = now
        self._notes: dict[str, asyncio.Task[None]] = {}

    async def check(self, text: str) -> Known | None:
        """The caller whose key it is, or `None`. An unknown id and a wrong secret take the same steps."""
        key_id = key_id_of(text)
        if key_id is None:
            return None
        key = await self._store.get(key_id)
        matches = hmac.compare_digest(key.digest if key else _NOBODY, digest_of(self._secret, text))
        if key is None or not matches or not key.usable(self._now()) or key.owner == LOCAL.id:
            return None
        self._note(key)
        return Known(Caller(key.owner, key.scopes, key.id), key.expires)

    async def create(self, maker: Caller, *, name: str, scopes: frozenset[str], seconds: float | None) -> MadeKey:
        """Create a key for the maker, with no more scopes and no longer life than the key that the request was made
        with."""
        if missing := sorted(scope for scope in scopes if not maker.may(scope)):
            detail = f"A key cannot give the scope {missing[0]!r}, which it does not have itself."
            raise StreamForgeError("insufficient_scope", detail)
        now = self._now()
        parent = await self._store.get(maker.key_id or "")  # read again: it may have been revoked a moment ago
        if parent is None or not parent.usable(now):
            raise StreamForgeError("unauthenticated")
        if await self._store.count(maker.id, now) >= MAX_KEYS:
            raise StreamForgeError("invalid_request", f"You already have {MAX_KEYS} keys. Revoke one first.")
        ends = [moment for moment in (parent.expires, now + seconds if seconds else None) if moment is not None]
        end = min(ends, default=None)
        made = make_key(self._secret, maker.id, name=name, scopes=scopes, now=now, expires=end, parent=parent.id)
        if not await self._store.create(made.key):  # revoked in this very moment
            raise StreamForgeError("unauthenticated")
        return made

    async def list(self, caller: Caller) -> Sequence[ApiKey]:
        """The caller's keys, newest first."""
        return await self._store.list(caller.id)

    async def revoke(self, caller: Caller, key_id: str) -> Collection[str]:
        """Revoke the key that the caller uses, or one made with it; with the scope `admin` any key of the owner.

        What was made with the key is revoked as well. Returns the ids of all; raises `key_not_found` for other keys.
        """
        by = None if caller.may("admin") else caller.key_id
        gone: Collection[str] = ()
        if _KEY_ID.fullmatch(key_id):
            gone = await self._store.revoke(key_id, self._now(), owner=caller.id, by=by)
        if not gone:
            raise StreamForgeError("key_not_found")
        return gone

    async def close(self) -> None:
        """Wait up to a second for pending notes of last use to be stored."""
        if self._notes:
            await asyncio.wait(self._notes.values(), timeout=1)

    def _note(self, key: ApiKey) -> None:
        """Store, once a minute and in the background, that the key is used."""
        now = self._now()
        if key.id not in self._notes and now - (key.last_used or 0) >= USED_EVERY:
            task = self._notes[key.id] = asyncio.create_task(self._write(key.id, now), name="key used")
            task.add_done_callback(lambda _: self._notes.pop(key.id, None))

    async def _write(self, key_id: str, now: float) -> None:
        try:
            await self._store.used(key_id, now)
        except Exception as error:
            log.warning("the use of a key could not be stored", exc_info=error)


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
