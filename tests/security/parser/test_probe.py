"""S1: a document that has taken over its reader gets at nothing: no file, no process, no connection, no new right.

Shows T15 as well.
"""

import json
import os
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from children import landlock
from children.confinement import lacking
from tests.security.parser.users import NOBODY, interpreter

pytestmark = pytest.mark.skipif(bool(lacking()), reason="this system cannot confine a process fully")
SERVER = Path(__file__).with_name("server.py")
NOTHING_THERE = ("ENOENT", "ENOTDIR")


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that any user may write to, so that it is the confinement that refuses."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


@pytest.mark.parametrize("abi", [1, landlock.LATEST])
@pytest.mark.parametrize("uid", [os.getuid(), NOBODY] if os.getuid() == 0 else [os.getuid()])
def test_whatever_a_reader_tries_is_refused_and_changes_nothing(folder: Path, uid: int, abi: int) -> None:
    tried = subprocess.run(
        [interpreter(uid), str(SERVER), str(folder), str(uid), str(abi)],
        env={"PYTHONPATH": sysconfig.get_path("purelib")}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert tried.returncode == 0, tried.stderr
    report = json.loads(tried.stdout.splitlines()[-1])
    found = report["found"]
    assert {name: what for name, what in found.items() if what not in ("refused", *NOTHING_THERE)} == {}
    assert list(found.values()).count("refused") > 200
    assert (report["changed"], report["beside"]) == ([], 6)
