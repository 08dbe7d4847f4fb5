"""The program's packages, read from the disk, so that no list in the tests can lack one."""

from tests.support.server import ROOT

PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
"""All at the top level."""

PROGRAM = [name for name in PACKAGES if name not in ("tests", "benchmarks", "scripts")]
"""The packages of the program itself, without main.py."""
