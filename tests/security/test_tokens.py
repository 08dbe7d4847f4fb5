"""AUTH_MODE=jwt: only tokens of the issuer, for this audience, signed as agreed, and not too old; keys come and go.

F20: nor is a token good beyond its end because a clock jumps.

Shows T18 as well.
"""

import asyncio
import base64
import json
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.callers import Caller
from domain.errors import StreamForgeError
from services.access.auth_service import AuthService
from services.access.jwt_tokens import JwtTokens, TokenRules
from stores import issuer_keys
from stores.issuer_keys import IssuerKeys
from tests.journeys.streams.test_reading import code_of
from tests.support.effort import examples
from tests.support.server import LiveServer

Serve = Callable[..., LiveServer]
RULES = TokenRules("https://issuer.example", "streamforge", "sub", "scope")

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WEAK_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
P384_KEY = ec.generate_private_key(ec.SECP384R1())
HOUR = time.time() + 3_600
SHARED = b"a secret that both sides know, 32 bytes or more"


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


KEYS = [
    jwk(RSA_KEY, "rsa", use="sig"),
    jwk(EC_KEY, "ec"),
    jwk(OTHER_RSA, "enc", use="enc"),
    jwk(WEAK_RSA, "weak"),
    jwk(P384_KEY, "p384"),
    jwk(OTHER_RSA, "ps", alg="PS256"),
    {"kty": "oct", "kid": "oct", "k": base64.urlsafe_b64encode(SHARED).decode().rstrip("=")},
    {"kty": "RSA", "kid": "broken", "n": "!", "e": []},
]


def claims(**more: Any) -> dict[str, Any]:
    good = {"iss": RULES.issuer, "aud": RULES.audience, "sub": "ann", "scope": "openid read chat", "exp": HOUR}
    return {name: value for name, value in {**good, **more}.items() if value is not None}


def token(key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "rsa", **more: Any) -> str:
    with warnings.catch_warnings(action="ignore"):  # one of the keys is weak
        return jwt.encode(claims(**more), key, algorithm, headers={"kid": kid} if kid else {})


def unsigned(algorithm: str, **more: Any) -> str:
    """A token whose signature is empty."""
    parts = ({"alg": algorithm, "kid": "rsa", **more}, claims())
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".AA"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": KEYS}))
    return path


@pytest.fixture
def server(serve: Serve, file: Path) -> LiveServer:
    return serve(AUTH_MODE="jwt", JWT_JWKS=str(file), JWT_ISSUER=RULES.issuer, JWT_AUDIENCE=RULES.audience)


def ask(server: LiveServer, text: str, verb: str = "GET", path: str = "models", **more: Any) -> httpx.Response:
    return httpx.request(verb, f"{server.url}/{path}", headers={"authorization": f"Bearer {text}"}, **more)


def test_a_good_token_opens_what_its_scopes_allow(server: LiveServer) -> None:
    for good in (token(), token(EC_KEY, "ES256", "ec"), token(aud=["other", RULES.audience]), token(scope=["read"])):
        assert ask(server, good).status_code == 200
    assert code_of(ask(server, token(scope="chat"))) == (403, "insufficient_scope")
    assert code_of(ask(server, token(scope=None))) == (403, "insufficient_scope")
    assert code_of(ask(server, token(scope={"read": 1}))) == (403, "insufficient_scope")
    assert code_of(ask(server, token(scope="Read READ"))) == (403, "insufficient_scope")
    started = ask(server, token(), "POST", "chat", json={"message": "x"})
    path = f"chat/streams/{started.headers['x-stream-id']}"
    assert ask(server, token(), path=path).status_code == 200
    assert code_of(ask(server, token(sub="eve"), path=path)) == (404, "stream_not_found")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(token(exp=time.time() - 60), id="too old"),
        pytest.param(token(exp=None), id="for ever"),
        pytest.param(token(sub="local"), id="the owner of what is stored without authentication"),
        pytest.param(token(exp="soon"), id="no moment"),
        pytest.param(token(nbf=time.time() + 86_400), id="not yet"),
        pytest.param(token(iss="https://evil.example"), id="another issuer"),
        pytest.param(token(iss=None), id="no issuer"),
        pytest.param(token(aud="another"), id="another audience"),
        pytest.param(token(aud=None), id="no audience"),
        pytest.param(token(sub=None), id="nobody"),
        pytest.param(token(sub=""), id="an empty name"),
        pytest.param(token(sub="x" * 201), id="a long name"),
        pytest.param(token(sub="a\x00b"), id="a name that nothing can store"),
        pytest.param(token(OTHER_RSA), id="another key"),
        pytest.param(token(kid="nothing"), id="an unknown key"),
        pytest.param(token(kid=None), id="no key"),
        pytest.param(token(OTHER_RSA, kid="enc"), id="a key for something else"),
        pytest.param(token(WEAK_RSA, kid="weak"), id="a weak key"),
        pytest.param(token(RSA_KEY, "RS512"), id="another algorithm"),
        pytest.param(token(RSA_KEY, "PS256"), id="another padding"),
        pytest.param(token(P384_KEY, "ES384", "p384"), id="another curve"),
        pytest.param(token(OTHER_RSA, "RS256", "ps"), id="a key of another algorithm"),
        pytest.param(token(SHARED, "HS256", "oct"), id="a shared key"),
        pytest.param(token(EC_KEY, "ES256", "rsa"), id="an algorithm that is not the key's"),
        pytest.param(token(kid="broken"), id="a broken key"),
        pytest.param(jwt.encode(claims(), "", "none"), id="none"),
        pytest.param(unsigned("none"), id="none with a key"),
        pytest.param(unsigned("RS256"), id="no signature"),
        pytest.param(unsigned("RS256", crit=["exp"]), id="a critical header"),
        pytest.param(unsigned("RS256", kid=7), id="a number for a key"),
        pytest.param(unsigned("RS256", kid=["rsa"]), id="a list for a key"),
        pytest.param("e30.e30.e30", id="nothing in it"),
        pytest.param("a.b", id="half of it"),
        pytest.param("", id="nothing"),
        pytest.param(token() + "." + "x" * 9_000, id="too long"),
        pytest.param(base64.urlsafe_b64encode(b"[" * 4_000).decode() + ".e30.e30", id="deep"),
    ],
)
def test_a_bad_token_is_no_token(server: LiveServer, text: str) -> None:
    answer = ask(server, text) if text else httpx.get(f"{server.url}/models")
    assert code_of(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@given(st.text(st.sampled_from("eyJhbGciOiJSUzI1NiJ9.-_=/ []{}"), max_size=200) | st.text(max_size=50))
@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
async def test_no_text_is_more_than_no_token(file: Path, text: str) -> None:
    assert await JwtTokens(IssuerKeys(str(file)), RULES).check(text) is None


async def test_a_token_is_not_remembered_beyond_its_end_though_the_clock_jumps(file: Path) -> None:
    """Between two looks at it no time has passed by the monotonic clock, and two hours by the wall clock."""
    wrong_by = 0.0
    asked = AuthService(
        JwtTokens(IssuerKeys(str(file)), RULES), clock=lambda: 1_000.0, now=lambda: time.time() + wrong_by
    )
    authorization = [f"Bearer {token(exp=HOUR)}".encode()]
    assert (await asked.identify(authorization)).id == "ann"
    wrong_by = 7_200.0
    with pytest.raises(StreamForgeError, match="Send an API key or a token"):
        await asked.identify(authorization)
    wrong_by = -7_200.0
    assert (await asked.identify(authorization)).id == "ann"


class Issuer(BaseHTTPRequestHandler):
    """Publishes keys as a test says."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
    asked = 0
    stall = threading.Event()

    def do_GET(self) -> None:
        type(self).asked += 1
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def issuer(answer: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[str, type[Issuer]]]:
    handler = type("Handler", (Issuer,), {"answer": answer, "asked": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/jwks.json", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def published(*keys: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"keys": keys}).encode()


async def test_a_new_key_is_found_and_an_unknown_one_asked_for_seldom() -> None:
    now = 0.0
    with issuer(published(jwk(RSA_KEY, "old"))) as (url, handler):
        keys = IssuerKeys(url, clock=lambda: now)
        tokens = JwtTokens(keys, RULES)
        old, new = token(kid="old"), token(OTHER_RSA, kid="new")
        assert await tokens.check(old) is not None
        handler.answer = published(jwk(OTHER_RSA, "new"))
        for _ in range(5):
            assert await tokens.check(new) is None
        assert handler.asked == 1, "an attacker's key ids do not make us ask"
        now = issuer_keys.PAUSE
        known = await tokens.check(new)
        assert known is not None
        assert known.caller == Caller("ann", frozenset({"openid", "read", "chat"}))
        assert await tokens.check(old) is None
        assert handler.asked == 2
        await keys.close()


async def test_old_keys_serve_while_new_ones_are_fetched() -> None:
    now = 0.0
    with issuer(published(jwk(RSA_KEY, "rsa"))) as (url, handler):
        keys = IssuerKeys(url, clock=lambda: now)
        assert await keys.get("rsa") is not None
        handler.answer = (500, {}, b"")
        now = issuer_keys.FRESH
        assert await keys.get("rsa") is not None
        assert keys._task is not None
        await keys._task
        assert handler.asked == 2
        assert await keys.get("rsa") is not None, "an issuer that is down locks nobody out"
        await keys.close()


@pytest.mark.parametrize(
    "answer",
    [
        (404, {}, b"{}"),
        (302, {"location": "/elsewhere.json"}, b""),
        (200, {}, b"not JSON"),
        (200, {}, b'{"keys": 1}'),
        (200, {}, b"[]"),
        (200, {}, json.dumps({"keys": [{}] * 101}).encode()),
        (200, {}, json.dumps({"keys": [jwk(RSA_KEY, "rsa")], "pad": "x" * issuer_keys.MAX_BYTES}).encode()),
        (200, {"content-encoding": "gzip"}, json.dumps({"keys": [jwk(RSA_KEY, "rsa")]}).encode()[:20]),
    ],
    ids=["missing", "elsewhere", "no JSON", "no list", "no object", "too many", "too large", "packed"],
)
async def test_what_are_no_keys_is_not_taken(answer: tuple[int, dict[str, str], bytes]) -> None:
    with issuer(answer) as (url, handler):
        keys = IssuerKeys(url)
        for _ in range(3):
            with pytest.raises(StreamForgeError) as caught:
                await keys.get("rsa")
            assert (caught.value.code, caught.value.status) == ("auth_unavailable", 503)
        assert handler.asked == 1
        await keys.close()


def test_without_the_issuer_the_server_says_that_it_cannot_tell(serve: Serve, free_port: Callable[[], int]) -> None:
    url = f"http://127.0.0.1:{free_port()}/jwks.json"
    server = serve(AUTH_MODE="jwt", JWT_JWKS=url, JWT_ISSUER=RULES.issuer, JWT_AUDIENCE=RULES.audience)
    answer = ask(server, token())
    assert code_of(answer) == (503, "auth_unavailable")
    assert answer.headers["retry-after"] == "5"
    assert code_of(httpx.get(f"{server.url}/models")) == (401, "unauthenticated")


async def test_all_who_ask_at_first_ask_once() -> None:
    with issuer(published(jwk(RSA_KEY, "rsa"))) as (url, handler):
        keys = IssuerKeys(url)
        found = await asyncio.gather(*(keys.get("rsa") for _ in range(20)))
        assert all(found)
        assert handler.asked == 1
        await keys.close()
