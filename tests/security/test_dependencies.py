"""T37: what is installed is what the lock files pin, nothing runs by being installed, and all of it can be listed."""

import json
import re
import site
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from tests.support.server import ROOT

STARTED_BY_PYTHON = {"distutils-precedence.pth", "_virtualenv.pth", "_virtualenv.py"}
"""Files of `site-packages` that Python itself, or what makes its environments, puts there to be run at each start."""


def pins(*locks: str) -> set[tuple[str, str]]:
    text = "".join((ROOT / lock).read_text() for lock in locks)
    return set(re.findall(r"(?m)^([a-z0-9][a-z0-9._-]*)==(\S+)", text))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_only_what_a_lock_file_pins_is_installed() -> None:
    pinned = pins(*(str(path) for path in [ROOT / "requirements.txt", *(ROOT / "requirements").glob("*.txt")]))
    installed = {(canonical(found.metadata["name"]), found.version) for found in distributions()}
    assert {one for one in installed if one[0] not in ("pip", "setuptools")} <= pinned


def test_no_package_runs_code_at_the_start_of_every_python() -> None:
    found = {path.name for folder in site.getsitepackages() for path in Path(folder).glob("*.pth")}
    assert found <= STARTED_BY_PYTHON


def test_the_list_of_parts_names_every_package_with_its_hashes(tmp_path: Path) -> None:
    command = re.findall(r"(?m)^sbom:\n.*\n\t\$\(BIN\)/cyclonedx-py (.*)$", (ROOT / "Makefile").read_text())
    words = command[0].replace("sbom.json", str(tmp_path / "sbom.json")).replace("$(LOCK)", "requirements.txt").split()
    program = Path(sys.executable).with_name("cyclonedx-py")
    subprocess.run([program, *words], cwd=ROOT, check=True, timeout=60)
    parts = json.loads((tmp_path / "sbom.json").read_text())["components"]
    assert {(part["name"], part["version"]) for part in parts} == pins("requirements.txt")
    assert all(part["externalReferences"][0]["hashes"] for part in parts)
