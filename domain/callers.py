"""Who asks. A caller owns sessions, streams and usage; what another owns does not exist for it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from domain.errors import StreamForgeError

SCOPES = ("read", "chat", "documents", "keys", "admin")
"""What the program itself asks for; a catalogue may name others for its models.

`read`: look at what is one's own. `chat`: make and change it. `documents`: the same for documents. `keys`: make and
revoke one's own keys. `admin`: see the usage of all.
"""
DEFAULT_SCOPES = frozenset({"read", "chat", "documents"})

_SCOPE = re.compile(r"[a-z][a-z0-9:._-]{0,49}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """An owner, by its id, as one credential lets it act. `key_id` names that credential where it can be revoked.

    `unlimited` callers may do everything: the one that there is without authentication.
    """

    id: str
    scopes: frozenset[str]
    key_id: str | None = None
    unlimited: bool = False

    def may(self, scope: str) -> bool:
        """Whether the credential has this scope."""
        return self.unlimited or scope in self.scopes

    def require(self, scope: str) -> None:
        """Refuse with `insufficient_scope`, naming the scope."""
        if not self.may(scope):
            raise StreamForgeError(
                "insufficient_scope", f"This needs the scope {scope!r}, which the key does not have."
            )


LOCAL = Caller("local", frozenset(SCOPES), unlimited=True)
"""Everybody, where there is no authentication."""


def valid_scopes(names: Iterable[str]) -> frozenset[str]:
    """The names as a set, or a `ValueError` that says what is wrong with one."""
    scopes = frozenset(names)
    for name in scopes:
        if not _SCOPE.fullmatch(name):
            raise ValueError(f"{name[:50]!r} is no scope: a scope is lower-case letters, digits and :._- (50 at most)")
    return scopes


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of an API key, which itself is kept nowhere. Moments are in seconds since the Unix epoch."""

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

    def usable(self, now: float) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)
