"""`python main.py` with words, as an operator runs it."""

import subprocess
from pathlib import Path

from tests.support.forks import run_main
from tests.support.postgres import Postgres


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run_main(*words, env=env)


def test_words_that_mean_nothing_are_a_sentence_and_code_2() -> None:
    for words in (["fly"], ["migrate", "now"], ["--loud"]):
        ended = run(*words)
        assert ended.returncode == 2
        assert ended.stderr.count("\n") == 1
        assert "python main.py --help" in ended.stderr


def test_help_names_the_commands() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    assert "migrate" in ended.stdout


def test_settings_are_checked_before_a_command_runs() -> None:
    ended = run("migrate", DATABASE_URL="mysql://me:pass-word@x/db")
    assert ended.returncode == 2
    assert "DATABASE_URL" in ended.stderr
    assert "pass-word" not in ended.stderr


def test_migrate_makes_the_file_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "data 100%?#"
    first, second = (run("migrate", DATA_DIR=str(folder)) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0)
    assert "version none" in first.stdout
    assert "up to date" in second.stdout
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "streamforge.db").stat().st_mode & 0o777 == 0o600


def test_migrate_prepares_postgresql(postgres: Postgres) -> None:
    with postgres.database() as url:
        assert run("migrate", DATABASE_URL=url).returncode == 0
        assert "up to date" in run("migrate", DATABASE_URL=url).stdout


def test_a_database_that_cannot_be_reached_is_a_sentence_and_code_1(postgres: Postgres) -> None:
    nobody_there = "postgresql://me:pass-word@127.0.0.1:1/db"
    for url in (nobody_there, postgres.url("missing")):
        ended = run("migrate", DATABASE_URL=url)
        assert ended.returncode == 1, ended.stderr
        assert "Traceback" not in ended.stderr
        assert "pass-word" not in ended.stderr


def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "streamforge.db").write_text("These are words, and not a database. " * 100)
    ended = run("migrate", DATA_DIR=str(tmp_path))
    assert ended.returncode == 1
    assert "not an SQLite database" in ended.stderr
