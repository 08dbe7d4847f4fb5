"""`python -m benchmarks [load ...] [--rounds N] [--quick]`: measure, print the table, write it into docs/.

A round takes every contender once; the next one takes them in the opposite order, so that a machine that
grows slower meanwhile favours none. Figures are medians, ratios are taken within a round.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import Round
from benchmarks.loads import LOADS, QUICK, Load, Scale
from benchmarks.report import into_page, plot, tables
from benchmarks.server import ROOT, raise_file_limit

DOCS = ROOT / "docs"
_PACKAGES = ("uvicorn", "uvloop", "httptools", "fastapi", "starlette", "sse-starlette")


async def measure(load: Load, scale: Scale, rounds: int) -> list[Round]:
    """All rounds of one load."""
    results: list[Round] = []
    for number in range(load.discarded + rounds):
        figures = {}
        for contender in load.contenders[:: -1 if number % 2 else 1]:
            print(f"{load.title}, round {number - load.discarded + 1}: {contender.label}", file=sys.stderr)
            figures[contender.name] = await load.run(contender, scale)
        if number >= load.discarded:
            results.append({contender.name: figures[contender.name] for contender in load.contenders})
    return results


async def run(names: Sequence[str], rounds: int | None, scale: Scale) -> dict[str, list[Round]]:
    return {name: await measure(LOADS[name], scale, rounds or LOADS[name].rounds) for name in names}


def about() -> str:
    """Where and with what this was measured."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"Measured on {date.today():%d %B %Y}: {_processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {packages}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def write(results: dict[str, list[Round]], said: str) -> None:
    """Put the results of a whole run into docs/."""
    facts = {"about": about(), "rounds": results}
    (DOCS / "benchmarks.json").write_text(json.dumps(facts, indent=1) + "\n")
    (DOCS / "benchmarks.svg").write_text(plot(results))
    page = DOCS / "benchmarks.md"
    page.write_text(into_page(page.read_text(), said))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What a stream costs, beside its peers.")
    parser.add_argument("loads", nargs="*", metavar="load", help=f"of {', '.join(LOADS)}; by default all")
    parser.add_argument("--rounds", type=int, help="by default 3; 7 of start")
    parser.add_argument("--quick", action="store_true", help="small loads; the figures are only a hint")
    args = parser.parse_args()
    if unknown := set(args.loads) - set(LOADS):
        parser.error(f"no such load: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of `finally`, which kills the servers
    raise_file_limit()
    names = args.loads or list(LOADS)
    results = asyncio.run(run(names, args.rounds, QUICK if args.quick else Scale()))
    said = tables(results, about())
    print(said)
    if len(names) == len(LOADS) and not args.quick and (args.rounds is None or args.rounds >= 3):
        write(results, said)
    else:
        print("\nOnly a whole run of all loads is written into docs/.", file=sys.stderr)


if __name__ == "__main__":
    main()
