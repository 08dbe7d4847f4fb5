"""F29, T07, T36, T42: what would leave the server open ends its start with a sentence; what is meant so, starts."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.forks import run_main, run_python
from tests.support.server import process_server

TOKENS = {"JWT_JWKS": "https://issuer.example/jwks.json", "JWT_ISSUER": "x", "JWT_AUDIENCE": "y"}
LAUNCHERS = {2: ["main.py"], 3: ["-m", "uvicorn", "main:app", "--port", "0"]}

REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "all addresses": ({"HOST": "0.0.0.0"}, "AUTH_MODE"),
    "all of IPv6": ({"HOST": "::"}, "AUTH_MODE"),
    "an address": ({"HOST": "192.168.1.4"}, "AUTH_MODE"),
    "a name": ({"HOST": "chat.example.org"}, "AUTH_MODE"),
    "a name like ours": ({"HOST": "localhost.example.org"}, "AUTH_MODE"),
    "no such mode": ({"AUTH_MODE": "basic"}, "AUTH_MODE"),
    "a short secret": ({"AUTH_MODE": "api_key", "AUTH_SECRET": "short-secret"}, "AUTH_SECRET"),
    "tokens of nobody": ({"AUTH_MODE": "jwt"}, "JWT_ISSUER"),
    "tokens for anybody": ({"AUTH_MODE": "jwt", **TOKENS, "JWT_AUDIENCE": ""}, "JWT_AUDIENCE"),
    "keys over http": ({"AUTH_MODE": "jwt", **TOKENS, "JWT_JWKS": "http://issuer.example/jwks"}, "JWT_JWKS"),
    "keys of no file": ({"AUTH_MODE": "jwt", **TOKENS, "JWT_JWKS": "nowhere.json"}, "JWT_JWKS"),
    "any proxy": ({"FORWARDED_ALLOW_IPS": "*"}, "FORWARDED_ALLOW_IPS"),
    "any network": ({"FORWARDED_ALLOW_IPS": "0.0.0.0/0"}, "FORWARDED_ALLOW_IPS"),
    "any host": ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
    "any origin": ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
    "a rate that is none": ({"RATE_LIMIT": "lots"}, "RATE_LIMIT"),
    "an open Redis": ({"REDIS_URL": "redis://10.0.0.5:6379"}, "ALLOW_OPEN_REDIS"),
    "an open Redis by name": ({"REDIS_URL": "rediss://cache.example.org"}, "ALLOW_OPEN_REDIS"),
    "a user without a password": ({"REDIS_URL": "redis://me@10.0.0.5"}, "ALLOW_OPEN_REDIS"),
    "no Redis": ({"REDIS_URL": "http://:pass-word@10.0.0.5"}, "REDIS_URL"),
}

STARTS: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "the machine's name": {"HOST": "localhost"},
    "meant so": {"HOST": "0.0.0.0", "ALLOW_UNAUTHENTICATED": "true"},
    "keys": {"HOST": "0.0.0.0", "AUTH_MODE": "api_key"},
    "tokens": {"HOST": "0.0.0.0", "AUTH_MODE": "jwt", **TOKENS},
    "Redis on this machine": {"REDIS_URL": "redis://127.0.0.1:1"},
    "Redis with a password": {"REDIS_URL": "redis://:pass-word@10.0.0.5"},
    "an open Redis, meant so": {"REDIS_URL": "redis://10.0.0.5", "ALLOW_OPEN_REDIS": "true"},
    "Redis on a socket": {"REDIS_URL": "unix:///run/redis.sock"},
}


# Both launchers load the same settings: three cases show it.
CASES = [*((what, 2) for what in REFUSED), ("all addresses", 3), ("tokens of nobody", 3), ("an open Redis", 3)]


@pytest.mark.parametrize(("what", "code"), CASES)
def test_what_would_leave_the_server_open_is_refused(what: str, code: int, tmp_path: Path) -> None:
    settings, hint = REFUSED[what]
    env = {"PORT": "0", "DATA_DIR": str(tmp_path), **settings}
    ended = run_python(*LAUNCHERS[code], env=env)
    assert ended.returncode == code
    assert ended.stderr.startswith("StreamForge cannot start")
    assert hint in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "pass-word" not in ended.stderr
    assert "short-secret" not in ended.stderr


@pytest.mark.parametrize("what", STARTS)
def test_what_is_meant_so_starts(what: str, tmp_path: Path) -> None:
    with process_server(DATA_DIR=str(tmp_path / "data"), **STARTS[what]) as (process, _):
        assert process.stop() in (143, -15, 0)


def test_a_secret_that_others_can_read_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x" * 64)
    (tmp_path / "secret").chmod(0o644)
    ended = run_main(env={"AUTH_MODE": "api_key", "DATA_DIR": str(tmp_path), "PORT": "0"})
    assert ended.returncode == 2
    assert "chmod 600" in ended.stderr
    assert ended.stderr.count("\n") == 1
