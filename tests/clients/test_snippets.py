"""docs/clients.md and docs/documents.md tell what works: their snippets are run as they stand there.

The page has its test in a browser.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.llm import SCRIPTS
from tests.clients.snippets import run, run_shell, snippet
from tests.clients.test_openai_python import agent
from tests.conftest import missing
from tests.journeys.conftest import Play, ServeModels
from tests.support.catalogue import row
from tests.support.server import ROOT, LiveServer, live_server, make_settings

pytestmark = pytest.mark.slow(reason="each snippet is a program that loads its packages")

ANSWER = "This is a simulated streaming response\n"


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(make_settings(STREAM_DELAY=0)) as started:
        yield started


@pytest.mark.usefixtures("node")  # or the clients are not installed
@pytest.mark.parametrize("name", ["openai.mjs", "ai-sdk.mjs", "ag-ui.mjs"])
def test_a_snippet_in_javascript_prints_the_answer(server: LiveServer, name: str) -> None:
    assert run(name, server.url) == ANSWER


def test_openais_package_finds_the_server_by_the_environment(server: LiveServer) -> None:
    exports, program = (snippet(name, server.url) for name in ("openai.sh", "openai.py"))
    assert run_shell(f"{exports}python - <<'END'\n{program}END\n") == ANSWER


def test_the_snippet_for_langchain_prints_the_answer(server: LiveServer) -> None:
    assert run("langchain.py", server.url) == ANSWER


def test_the_snippet_of_an_agent_runs_its_tool(play: Play, serve_models: ServeModels) -> None:
    server = serve_models(row("openai", play(agent).url, id="gpt-5-mini"))
    assert run("agent.py", server.url) == "It is sunny in Paris\n"


def test_the_lines_for_llm_set_it_up_and_ask_twice(server: LiveServer, tmp_path: Path) -> None:
    if not SCRIPTS.exists():
        missing("llm (make test installs it)")
    lines = snippet("llm.sh", server.url)
    assert run_shell(lines, HOME=str(tmp_path), LLM_USER_PATH=str(tmp_path)) == ANSWER * 2


def test_every_snippet_is_one_that_is_run() -> None:
    text = (ROOT / "docs" / "clients.md").read_text()
    marked = re.findall(r"<!-- run: (\S+) -->\n```(?:js|jsx|python|sh)\n", text)
    assert len(marked) == len(re.findall(r"(?m)^```\w+$", text))
    assert set(marked) == {
        *("openai.sh", "openai.py", "openai.mjs", "langchain.py", "agent.py", "llm.sh"),
        *("page.jsx", "ai-sdk.mjs", "ag-ui.mjs"),
    }


DOCUMENTS: dict[str, list[str]] = {
    "documents.sh": ["event: ready\n", '"title":"keeper.txt"', '"sources":[1]'],
    "documents.py": ["\u201cThe tyres want four bar in front and five behind.\u201d [1]\n1 Bicycle | Bicycle\n"],
    "openai-documents.py": ["leeks.md # Soups\n\nLeek soup wants two leeks.\n", "\n256\n"],
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_snippet_about_documents_prints_what_is_in_them(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-"]
    if name.endswith(".sh"):
        if not (shutil.which("curl") and shutil.which("sh")):
            missing("curl")
        command = ["sh", "-e"]
    with live_server(make_settings(STREAM_DELAY=0)) as server:
        ended = subprocess.run(
            command,
            cwd=tmp_path,
            input=snippet(name, server.url, "documents.md"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    for said in DOCUMENTS[name]:
        assert said in ended.stdout


def test_every_snippet_about_documents_in_python_is_one_that_is_run() -> None:
    text = (ROOT / "docs" / "documents.md").read_text()
    marked = re.findall(r"<!-- run: (\S+) -->\n```(?:python|sh)\n", text)
    assert set(marked) == set(DOCUMENTS)
    assert text.count("```python\n") == sum(name.endswith(".py") for name in marked)
