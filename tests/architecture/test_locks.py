"""The lock files: complete, hashed, without addresses, and alike (T37)."""

import re
import tomllib
from collections import defaultdict

import pytest

from scripts.lock import LOCKS
from tests.support.server import ROOT


def pins(lock: str) -> dict[str, set[str]]:
    """The versions of each package that a lock file holds; some have one for each Python."""
    found = defaultdict(set)
    for name, version in re.findall(r"(?m)^([a-z0-9][^\s=]*)==(\S+)", (ROOT / lock).read_text()):
        found[name].add(version)
    return found


def test_one_lock_file_lies_in_the_root_and_all_are_made_by_the_script() -> None:
    found = {
        str(path.relative_to(ROOT)) for path in ROOT.rglob("*.txt") if path.parent in (ROOT, ROOT / "requirements")
    }
    assert found == set(LOCKS)
    assert [name for name in found if "/" not in name] == ["requirements.txt"]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_holds_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    wanted = re.findall(r"(?m)^[a-z0-9][^\s=]*==", text)
    assert wanted
    assert len(re.findall(r"(?m)^[a-z0-9][^\s=]*==[^\n]*\\\n\s+--hash=sha256:", text)) == len(wanted)


def test_the_lock_file_of_npm_holds_no_addresses() -> None:
    assert '"resolved"' not in (ROOT / "tests" / "clients" / "package-lock.json").read_text()


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements/chroma.txt", "requirements/bench.txt"])
def test_what_is_installed_is_pinned_as_the_tests_have_it(lock: str) -> None:
    tested = pins("requirements/dev.txt")
    assert {name for name, versions in pins(lock).items() if name in tested and versions != tested[name]} == set()


def test_what_the_project_declares_is_what_the_locks_pin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert extras.keys() == {"chroma"}
    for lock, requirements in {
        "requirements.txt": project["dependencies"],
        "requirements/chroma.txt": [*project["dependencies"], *extras["chroma"]],
    }.items():
        for requirement in requirements:
            assert re.split(r"[\[<>=;\s]", requirement)[0] in pins(lock), requirement
            assert ">=" in requirement, f"{requirement} has no lower bound"


def test_documents_and_all_providers_are_in_the_one_lock_file_of_the_program() -> None:
    held = pins("requirements.txt").keys()
    assert held >= {f"langchain-{provider}" for provider in ("anthropic", "cohere", "ollama", "openai")}
    assert held >= {"lxml", "numpy", "pypdfium2", "python-docx", "python-multipart", "tokenizers", "wordllama"}
    assert not held & {"chromadb", "onnxruntime", "uv", "xllamacpp"}, "these are extras"
