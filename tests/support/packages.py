"""Which packages there are: read from the disk, so that no list of the tests' own can lack one."""

from tests.support.server import ROOT

PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
"""All at the top level."""

PROGRAM = [name for name in PACKAGES if name not in ("tests", "benchmarks", "scripts")]
"""Those that the program consists of, beside main.py."""
