"""`make demo`: a real model in a server of its own, on a port that is free, and another model in its place."""

import signal
import sys
from pathlib import Path

import httpx
import psutil

from chains.core.local.server import local_models
from tests.conftest import missing
from tests.support.server import process_server


def test_the_demo_answers_with_its_model_and_with_another_when_its_server_is_gone(tmp_path: Path) -> None:
    if not local_models():
        missing("the local model")
    with process_server([sys.executable, "-m", "scripts.demo.run"], TMPDIR=tmp_path) as (process, url):
        with httpx.Client(base_url=url, timeout=60) as api:
            body = {"message": "What is the capital of France?", "max_tokens": 8}
            answer = api.post("/chat?format=events", json=body).text
            assert "event: delta" in answer
            assert '"model":"smollm2"' in answer

            for server in psutil.Process(process.popen.pid).children():
                server.terminate()
            answer = api.post("/chat?format=events", json=body).text
            assert '"from":"smollm2","to":"local"' in answer
            assert "event: done" in answer
        assert process.stop() == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
