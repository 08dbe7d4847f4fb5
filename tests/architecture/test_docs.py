"""What the documents claim, where a test can hold it."""

import re
from typing import get_args

import pytest

from config.settings import Settings
from domain.errors import ERRORS
from domain.events import CancelReason, FinishReason
from tests.support.packages import PACKAGES
from tests.support.server import ROOT

DOCS = {path.name: path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}

NOT_OURS = {"OPENAI_BASE_URL", "LANGSMITH_GATEWAY"}
"""Named because they have no effect."""


def test_the_table_of_errors_is_the_programs() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| (\d{3}) \| (yes|no) \| (.+) \|$", DOCS["protocol.md"])
    said = {code: (int(status), retry == "yes", message) for code, status, retry, message in rows}
    assert said == {code: tuple(kind[:3]) for code, kind in ERRORS.items()}


def test_every_reason_is_documented() -> None:
    for reason in (*get_args(CancelReason), *get_args(FinishReason)):
        assert f"`{reason}`" in DOCS["protocol.md"]


@pytest.mark.parametrize("name", DOCS)
def test_links_lead_somewhere(name: str) -> None:
    folder = ROOT if name == "README.md" else ROOT / "docs"
    for target in re.findall(r"\]\((?!http)([^)#]+)", DOCS[name]):
        assert (folder / target).exists(), target


@pytest.mark.parametrize("name", DOCS)
def test_every_setting_that_is_named_exists(name: str) -> None:
    families = "STREAM|MAX|LLM|MODEL|MODELS|PROVIDER|LANGSMITH|DRAIN|CORS|DATA|DATABASE|LOG|SIMULATED|OPENAI"
    families += "|AUTH|JWT|RATE|ALLOW|ALLOWED|FORWARDED|REDIS"
    families += "|EMBEDDING|VECTOR|CHROMA"
    named = set(re.findall(rf"`((?:{families})_[A-Z_]+)`", DOCS[name]))
    assert named - NOT_OURS <= set(Settings.model_fields)


def test_every_make_target_that_is_named_exists() -> None:
    rules = re.findall(r"(?m)^([a-z ]+):", (ROOT / "Makefile").read_text())
    targets = {target for rule in rules for target in rule.split()}
    for text in DOCS.values():
        assert set(re.findall(r"`make ([a-z]+)`", text)) <= targets


def test_every_file_that_is_named_exists() -> None:
    for text in DOCS.values():
        for path in re.findall(rf"`((?:{'|'.join(PACKAGES)})/[\w/]+\.py)`", text):
            assert (ROOT / path).exists(), path


def test_the_readme_fits_on_one_screen_and_names_the_two_commands() -> None:
    readme = DOCS["README.md"]
    assert len(readme.splitlines()) <= 75
    assert "make run" in readme
    assert "make test" in readme
    assert "curl -N" in readme
