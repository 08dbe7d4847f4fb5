"""A real small model behind llama.cpp's own HTTP server, which speaks OpenAI's API and Anthropic's."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from chains.core.local.server import CHILD, local_models

KEY = "sk-llama-of-the-tests"


@contextlib.contextmanager
def llama() -> Iterator[str]:
    """A running SmolLM2; yields its URL. It ends with the test."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(local_models()["smollm2"]), "smollm2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "STREAMFORGE_LOCAL_KEY": KEY},
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield next(line.split()[1] for line in child.stdout if line.startswith("READY"))
    finally:
        child.stdin.close()
        child.wait(timeout=10)
        child.stdout.close()
