"""T24: what is nearly an API key or a token is none, and what is signed but odd names no caller that cannot be."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import strategies as st

from domain.callers import LOCAL
from domain.text import UNWRITABLE
from services.access.jwt_tokens import MAX_OWNER, JwtTokens, TokenRules
from stores.issuer_keys import IssuerKeys
from tests.support.fuzzing import fuzz, mutated, odd_json
from tests.support.siege import Siege

KEY = ec.generate_private_key(ec.SECP256R1())
RULES = TokenRules("https://issuer.example", "streamforge", "sub", "scope")
CLAIMS = {
    "iss": RULES.issuer, "aud": [RULES.audience], "sub": "ann", "scope": "read chat", "exp": int(time.time()) + 86_400,
    "nbf": 1_700_000_000, "iat": 1_700_000_000, "jti": "x",
}  # fmt: skip
HEADER = {"alg": "ES256", "kid": "ec", "typ": "JWT"}


def test_no_text_that_is_nearly_a_key_is_one(besieged: Siege) -> None:
    good = f"Bearer {besieged.key.text}".encode()

    def test(value: bytes) -> None:
        value = value.translate(None, b"\r\n\0")[:8_000]
        raw = b"GET /models HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: " + value + b"\r\n\r\n"
        answer = besieged.connection.exchange(raw, "GET")
        assert answer is not None
        besieged.judge(answer, "/models", "GET")
        words = value.split()
        same = len(words) == 2 and words[0].lower() == b"bearer" and words[1] == good.split()[1]
        assert answer.status in ((200,) if same else (400, 401))

    fuzz(mutated(good, most=3) | mutated(b"Bearer a.b.c", most=3), test, count=150)


def test_no_signed_token_is_taken_for_what_it_is_not(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [{**public(), "kid": "ec"}]}))
    tokens = JwtTokens(IssuerKeys(str(tmp_path / "keys.json")), RULES)

    def test(signed: str) -> None:
        known = runner.run(tokens.check(signed))
        if known is not None:
            assert 0 < len(known.caller.id) <= MAX_OWNER
            assert not UNWRITABLE.search(known.caller.id)
            assert known.caller.id != LOCAL.id
            assert all(isinstance(scope, str) and scope == scope.lower() for scope in known.caller.scopes)
            assert known.expires is not None
            assert known.expires > time.time()

    with asyncio.Runner() as runner:
        assert runner.run(tokens.check(signed(json.dumps(HEADER).encode(), json.dumps(CLAIMS).encode()))) is not None
        fuzz(odd_tokens(), test, count=150)


@st.composite
def odd_tokens(draw: st.DrawFn) -> str:
    """Odd claims or an odd header, with a good signature; sometimes changed after that."""
    odd_header = draw(st.integers(0, 3)) == 0
    header = draw(odd_json(HEADER, most=2)) if odd_header else json.dumps(HEADER).encode()
    claims = json.dumps(CLAIMS).encode() if odd_header else draw(odd_json(CLAIMS, tuple(CLAIMS)))
    text = signed(header, claims)
    return draw(mutated(text.encode(), most=2)).decode("latin-1") if draw(st.integers(0, 5)) == 0 else text


def signed(header: bytes, claims: bytes) -> str:
    encode = jwt.utils.base64url_encode
    body = encode(header) + b"." + encode(claims)
    return (
        body + b"." + encode(jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(body, KEY))
    ).decode()


def public() -> dict[str, Any]:
    return dict(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True))
