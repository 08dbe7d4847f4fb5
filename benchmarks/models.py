"""The loads with a model behind LangChain; `benchmarks.provider` plays the model's server."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from benchmarks.client import Plan
from benchmarks.server import ROOT, Contender, loading, serving

MODEL = Contender("model", "StreamForge")
LANGCHAIN = Contender("langchain", "LangChain in bare ASGI", "langchain_peer")
DIRECT = Contender("direct", "the model's server itself", "-", path="/plain")
WAYS = (
    Contender("sdk", "OpenAI's package alone"),
    Contender("astream", "LangChain's model.astream"),
    Contender("streamforge", "StreamForge, up to its log"),
)

_WORDS, _DELAY = 40, 0.05  # an answer of two seconds
_LIVE = 50
_TOKENS, _ANSWERS = 1_000, 30


async def first_word(contender: Contender, seconds: float) -> dict[str, float]:
    """The time to the first byte of answers that begin at a steady pace, fifty of them at any time."""
    streams = int(_LIVE * seconds / (_WORDS * _DELAY))
    plan = Plan(0, contender.path, "text", " ".join(f"{n}th" for n in range(_WORDS)), _DELAY, streams, seconds)
    async with provider(_WORDS, _DELAY) as port:
        if contender is DIRECT:
            return {**await _measure(replace(plan, port=port)), "core_percent": 0.0}
        settings = {"LLM_MODEL": "bench", "LLM_BASE_URL": f"http://127.0.0.1:{port}/v1"}
        async with serving(contender, settings) as server:
            warm = replace(plan, port=server.port, streams=20, opening=1.0)
            await _measure(warm)
            begun = server.cpu()
            figures = await _measure(replace(plan, port=server.port))
            return {**figures, "core_percent": (server.cpu() - begun) / (seconds + _WORDS * _DELAY) * 100}


async def _measure(plan: Plan) -> dict[str, float]:
    async with loading(plan) as load:
        while (done := await load.next())["event"] != "done":
            pass
    return {"first_p50_ms": done["first_p50"] * 1e3, "first_ms": done["first"] * 1e3}


async def tokens(contender: Contender, share: float) -> dict[str, float]:
    """The processor time of one token."""
    answers = max(5, int(_ANSWERS * share))
    async with provider(_TOKENS, 0) as port:
        url = f"http://127.0.0.1:{port}/v1"
        arguments = ["-m", "benchmarks.tokens", contender.name, url, str(_TOKENS), str(answers)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{contender.name} failed")
    return {"us_per_token": float(out.split()[-1])}


@asynccontextmanager
async def provider(words: int, delay: float) -> AsyncIterator[int]:
    """A model server that sends `words` words, `delay` seconds apart; yields its port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.provider", str(words), str(delay)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()
