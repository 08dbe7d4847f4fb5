"""T22: what stands in documents, and what is asked of them, is in no line of the log, whatever becomes of it."""

from pathlib import Path

import httpx
import pytest

from tests.support.documents import pdf
from tests.support.library import Library, sources
from tests.support.server import process_server

TEXT = "canary-text-1618"
NAME = "canary-name-1414"
QUESTION = "canary-question-2236"
COLLECTION = "canary-collection-1732"

pytestmark = pytest.mark.slow(reason="a process for each document that is read")


def test_no_log_holds_a_document_its_name_or_a_question(tmp_path: Path) -> None:
    with process_server(DATA_DIR=tmp_path, LOG_LEVEL="DEBUG", RAG_MIN_SCORE=-1) as (process, url):
        library = Library(url)
        read = library.add(f"{NAME}.txt", f"The heron is called {TEXT}.", COLLECTION)
        broken = library.send(f"{NAME}.pdf", pdf([TEXT] * 9)[:1_500])
        assert library.settled(broken)["state"] == "failed"
        assert sources(library.ask(f"What is it called, {QUESTION}?", {"collections": [COLLECTION]}))
        store = library.client.post("/v1/vector_stores", json={"name": COLLECTION}).json()["id"]
        found = library.client.post(f"/v1/vector_stores/{store}/search", json={"query": QUESTION})
        assert TEXT in found.text
        assert httpx.get(f"{url}/documents/{read}/content").status_code == 200
        assert library.client.delete(f"/documents/{read}").status_code == 204
        process.stop()
    log = "".join(process.log)
    assert "stream ended" in log
    for secret in (TEXT, NAME, QUESTION, COLLECTION):
        assert [line for line in process.log if secret in line] == []
