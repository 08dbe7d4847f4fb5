"""docs/clients.md tells what works: its snippets are run as they stand there. The page has its test in a browser."""

import re

import pytest

from tests.clients.snippets import run
from tests.support.server import ROOT, live_server, make_settings

ANSWER = "This is a simulated streaming response"


@pytest.mark.usefixtures("node")  # or the clients are not installed
@pytest.mark.parametrize("name", ["ai-sdk.mjs", "ag-ui.mjs"])
def test_a_snippet_prints_the_answer(name: str) -> None:
    with live_server(make_settings(STREAM_DELAY=0)) as server:
        assert run(name, server.url) == f"{ANSWER}\n"


def test_every_snippet_in_javascript_is_one_that_is_run() -> None:
    text = (ROOT / "docs" / "clients.md").read_text()
    marked = re.findall(r"<!-- run: (\S+) -->\n```(?:js|jsx)\n", text)
    assert len(marked) == len(re.findall(r"(?m)^```jsx?$", text))
    assert {"page.jsx", "ai-sdk.mjs", "ag-ui.mjs"} <= set(marked)
