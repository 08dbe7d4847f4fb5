"""The paths of documents, two of which look like a document's."""

from collections.abc import Callable

import httpx
import pytest

from tests.support.server import LiveServer


@pytest.mark.parametrize("path", ["/documents/upload", "/documents/text"])
def test_the_paths_to_send_documents_to_are_no_documents(serve: Callable[..., LiveServer], path: str) -> None:
    server = serve()
    for method in ("GET", "DELETE", "PUT"):
        answer = httpx.request(method, server.url + path)
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer.headers["allow"] == "POST"
    unknown = httpx.get(f"{server.url}{path}ed")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "document_not_found")
