"""Shows where StreamForge spends its time: `python -m benchmarks.profile [--py-spy PATH] [--wire text] [--words 60]`.

Runs the paced load against StreamForge alone while py-spy (from PyPI; not in any lock file) samples the server, and
prints the share of each stage of a request and of the functions that were executing.
"""

import argparse
import asyncio
import signal
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.loads import EVENTS, TEXT, Scale, paced_plan, settings_of
from benchmarks.server import Server, loading, raise_file_limit, serving

# A sample belongs to the stage of its innermost frame that has one.
STAGES = {
    "structlog/": "log lines",
    "config/logging.py": "log lines",
    "RequestResponseCycle.send (": "send: framing and the system call",
    "uvicorn/protocols/": "uvicorn: parsing, connections",
    "supervisor.py": "producer: words into the log",
    "streaming_service.py": "producer: words into the log",
    "simulated.py": "producer: words into the log",
    "stores/streams/": "producer: words into the log",
    "pacing.py": "shared timers",
    "sweeper.py": "sweeper",
    "routers/streams/connections.py": "reader: log to blocks",
    "wires/": "reader: log to blocks",
    "routers/http/middleware.py": "request: our middleware",
    "routers/http/body_limit.py": "request: our middleware",
    "routers/": "request: our routes",
    "fastapi/": "request: FastAPI",
    "starlette/": "request: Starlette",
}
_BASE = "Server.run ("  # under everything the server does
_LIMIT = 120.0


async def profile(py_spy: str, wire: str, scale: Scale, rate: int) -> list[tuple[list[str], int]]:
    """The server's stacks under load, outermost frame first, with how often each was seen."""
    contender = EVENTS if wire == "events" else TEXT
    plan = paced_plan(contender, scale)
    async with serving(contender, settings_of(plan)) as server:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "stacks"
            recorder = await _record(py_spy, server, out, rate)
            try:
                async with loading(replace(plan, port=server.port)) as load:
                    while (await load.next())["event"] != "done":
                        pass
                recorder.send_signal(signal.SIGINT)
                async with asyncio.timeout(_LIMIT):
                    await recorder.wait()
            finally:
                if recorder.returncode is None:
                    recorder.kill()
            return [_stack(line) for line in out.read_text().splitlines()]


async def _record(py_spy: str, server: Server, out: Path, rate: int) -> asyncio.subprocess.Process:
    arguments = ["record", "--format", "raw", "--rate", str(rate), "--full-filenames"]
    return await asyncio.create_subprocess_exec(
        py_spy, *arguments, "--output", str(out), "--pid", str(server.pid), stdout=asyncio.subprocess.DEVNULL
    )


def _stack(line: str) -> tuple[list[str], int]:
    frames, _, count = line.rpartition(" ")
    return frames.split(";"), int(count)


def stage(frames: Sequence[str]) -> str:
    """The stage of a request to which a stack belongs."""
    found = (name for frame in reversed(frames) for mark, name in STAGES.items() if mark in frame)
    return next(found, "the loop itself")


def show(stacks: list[tuple[list[str], int]], top: int = 30) -> None:
    """Print shares of all samples: by stage, by function including its callees, and by line without callees."""
    whole = [(frames, count) for frames, count in stacks if any(_BASE in frame for frame in frames)]
    torn = sum(count for _, count in stacks) - sum(count for _, count in whole)
    stages: Counter[str] = Counter()
    within: Counter[str] = Counter()
    own: Counter[str] = Counter()
    for frames, count in whole:
        stages[stage(frames)] += count
        within.update(dict.fromkeys({_short(frame).rpartition(":")[0] for frame in frames}, count))
        own[_short(frames[-1])] += count
    total = stages.total()
    print(f"{total} whole samples; {torn} torn ones (the server ran on while they were read) are left out")
    for title, counts in (("stage", stages), ("function with its callees", within), ("line itself", own)):
        print(f"\n{title}")
        for name, count in counts.most_common(top):
            print(f"  {count / total:6.1%}  {name.removesuffix(')')}")


def _short(frame: str) -> str:
    """`/long/path/site-packages/fastapi/routing.py:12` as `fastapi/routing.py:12`."""
    name, _, place = frame.partition(" (")
    return f"{name} ({'/'.join(place.rsplit('/', 2)[-2:])}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--py-spy", default="py-spy", help="the program; by default py-spy in the search path")
    parser.add_argument("--wire", choices=("text", "events"), default="text")
    parser.add_argument("--streams", type=int, default=2_000)
    parser.add_argument("--words", type=int, default=60, help="2 shows what opening a stream costs")
    parser.add_argument("--rate", type=int, default=200, help="samples per second")
    args = parser.parse_args()
    raise_file_limit()
    scale = Scale(paced=args.streams, paced_words=args.words)
    show(asyncio.run(profile(args.py_spy, args.wire, scale, args.rate)))


if __name__ == "__main__":
    main()
