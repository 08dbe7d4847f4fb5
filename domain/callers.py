"""Callers, their API keys, and their shares.

A caller owns sessions, streams and usage; what another caller owns does not exist for it. A share is the most that one
owner may have of what all owners use.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from domain.errors import StreamForgeError

SCOPES = ("read", "chat", "documents", "keys", "admin")
"""The scopes that the program itself checks; a catalogue may name others for its models.

`read`: see one's own data. `chat`: create and change it. `documents`: create and change one's own documents. `keys`:
create keys, and revoke the key itself and those made with it. `admin`: see everyone's usage, and revoke all of one's
own keys.
"""
DEFAULT_SCOPES = frozenset({"read", "chat", "documents"})

ShareName = Literal["streams", "searches", "stored_bytes", "documents", "sessions", "tokens"]

_SENTENCES: Mapping[ShareName, str] = {
    "streams": "You have {used:,} answers running and may have {limit:,}. Wait until one has ended, or stop one.",
    "searches": "You have {used:,} searches running or waiting, may have {limit:,}, and this one got no turn. Try "
    "again when others have ended.",
    "stored_bytes": "Your documents take {used:,} bytes and may take {limit:,}, and there is no room for this one. "
    "Delete some of them first.",
    "documents": "You have {used:,} documents and may have {limit:,}. Delete one before you add another.",
    "sessions": "You have {used:,} sessions and may have {limit:,}. Delete one before you open another.",
    "tokens": "Of your {limit:,} tokens a day, {used:,} are used or set aside for answers that run, and this answer "
    "may take more than the rest. Ask for a shorter one, or try again later.",
}
_SCOPE = re.compile(r"[a-z][a-z0-9:._-]{0,49}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """An owner's id, and what one credential allows. `key_id` names the credential if it can be revoked.

    `unlimited` callers may do everything; the only one is `LOCAL`.
    """

    id: str
    scopes: frozenset[str]
    key_id: str | None = None
    unlimited: bool = False

    def may(self, scope: str) -> bool:
        """Whether the credential has this scope."""
        return self.unlimited or scope in self.scopes

    def require(self, scope: str) -> None:
        """Raise `insufficient_scope`, naming the scope, if the credential does not have it."""
        if not self.may(scope):
            raise StreamForgeError(
                "insufficient_scope", f"This needs the scope {scope!r}, which the key does not have."
            )


LOCAL = Caller("local", frozenset(SCOPES), unlimited=True)
"""The caller of every request when authentication is off. Its name is reserved: no key or token may have this owner, or
it would get everything that was stored while anybody on the machine could store it."""


def valid_scopes(names: Iterable[str]) -> frozenset[str]:
    """The names as a set; a malformed one raises a `ValueError` that says what is wrong with it."""
    scopes = frozenset(names)
    for name in scopes:
        if not _SCOPE.fullmatch(name):
            raise ValueError(
                f"{name[:50]!r} is not a scope: use up to 50 lower-case letters, digits and :._-, a letter first"
            )
    return scopes


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is stored about an API key; the key itself is not. Times are in seconds since the Unix epoch.

    `parent` is the key that it was made with; `None` if the operator made it.
    """

    id: str
    owner: str
    name: str
    prefix: str
    digest: bytes
    scopes: frozenset[str]
    created: float
    expires: float | None = None
    revoked: float | None = None
    last_used: float | None = None
    parent: str | None = None

    def usable(self, now: float) -> bool:
        """Whether it is neither revoked nor expired at `now`."""
        return self.revoked is None and (self.expires is None or now < self.expires)


@dataclass(frozen=True, slots=True)
class OwnerLimits:
    """The most that one owner may have; `None` means no limit.

    `searches` run at once, four times as many may wait. `tokens` are those of a day in UTC.
    """

    streams: int | None = None
    searches: int | None = None
    stored_bytes: int | None = None
    documents: int | None = None
    sessions: int | None = None
    tokens: int | None = None


UNLIMITED = OwnerLimits()


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a limit is used. `resets` is the ISO time at which all of it is free again, if that is known."""

    name: ShareName
    limit: int
    used: int
    resets: str | None = None

    def shown(self) -> dict[str, object]:
        """As clients see it."""
        return asdict(self)


def exceeded(share: Share, retry_after: int | None = None) -> StreamForgeError:
    """The refusal of a request that needs more than is left; `retry_after` only if waiting helps."""
    detail = _SENTENCES[share.name].format(used=share.used, limit=share.limit)
    return StreamForgeError("quota_exceeded", detail, retry_after=retry_after, share=share)
