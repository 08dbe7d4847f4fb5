"""Settings: every one documented, every bad one a sentence, every name the seed's (F29, T36)."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.settings import Settings, describe
from tests.support.server import ROOT, make_settings

EXAMPLE = (ROOT / ".env.example").read_text()


def test_the_example_names_every_setting_with_its_default_and_a_comment() -> None:
    lines = EXAMPLE.splitlines()
    named = {}
    for number, line in enumerate(lines):
        if match := re.fullmatch(r"#? ?([A-Z_]+)=(.*)", line):
            assert lines[number - 1].startswith("# "), f"{match[1]} has no comment"
            named[match[1]] = match[2]
    assert set(named) == set(Settings.model_fields)
    given = {name: value for name, value in named.items() if value}
    assert Settings(_env_file=None, **given) == Settings(_env_file=None)  # type: ignore[arg-type]


def test_the_example_is_a_valid_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name, raising=False)
    copy = tmp_path / ".env"
    copy.write_text(re.sub(r"(?m)^# ([A-Z_]+=)", r"\1", EXAMPLE))
    assert Settings(_env_file=copy) == Settings(_env_file=None)


def test_the_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / ".env"
    copy.write_text("PORT=1111\nSTREAM_DELAY=0.5\n")
    monkeypatch.setenv("PORT", "2222")
    settings = Settings(_env_file=copy)
    assert (settings.PORT, settings.STREAM_DELAY) == (2222, 0.5)


@pytest.mark.parametrize("text", ["http://a:1,https://b", " http://a:1 , https://b ,", '["http://a:1", "https://b"]'])
def test_origins_come_as_a_comma_list_or_as_json(text: str) -> None:
    assert make_settings(CORS_ORIGINS=text).CORS_ORIGINS == ("http://a:1", "https://b")


@pytest.mark.parametrize(
    "origin",
    ["chrome-extension://abcdefgh", "moz-extension://0-1", "capacitor://localhost", "tauri://localhost:1", "app://."],
)
def test_pages_of_extensions_and_applications_may_be_listed(origin: str) -> None:
    assert list(make_settings(CORS_ORIGINS=origin).CORS_ORIGINS) == [origin]


def test_no_origins_at_all_is_a_choice() -> None:
    assert make_settings(CORS_ORIGINS="").CORS_ORIGINS == ()


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("PORT", "70000", "65535"),
        ("CORS_ORIGINS", "*", "wildcard"),
        ("CORS_ORIGINS", "https://*.example.com", "wildcard"),
        ("CORS_ORIGINS", "localhost:3000", "http://localhost:3000"),
        ("CORS_ORIGINS", "http://localhost:3000/", "without a path"),
        ("CORS_ORIGINS", "null", "http://localhost:3000"),
        ("CORS_ORIGINS", "file://", "http://localhost:3000"),
        ("CORS_ORIGINS", "http://me@localhost", "http://localhost:3000"),
        ("CORS_ORIGINS", "[oops", "JSON"),
        ("STREAM_HEARTBEAT", "0", "greater than 0"),
        ("STREAM_HEARTBEAT", "inf", "finite"),
        ("STREAM_DELAY", "nan", "finite"),
        ("LLM_BASE_URL", "ftp://x", "http"),
        ("LLM_BASE_URL", "http://me:pass-word@x/v1", "without user"),
        ("LLM_BASE_URL", "http://x:99999/v1", "Port"),
        ("DATABASE_URL", "mysql://me:pass-word@x/db", "postgresql://"),
        ("DATABASE_URL", "postgresql://me:pass-word@x/", "postgresql://"),
        ("DATABASE_URL", "postgresql://me:pass-word/@x/db", "postgresql://"),
        ("DATABASE_URL", "postgresql://me@x:pass-word/db", "postgresql://"),
        ("SIMULATED_TEXT", " \n ", "word"),
        ("MAX_STREAMS", "many", "integer"),
        ("EMBEDDING_MODEL", "word2vec", "minilm"),
        ("EMBEDDING_PROVIDER", "ollama", "EMBEDDING_MODEL"),
        ("EMBEDDING_BASE_URL", "http://me:pass-word@x/v1", "without user"),
        ("CHROMA_URL", "localhost:8000", "http://127.0.0.1:8000"),
        ("VECTOR_STORE_TYPE", "pgvector", "DATABASE_URL"),
    ],
)
def test_a_bad_setting_is_one_sentence_that_names_it(name: str, value: str, hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make_settings(**{name: value})
    sentence = describe(caught.value)
    assert name in sentence
    assert hint in sentence
    assert "\n" not in sentence
    assert "pass-word" not in sentence


@pytest.mark.parametrize(
    ("command", "code"),
    [(["main.py"], 2), (["-m", "uvicorn", "main:app", "--port", "0"], 3)],
    ids=["python main.py", "uvicorn main:app"],
)
def test_the_start_ends_with_that_sentence_and_nothing_else(command: list[str], code: int) -> None:
    env = {"OPENAI_API_KEY": "sk-secret", "PORT": "x"}
    ended = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == code
    assert ended.stderr.startswith("StreamForge cannot start because its settings are wrong: PORT: ")
    assert ended.stderr.count("\n") == 1


def test_a_file_of_settings_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"APP_NAME=\xff")
    ended = subprocess.run(
        [sys.executable, str(ROOT / "main.py")], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "UTF-8" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(("command", "target"), [(["main.py"], "run"), (["-m", "scripts.demo.run"], "demo")])
def test_a_port_that_is_taken_is_a_sentence_with_the_way_out(command: list[str], target: str) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env={"PORT": str(port)}, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: " in ended.stderr
    assert ended.stderr.endswith(f"Choose another port: PORT={port + 1} make {target}\n")
    assert ended.stdout + ended.stderr.rstrip("\n") == ended.stderr.splitlines()[0]


@pytest.mark.parametrize("several", [{"WORKERS": 2}, {"REDIS_URL": "redis://127.0.0.1"}])
def test_chromas_folder_is_for_one_process_alone(several: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        make_settings(VECTOR_STORE_TYPE="chroma", **several)
    assert "CHROMA_URL" in describe(caught.value)
    assert make_settings(VECTOR_STORE_TYPE="chroma").chroma_folder().name == "chroma"
    assert make_settings(VECTOR_STORE_TYPE="chroma", CHROMA_URL="http://127.0.0.1:8000", **several).WORKERS >= 1
    assert make_settings(**several).VECTOR_STORE_TYPE == "sqlite"


def test_no_key_is_shown_when_settings_are_printed() -> None:
    assert "sk-secret" not in repr(make_settings(OPENAI_API_KEY="sk-secret"))
    assert "pass-word" not in repr(make_settings(DATABASE_URL="postgresql://me:pass-word@x/db"))
    assert "pass-word" not in repr(make_settings(CHROMA_URL="http://me:pass-word@127.0.0.1:8000"))


def test_the_database_is_a_file_of_the_data_folder_unless_there_is_a_url() -> None:
    assert make_settings(DATA_DIR="/var/lib/x").database_url() == "sqlite:////var/lib/x/streamforge.db"
    assert make_settings(DATA_DIR="data", DATABASE_URL=" ").database_url() == "sqlite:///data/streamforge.db"
    assert make_settings(DATABASE_URL="postgresql:///db?host=/run").database_url() == "postgresql:///db?host=/run"
