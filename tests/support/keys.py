"""Creates API keys for tests in the same place as the command line does."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from domain.callers import SCOPES
from services.access.api_keys import MadeKey, make_key
from services.access.secret import read_secret
from stores.sql.engine.database import open_database
from stores.sql.keys import KeyStore

EVERYTHING = frozenset(SCOPES)


@dataclass(frozen=True)
class KeyRing:
    """Creates and revokes keys in a data folder, independently of any server that uses it."""

    folder: Path
    database: str | None = None
    """The database's URL, if it is not a file in the folder."""

    def make(
        self,
        owner: str,
        scopes: frozenset[str] = EVERYTHING,
        seconds: float | None = None,
        parent: str | None = None,
    ) -> MadeKey:
        """A new key of this owner, as if the key `parent` had made it."""
        now = time.time()
        expires = now + seconds if seconds is not None else None
        made = make_key(
            read_secret(None, self.folder), owner, name="", scopes=scopes, now=now, expires=expires,
            parent=parent,
        )  # fmt: skip
        asyncio.run(self._create(made))
        return made

    def revoke(self, key_id: str) -> None:
        """Revoke it behind the server's back, as another process would."""
        asyncio.run(self._revoke(key_id))

    @property
    def url(self) -> str:
        return self.database or f"sqlite:///{self.folder / 'streamforge.db'}"

    async def _create(self, made: MadeKey) -> None:
        async with open_database(self.url) as database:
            await KeyStore(database).create(made.key)

    async def _revoke(self, key_id: str) -> None:
        async with open_database(self.url) as database:
            assert await KeyStore(database).revoke(key_id, time.time())


class Credential(Protocol):
    """A key, or a token."""

    @property
    def text(self) -> str: ...


def bearer(made: Credential) -> dict[str, str]:
    """The header with the credential."""
    return {"authorization": f"Bearer {made.text}"}
