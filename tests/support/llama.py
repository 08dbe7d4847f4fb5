"""A real small model behind llama.cpp's own HTTP server, which speaks OpenAI's API and Anthropic's."""

import contextlib
import subprocess
from collections.abc import Iterator

from chains.core.local.server import local_models, model_program

KEY = "sk-llama-of-the-tests"


@contextlib.contextmanager
def llama() -> Iterator[str]:
    """A running SmolLM2; yields its URL. It ends with the test."""
    program = model_program(local_models()["smollm2"], "smollm2", KEY)
    child = subprocess.Popen(
        program.command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=program.variables(),
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
