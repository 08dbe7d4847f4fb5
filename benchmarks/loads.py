"""The loads: the requests that contenders get, and the figures that are measured."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks import conversations, documents, models, replicas, shares
from benchmarks.client import Plan
from benchmarks.server import Contender, LoadProcess, Server, loading, serving

Figures = dict[str, float]

TEXT = Contender("text", "StreamForge, text")
EVENTS = Contender("events", "StreamForge, events", path="/chat?format=events", wire="events")
OPENAI = Contender(
    "openai",
    "StreamForge, OpenAI",
    path="/v1/chat/completions",
    wire="openai",
    body='{"messages":[{"role":"user","content":"Tell me about streaming"}],"stream":true}',
)
AI_SDK = Contender("ai_sdk", "StreamForge, AI SDK", path="/chat?format=ai_sdk", wire="ai_sdk")
AG_UI = Contender("ag_ui", "StreamForge, AG-UI", path="/chat?format=ag_ui", wire="ag_ui")
RAW = Contender("raw", "raw ASGI", "raw")
SEED = Contender("seed", "the seed's code", "seed")
SSE_STARLETTE = Contender("sse-starlette", "sse-starlette", "sse_starlette_peer")
FASTAPI_SSE = Contender("fastapi.sse", "fastapi.sse", "fastapi_sse_peer")
SESSION = Contender(
    "session", "StreamForge, in sessions", body='{"message":"Tell me about streaming","new_session":true}'
)
CHAT = Contender(
    "chat",
    "StreamForge, chats of the AI SDK",
    path="/api/chat",
    wire="ai_sdk",
    body='{"id":"{id}","messages":[{"role":"user","parts":[{"type":"text","text":"Tell me about streaming"}]}]}',
)
REDIS = Contender("redis", "StreamForge, its log in Valkey", redis=True)
HELLO = Contender("hello", "bare FastAPI hello", "hello")


@dataclass(frozen=True, slots=True)
class Scale:
    """The sizes of the loads. `--quick` uses small ones, whose figures are only a hint."""

    paced: int = 2_000
    paced_words: int = 60
    fast: int = 64
    fast_words: int = 2_000
    idle: int = 10_000
    hold: float = 18.0  # until every idle stream has had its first heartbeat
    model_seconds: float = 20.0
    tokens: float = 1.0
    kept: int = 1_000
    resumed: int = 200
    asked: int = 100
    pieces: int = 10_000
    messages: int = 40_000
    shared_seconds: float = 60.0


QUICK = Scale(
    paced=500, paced_words=30, fast_words=500, idle=1_000, hold=5.0, model_seconds=4.0, tokens=0.2,
    kept=200, resumed=50, asked=20, pieces=1_000, messages=4_000, shared_seconds=10.0,
)  # fmt: skip


async def paced(contender: Contender, scale: Scale) -> Figures:
    """Many streams at the pace of a model: the cost of an event, the memory of a stream, and how late words are."""
    plan = paced_plan(contender, scale)
    async with serving(contender, settings_of(plan)) as server:
        await _warm_up(replace(plan, port=server.port, streams=20, opening=0.2))
        cpu, program, rss = server.cpu(), server.program_cpu(), server.rss()
        async with loading(replace(plan, port=server.port)) as load:
            live = await _rss_while_live(server, load)
            done = await load.next()
        spent, program = server.cpu() - cpu, server.program_cpu() - program
    return {
        "us_per_event": spent / done["events"] * 1e6,
        "user_us": program / done["events"] * 1e6,
        "kib_per_stream": (live - rss) / scale.paced / 1024,
        "first_ms": done["first"] * 1e3,
        "late_ms": done["late"] * 1e3,
        "client_busy": done["client_busy"],
    }


async def fast(contender: Contender, scale: Scale) -> Figures:
    """A few streams at full speed: events per second."""
    plan = _plan(contender, words=scale.fast_words, delay=0.0, streams=scale.fast, opening=0.0)
    async with serving(contender, settings_of(plan)) as server:
        await _warm_up(replace(plan, port=server.port, streams=8))
        cpu = server.cpu()
        async with loading(replace(plan, port=server.port)) as load:
            while (done := await load.next())["event"] != "done":
                pass
        spent = server.cpu() - cpu
    return {
        "events_per_second": done["events"] / done["seconds"],
        "us_per_event": spent / done["events"] * 1e6,
        "client_busy": done["client_busy"],
    }


async def idle(contender: Contender, scale: Scale) -> Figures:
    """Very many streams that are silent after their first word: the cost of waiting, and the latency of others."""
    plan = _plan(contender, words=2, delay=60.0, streams=scale.idle, opening=scale.idle / 1_000)
    settings = settings_of(plan) | {"MAX_STREAMS": str(scale.idle + 100)}
    async with serving(contender, settings) as server:
        await _warm_up(replace(plan, port=server.port, streams=20, hold=0.5))
        rss = server.rss()
        async with loading(replace(plan, port=server.port, hold=scale.hold)) as load:
            assert (await load.next())["event"] == "live"
            cpu = server.cpu()
            done = await load.next()
            spent, live = server.cpu() - cpu, server.rss()
    return {
        "kib_per_stream": (live - rss) / scale.idle / 1024,
        "ping_ms": done["ping"] * 1e3,
        "core_percent": spent / scale.hold * 100,
    }


async def start(contender: Contender, _: Scale) -> Figures:
    """The time from the start of the process to its first response, and its memory then."""
    async with serving(contender, {"SIMULATED_TEXT": "Hello", "STREAM_DELAY": "0.1"}) as server:
        cpu_ms = server.cpu() * 1e3
        return {"start_ms": server.start_seconds * 1e3, "cpu_ms": cpu_ms, "rss_mib": server.rss() / 2**20}


async def model(contender: Contender, scale: Scale) -> Figures:
    """The time that is added to a model's first word."""
    return await models.first_word(contender, scale.model_seconds)


async def tokens(contender: Contender, scale: Scale) -> Figures:
    """The processor time that is added to a model's token."""
    return await models.tokens(contender, scale.tokens)


async def kept(contender: Contender, scale: Scale) -> Figures:
    """Streams at the pace of a model, few enough that nothing queues: the cost of sessions and of a shared log."""
    plan = _plan(contender, words=scale.paced_words, delay=0.1, streams=scale.kept, opening=scale.kept / 100)
    async with serving(contender, settings_of(plan)) as server:
        await _warm_up(replace(plan, port=server.port, streams=20, opening=0.2))
        cpu = server.cpu()
        async with loading(replace(plan, port=server.port)) as load:
            while (done := await load.next())["event"] != "done":
                pass
        spent = server.cpu() - cpu
    return {
        "us_per_event": spent / done["events"] * 1e6,
        "first_p50_ms": done["first_p50"] * 1e3,
        "first_ms": done["first"] * 1e3,
        "late_ms": done["late"] * 1e3,
        "client_busy": done["client_busy"],
    }


async def elsewhere(_: Contender, scale: Scale) -> Figures:
    """The first byte of streams that are resumed on another server."""
    return await replicas.resume_elsewhere(scale.resumed)


async def conversation(contender: Contender, scale: Scale) -> Figures:
    """The first byte of an answer in a short or a long conversation."""
    return await conversations.first_byte(contender, scale.asked)


async def ingestion(contender: Contender, scale: Scale) -> Figures:
    """Documents ingested while streams run, and searched."""
    return await documents.take_in(contender, scale.pieces, scale.asked)


async def neighbours(contender: Contender, scale: Scale) -> Figures:
    """What an owner notices of another one's searches."""
    return await shares.beside(contender, scale.messages, scale.shared_seconds)


@dataclass(frozen=True, slots=True)
class Load:
    """A load, its contenders, and how many rounds to measure and to discard. A start is short and varies a lot."""

    title: str
    run: Callable[[Contender, Scale], Awaitable[Figures]]
    contenders: Sequence[Contender]
    rounds: int = 3
    discarded: int = 0


LOADS = {
    "paced": Load(
        "2,000 streams of 60 words at 0.1 s, opened over 2 s",
        paced,
        (TEXT, EVENTS, RAW, SEED, SSE_STARLETTE, FASTAPI_SSE),
    ),
    "wires": Load(
        "The same on every wire",
        paced,
        (TEXT, EVENTS, OPENAI, AI_SDK, AG_UI, RAW),
    ),
    "fast": Load("64 streams of 2,000 words, no delay", fast, (TEXT, EVENTS, RAW, SEED)),
    "idle": Load("10,000 idle streams", idle, (TEXT, EVENTS, RAW, SEED)),
    "model": Load(
        "50 answers of a model at any time, 40 words at 0.05 s each, 500 in total",
        model,
        (models.MODEL, models.LANGCHAIN, models.DIRECT),
    ),
    "tokens": Load("30 answers of 1,000 tokens, one after the other, no delay", tokens, models.WAYS),
    "kept": Load("1,000 streams of 60 words at 0.1 s, opened over 10 s", kept, (TEXT, SESSION, CHAT, REDIS)),
    "elsewhere": Load("200 streams of one server, resumed on another", elsewhere, (REDIS,)),
    "conversation": Load("100 answers, one after the other, in a conversation", conversation, conversations.LENGTHS),
    "documents": Load("Documents of 10,000 pieces, ingested and searched", ingestion, documents.WAYS),
    "shares": Load(
        "20 requests a second of one owner, on SQLite with 40,000 messages of another", neighbours, shares.WAYS
    ),
    "start": Load("start", start, (TEXT, HELLO), rounds=7, discarded=1),
}


def paced_plan(contender: Contender, scale: Scale) -> Plan:
    return _plan(contender, words=scale.paced_words, delay=0.1, streams=scale.paced, opening=2.0)


def _plan(contender: Contender, *, words: int, delay: float, streams: int, opening: float) -> Plan:
    text = " ".join(f"{number}th" for number in range(words))
    return Plan(0, contender.path, contender.wire, text, delay, streams, opening, body=contender.body)


def settings_of(plan: Plan) -> dict[str, str]:
    return {"SIMULATED_TEXT": plan.text, "STREAM_DELAY": str(plan.delay)}


async def _warm_up(plan: Plan) -> None:
    async with loading(plan) as load:
        while (await load.next())["event"] != "done":
            pass
    await asyncio.sleep(0.2)


async def _rss_while_live(server: Server, load: LoadProcess) -> int:
    """The peak memory until all streams have begun and one has ended.

    If a contender cannot keep up, some streams end before the last one begins, and it seems to use less than it does.
    """
    most = 0
    for _ in ("live", "ending"):
        event = asyncio.create_task(load.next())
        while not event.done():
            await asyncio.wait({event}, timeout=0.25)
            most = max(most, server.rss())
        await event
    return most
