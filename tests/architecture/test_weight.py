"""The server on the simulated responder stays light: what it does not need, it has not imported."""

import json
import subprocess
import sys

from tests.support.server import ROOT

HEAVY = {
    "genai_prices",
    "langchain",
    "langchain_core",
    "langchain_openai",
    "langgraph",
    "openai",
    "sqlalchemy",
    "redis",
    "alembic",
    "cryptography",
    "httpx2",
    "jwt",
    "limits",
    "numpy",
}

PROGRAM = """
import asyncio, json, sys
import httptools, uvicorn
from main import create_app
from config.settings import Settings

async def post(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"message": "hello"}'
    writer.write(b"POST /chat HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n"
                 b"Content-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
    answer = await reader.read()
    writer.close()
    return answer

async def main():
    app = create_app(Settings(_env_file=None, STREAM_DELAY=0))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(30):
        while not server.started:
            await asyncio.sleep(0.01)
    answer = await post(server.servers[0].sockets[0].getsockname()[1])
    assert b"data: response" in answer, answer
    server.should_exit = True
    await task
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))

asyncio.run(main())
"""


def test_a_server_that_has_answered_has_imported_nothing_heavy() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    imported = set(json.loads(ended.stdout.splitlines()[-1]))
    assert "fastapi" in imported
    assert imported & HEAVY == set()
