"""The figures and their targets, and how the rounds compare with the targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from benchmarks.loads import Figures

Round = Mapping[str, Figures]
"""The figures of each contender, by name, from one round."""


@dataclass(frozen=True, slots=True)
class Record:
    """The rounds of one load, and the machine and versions with which they were measured."""

    about: str
    rounds: Sequence[Round]


Records = Mapping[str, Record]
"""The records of the loads, by the load's name."""

UNITS = {
    "us_per_event": "CPU, µs per event",
    "user_us": "of that, in the program",
    "kib_per_stream": "memory per stream, KiB",
    "us_per_token": "CPU, µs per token",
    "first_p50_ms": "first byte p50, ms",
    "first_ms": "first byte p99, ms",
    "late_ms": "lateness of a word p99, ms",
    "events_per_second": "events per second",
    "chunks_per_second": "pieces per second",
    "query_p50_ms": "search p50, ms",
    "query_ms": "search p99, ms",
    "sessions_ms": "GET /sessions p99, ms",
    "search_ms": "GET /search p99, ms",
    "documents_ms": "GET /documents p99, ms",
    "keys_ms": "GET /keys p99, ms",
    "failed": "not 200",
    "searches_per_second": "the other's searches per second",
    "ping_ms": "another request p99, ms",
    "core_percent": "CPU, % of a core",
    "start_ms": "process start to first response, ms",
    "cpu_ms": "CPU until then, ms",
    "rss_mib": "RSS then, MiB",
    "client_busy": "load generator, share of a core",
}


@dataclass(frozen=True, slots=True)
class Target:
    """The target for a contender's figure, by itself or relative to another's in the same round."""

    load: str
    title: str
    figure: str
    who: str
    limit: float
    against: str | None = None
    how: Literal["ratio", "difference"] = "ratio"
    at_least: bool = False

    def value(self, rounds: Sequence[Round]) -> float:
        """The median over the rounds: of the figures, or of the comparisons within each round."""
        return median(self._of(each) for each in rounds)

    def reached(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def _of(self, figures: Round) -> float:
        mine = figures[self.who][self.figure]
        if self.against is None:
            return mine
        theirs = figures[self.against][self.figure]
        return mine / theirs if self.how == "ratio" else mine - theirs


def _cpu(who: str, against: str, limit: float, load: str = "paced") -> Target:
    return Target(load, f"CPU per event, {who}, against {against}", "us_per_event", who, limit, against)


TARGETS = (
    _cpu("text", "raw", 1.30),
    _cpu("events", "raw", 1.30),
    _cpu("text", "seed", 0.78),
    _cpu("text", "sse-starlette", 0.55),
    _cpu("text", "fastapi.sse", 0.11),
    Target("paced", "memory per live stream, text, KiB", "kib_per_stream", "text", 22),
    Target("paced", "memory per live stream, events, KiB", "kib_per_stream", "events", 22),
    Target("paced", "first byte p99, text, ms", "first_ms", "text", 30),
    Target("paced", "first byte p99, events, ms", "first_ms", "events", 30),
    Target("paced", "lateness of a word p99, text, ms", "late_ms", "text", 50),
    Target("paced", "lateness of a word p99, events, ms", "late_ms", "events", 50),
    _cpu("openai", "raw", 1.60, "wires"),
    _cpu("ai_sdk", "raw", 1.60, "wires"),
    Target("fast", "events per second, text, against seed", "events_per_second", "text", 2.5, "seed", at_least=True),
    Target(
        "fast", "events per second, events, against seed", "events_per_second", "events", 2.5, "seed", at_least=True
    ),
    Target("idle", "memory per idle stream, text, KiB", "kib_per_stream", "text", 20),
    Target("idle", "memory per idle stream, events, KiB", "kib_per_stream", "events", 20),
    Target("idle", "another request p99, text, ms", "ping_ms", "text", 20),
    Target("idle", "another request p99, events, ms", "ping_ms", "events", 20),
    Target("model", "first byte p50, added to the model's", "first_p50_ms", "model", 5, "direct", "difference"),
    Target("model", "first byte p99, added to the model's", "first_ms", "model", 50, "direct", "difference"),
    Target("tokens", "CPU per token, above astream, µs", "us_per_token", "streamforge", 15, "astream", "difference"),
    Target("kept", "CPU per event in a session, against stateless", "us_per_event", "session", 1.10, "text"),
    Target("kept", "first byte p99 in a session, above stateless, ms", "first_ms", "session", 3, "text", "difference"),
    Target("kept", "CPU per event, log in Valkey, against in memory", "us_per_event", "redis", 2, "text"),
    Target("kept", "lateness of a word p99, log in Valkey, ms", "late_ms", "redis", 60),
    Target("elsewhere", "first byte p99, resumed on another server, ms", "first_ms", "redis", 200),
    Target("conversation", "first byte p50, 10,000 messages against 20", "first_p50_ms", "long", 1.2, "short"),
    Target("documents", "pieces per second", "chunks_per_second", "alone", 500, at_least=True),
    Target("documents", "pieces per second, with 100 streams", "chunks_per_second", "beside", 500, at_least=True),
    Target("documents", "search in 10,000 pieces, p50, ms", "query_p50_ms", "alone", 10),
    Target("documents", "lateness of a word p99 meanwhile, ms", "late_ms", "beside", 100),
    *(
        Target("shares", f"{title} p99 beside 8 searches, ms", f"{name}_ms", "crowded", 200)
        for name, title in (
            ("sessions", "GET /sessions"),
            ("search", "GET /search"),
            ("documents", "GET /documents"),
            ("keys", "GET /keys"),
            ("first", "first byte in a session"),
        )
    ),
    Target("shares", "requests beside 8 searches that failed", "failed", "crowded", 0),
    Target("start", "start to first response, against hello", "start_ms", "text", 1.6, "hello"),
    Target("start", "RSS after the start, above hello, MiB", "rss_mib", "text", 12, "hello", "difference"),
)


def medians(rounds: Sequence[Round]) -> dict[str, Figures]:
    """The median of every figure of every contender."""
    return {
        who: {figure: median(each[who][figure] for each in rounds) for figure in figures}
        for who, figures in rounds[0].items()
    }
