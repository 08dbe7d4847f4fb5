"""JSON Web Tokens from the issuer in the settings: signed with RS256 or ES256, for this audience, and with an expiry.

PyJWT and cryptography are imported with the first token.
"""

import asyncio
import re
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from domain.callers import LOCAL, Caller, valid_scopes
from domain.text import UNWRITABLE
from services.access.auth_service import Known
from stores.issuer_keys import IssuerKeys

ALGORITHMS = ("RS256", "ES256")
LEEWAY = 10
"""Seconds by which the issuer's clock may differ from ours."""
MAX_OWNER = 200
MAX_SCOPES = 100

_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Which tokens are accepted, and which of their claims name the caller and its scopes."""

    issuer: str
    audience: str
    owner_claim: str
    scope_claim: str


class JwtTokens:
    """Checks tokens."""

    def __init__(self, keys: IssuerKeys, rules: TokenRules) -> None:
        self._keys = keys
        self._rules = rules
        self._jwt: Any = None

    async def check(self, text: str) -> Known | None:
        """The caller of a token; `None` unless its signature and all of its claims are right."""
        if not _TOKEN.fullmatch(text):
            return None
        if self._jwt is None:
            self._jwt = await asyncio.to_thread(import_module, "jwt")
        try:
            header = self._jwt.get_unverified_header(text)
            if header.get("alg") not in ALGORITHMS or "crit" in header:
                return None
            jwk = await self._keys.get(header.get("kid"))
            return self._known(self._claims(text, jwk)) if jwk is not None else None
        except (self._jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError):
            return None  # a faulty token, or a key that the issuer should not have published

    def _claims(self, text: str, jwk: dict[str, Any]) -> dict[str, Any]:
        key = self._jwt.PyJWK(jwk)  # has its own algorithm: a token cannot choose another
        claims: dict[str, Any] = self._jwt.PyJWT({"enforce_minimum_key_length": True}).decode(
            text,
            key,
            algorithms=list(ALGORITHMS),
            issuer=self._rules.issuer,
            audience=self._rules.audience,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", "aud"]},
        )
        return claims

    def _known(self, claims: dict[str, Any]) -> Known | None:
        owner = claims.get(self._rules.owner_claim)
        if not isinstance(owner, str) or not 0 < len(owner) <= MAX_OWNER or UNWRITABLE.search(owner):
            return None
        if owner == LOCAL.id:
            return None
        return Known(Caller(owner, _scopes(claims.get(self._rules.scope_claim))), int(claims["exp"]) + LEEWAY)


def _scopes(claim: Any) -> frozenset[str]:
    """The scopes in a list or in a space-separated string; those in another form are for other services."""
    words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    found: set[str] = set()
    for word in words[:MAX_SCOPES]:
        try:
            found |= valid_scopes([word])
        except (TypeError, ValueError):
            continue
    return frozenset(found)
