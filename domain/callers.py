"""Callers and API keys. A caller owns sessions, streams and usage; what another caller owns does not exist for it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from domain.errors import StreamForgeError

SCOPES = ("read", "chat", "documents", "keys", "admin")
"""The scopes that the program itself checks; a catalogue may name others for its models.

`read`: see one's own data. `chat`: create and change it. `documents`: create and change one's own documents. `keys`:
create keys, and revoke the key itself and those made with it. `admin`: see everyone's usage, and revoke all of one's
own keys.
"""
DEFAULT_SCOPES = frozenset({"read", "chat", "documents"})

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
