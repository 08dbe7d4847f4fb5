"""The cost of a question in conversations of different lengths, with a model that is sent their history."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.client import p99
from benchmarks.models import provider
from benchmarks.server import ROOT, Contender, serving

# Sending history takes time in the client, too, so the first two send the same amount: some twenty messages.
LENGTHS = (
    Contender("short", "20 messages"),
    Contender("long", "10,000 messages, as many sent"),
    Contender("whole", "10,000 messages, sent as by default"),
)
_MESSAGES = {"short": 20, "long": 10_000, "whole": 10_000}
_TOKENS = {"short": "300", "long": "300", "whole": "16000"}


async def first_byte(contender: Contender, answers: int) -> dict[str, float]:
    """The time to the first byte of an answer in a conversation of that length."""
    with tempfile.TemporaryDirectory() as folder:
        filler = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.filler", folder, str(_MESSAGES[contender.name])),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await filler.communicate()
        session_id = out.decode().strip()
        async with provider(5, 0) as port:
            settings = {"LLM_MODEL": "bench", "LLM_BASE_URL": f"http://127.0.0.1:{port}/v1", "DATA_DIR": folder}
            settings |= {"MEMORY_MAX_TOKENS": _TOKENS[contender.name], "SUMMARY_MODEL": "simulated"}
            async with serving(contender, settings) as server:
                waits = [await _ask(server.port, session_id) for _ in range(answers + 5)][5:]
    return {"first_p50_ms": median(waits) * 1e3, "first_ms": p99(waits) * 1e3}


async def _ask(port: int, session_id: str) -> float:
    body = b'{"message":"And what do you make of that?","session_id":"%s"}' % session_id.encode()
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(body), body)
    )
    head = await reader.readuntil(b"data: ")
    waited = time.perf_counter() - begun
    assert b" 200 " in head, head
    await reader.read()
    writer.close()
    return waited


def database(folder: Path) -> str:
    """The URL of the database of a server with this data folder."""
    return f"sqlite:///{folder / 'streamforge.db'}"
