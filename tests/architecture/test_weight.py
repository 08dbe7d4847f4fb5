"""The server on the simulated responder stays light: what it does not need, it has not imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT

HEAVY = {
    "ag_ui",
    "anthropic",
    "charset_normalizer",
    "cohere",
    "docx",
    "genai_prices",
    "greenlet",
    "langchain",
    "langchain_core",
    "langchain_openai",
    "langchain_text_splitters",
    "langgraph",
    "openai",
    "sqlalchemy",
    "sqlite3",
    "redis",
    "alembic",
    "chromadb",
    "cryptography",
    "httpx2",
    "jwt",
    "limits",
    "lxml",
    "numpy",
    "ollama",
    "onnxruntime",
    "pygments",
    "pypdfium2",
    "rich",
    "tokenizers",
    "wordllama",
}

WITHOUT_THEM = 10.4
"""MiB above a bare FastAPI application that the program weighed before there were sessions, owners, shared logs and
documents."""

PROGRAM = """
import asyncio, json, sys
import httptools, uvicorn

def app():
    if sys.argv[1] == "hello":
        from fastapi import FastAPI
        hello = FastAPI()
        hello.post("/chat")(lambda: "data: response")
        return hello
    from main import create_app
    from config.settings import Settings
    return create_app(Settings(_env_file=None, STREAM_DELAY=0, DATA_DIR=sys.argv[1]))

async def post(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"message": "hello"}'
    writer.write(b"POST /chat HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n"
                 b"Content-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
    answer = await reader.read()
    writer.close()
    return answer

async def main():
    server = uvicorn.Server(uvicorn.Config(app(), port=0, log_level="error"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(30):
        while not server.started:
            await asyncio.sleep(0.01)
    answer = await post(server.servers[0].sockets[0].getsockname()[1])
    assert b"data: response" in answer, answer
    server.should_exit = True
    await task
    print(json.dumps([weight(), sorted({name.partition(".")[0] for name in sys.modules})]))

def weight():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))

asyncio.run(main())
"""


def answered(what: str) -> tuple[float, set[str]]:
    """What a server weighs in MiB that has answered once, and has imported. `what` is its data folder, or `hello`."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, what], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    weight, imported = json.loads(ended.stdout.splitlines()[-1])
    return weight, set(imported)


def test_a_server_that_has_answered_has_imported_nothing_heavy_and_kept_nothing(tmp_path: Path) -> None:
    _, imported = answered(str(tmp_path / "data"))
    assert "fastapi" in imported
    assert imported & HEAVY == set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says so simply what a process weighs")
def test_sessions_owners_shared_logs_and_documents_weigh_three_megabytes_at_most_while_nobody_uses_them(
    tmp_path: Path,
) -> None:
    ours = min(answered(str(tmp_path / "data"))[0] for _ in range(3))
    hello = min(answered("hello")[0] for _ in range(3))
    assert ours - hello <= WITHOUT_THEM + 3
