"""Issues tokens for AUTH_MODE=jwt, with a key of its own in a file."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from domain.callers import SCOPES


@dataclass(frozen=True)
class Token:
    """One that was issued."""

    text: str


class Issuer:
    """An issuer whose keys are in a file of this folder."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        file = folder / "jwks.json"
        file.write_text(json.dumps({"keys": [{**public, "kid": "one"}]}))
        self.settings: dict[str, Any] = {
            "AUTH_MODE": "jwt",
            "JWT_JWKS": str(file),
            "JWT_ISSUER": "https://issuer.example",
            "JWT_AUDIENCE": "streamforge",
        }

    def token(self, owner: str, scopes: frozenset[str] = frozenset(SCOPES), seconds: float = 3_600) -> Token:
        """A token of this owner; `seconds` below zero make one that has expired."""
        claims = {
            "iss": self.settings["JWT_ISSUER"],
            "aud": self.settings["JWT_AUDIENCE"],
            "sub": owner,
            "scope": " ".join(scopes),
            "exp": time.time() + seconds,
        }
        return Token(jwt.encode(claims, self._key, "ES256", headers={"kid": "one"}))
