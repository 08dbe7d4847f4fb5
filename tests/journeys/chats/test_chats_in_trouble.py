"""What clients of the AI SDK and of AG-UI see of a server that goes down, or does what nobody foresaw."""

import json
import signal
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from domain.errors import ERRORS
from tests.journeys.chats.test_client_chats import ui
from tests.support.server import LiveServer, process_server, wait_for
from tests.support.sse import parse

BODIES: dict[str, dict[str, Any]] = {
    "/api/chat": {"id": "mine", "messages": [ui()]},
    "/ag-ui": {"threadId": "other", "runId": "r", "messages": [{"id": "2", "role": "user", "content": "Hi"}]},
}
DRAINING = ERRORS["server_draining"].message


class Reading:
    """An answer that is read by a thread to the end of its body."""

    def __init__(self, url: str, path: str) -> None:
        self.body = b""
        self.error: Exception | None = None
        self.begun = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(url, path), daemon=True)
        self._thread.start()
        assert self.begun.wait(20)

    def _read(self, url: str, path: str) -> None:
        try:
            with httpx.stream("POST", f"{url}{path}", json=BODIES[path], timeout=60) as response:
                for chunk in response.iter_raw():
                    self.body += chunk
                    if b'"delta"' in self.body:
                        self.begun.set()
        except Exception as error:
            self.error = error

    def told(self) -> list[str]:
        """The data of all blocks, once the body has ended cleanly."""
        self._thread.join(timeout=40)
        assert not self._thread.is_alive()
        assert self.error is None, f"the body was cut: {self.error!r}"
        return [message.data for message in parse(self.body)]


def test_answers_finish_while_new_ones_are_refused() -> None:
    with process_server(STREAM_DELAY=0.4) as (process, url):
        chat, run = (Reading(url, path) for path in BODIES)
        process.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: httpx.get(f"{url}/ready").status_code == 503)
        for path, body in BODIES.items():
            refused = httpx.post(f"{url}{path}", json={**body, "id": "new", "threadId": "new"})
            assert (refused.status_code, refused.text) == (503, DRAINING)
            assert refused.headers["content-type"] == "text/plain; charset=utf-8"
            assert int(refused.headers["retry-after"]) > 0
        assert chat.told()[-2:] == ['{"type":"finish","finishReason":"stop"}', "[DONE]"]
        assert json.loads(run.told()[-1])["type"] == "RUN_FINISHED"


def test_what_outlasts_the_drain_ends_in_an_error_and_a_clean_body() -> None:
    with process_server(STREAM_DELAY=60, DRAIN_TIMEOUT=0.3) as (process, url):
        chat, run = (Reading(url, path) for path in BODIES)
        process.popen.send_signal(signal.SIGTERM)
        *_, ended, error, done = chat.told()
        assert json.loads(ended)["type"] == "text-end"
        assert (json.loads(error), done) == ({"type": "error", "errorText": DRAINING}, "[DONE]")
        *_, ended, error = run.told()
        assert json.loads(ended)["type"] == "TEXT_MESSAGE_END"
        assert json.loads(error) == {"type": "RUN_ERROR", "message": DRAINING, "code": "server_draining"}


@pytest.mark.parametrize("path", ["/api/chat/broken", "/ag-ui/broken"])
def test_a_failure_nobody_foresaw_is_a_sentence(serve: Callable[..., LiveServer], path: str) -> None:
    server = serve()

    @server.app.get(path)
    async def broken() -> None:
        raise ZeroDivisionError("a secret")

    answer = httpx.get(f"{server.url}{path}")
    assert (answer.status_code, answer.text) == (500, ERRORS["internal_error"].message)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
