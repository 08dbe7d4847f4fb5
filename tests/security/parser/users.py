"""Other users than the one that runs the tests, who may be root."""

import contextlib
import subprocess
import sys

import pytest

NOBODY = 65534


def interpreter(uid: int) -> str:
    """A Python that this user may start; the tests' own may be in its owner's folder."""
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            tried = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
            if subprocess.run(tried, check=False, user=uid).returncode == 0:
                return python
    pytest.skip(f"there is no Python that user {uid} may start")
