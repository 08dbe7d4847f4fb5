"""The documents' snippets for clients, as they stand there but for the server's address."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.llm import SCRIPTS
from tests.clients.node import HERE, program
from tests.support.server import ROOT

_ADDRESS = "http://127.0.0.1:8001"
_PAGE = '<!doctype html><html lang="en"><body><div id="root"></div><script type="module" src="./page.jsx"></script>'


def marked(document: str, name: str) -> str:
    """What stands in the document under this mark."""
    text = (ROOT / "docs" / document).read_text()
    found = re.search(rf"<!-- run: {re.escape(name)} -->\n```\w+\n(.*?)```\n", text, re.DOTALL)
    assert found, f"docs/{document} has no snippet {name}"
    return found[1]


def snippet(name: str, url: str, document: str = "clients.md") -> str:
    """The snippet of the document that is marked with this name, for the server at `url`."""
    return marked(document, name).replace(_ADDRESS, url)


def run(name: str, url: str) -> str:
    """Run a snippet in Node.js, beside the installed clients, or in Python; what it prints."""
    command = [str(program()), "--input-type=module"] if name.endswith(".mjs") else [sys.executable, "-"]
    return _run(command, snippet(name, url))


def run_shell(text: str, **env: str) -> str:
    """Run lines of a shell, with the tests' own Python and `llm` among the commands; what they print."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), str(SCRIPTS), os.environ["PATH"]])
    return _run(["bash", "-euo", "pipefail", "-c", text], "", {"PATH": path, **env})


def _run(command: list[str], text: str, env: dict[str, str] | None = None) -> str:
    ended = subprocess.run(
        command, cwd=HERE, env=env, input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@contextmanager
def built_page(name: str, url: str) -> Iterator[Path]:
    """A snippet that is a page, built with Vite; the folder to serve. Gone at the end."""
    folder = HERE / "node_modules" / f".page-{secrets.token_hex(4)}"  # where imports find what is installed
    folder.mkdir()
    try:
        (folder / "page.jsx").write_text(snippet(name, url))
        (folder / "index.html").write_text(_PAGE)
        command = [str(program()), "build.mjs", str(folder)]
        ended = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=120, check=False)
        assert ended.returncode == 0, ended.stderr
        yield folder / "dist"
    finally:
        shutil.rmtree(folder)
