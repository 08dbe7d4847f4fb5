"""`python -m benchmarks [load ...] [--rounds N] [--quick]`: measures, prints the tables, and writes them into docs/.

A round measures every contender once; the next one measures them in the opposite order, so that a machine that slows
down meanwhile favours none. Figures are medians; ratios are taken within a round.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import Record, Round
from benchmarks.loads import LOADS, QUICK, Load, Scale
from benchmarks.report import into_page, plot, tables
from benchmarks.server import ROOT, raise_file_limit

DOCS = ROOT / "docs"
_PACKAGES = ("uvicorn", "uvloop", "httptools", "fastapi", "starlette", "sse-starlette")


async def measure(load: Load, scale: Scale, rounds: int) -> list[Round]:
    """All rounds of one load, without the warm-up."""
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
    """The machine and the versions that were measured."""
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


def write(records: dict[str, Record]) -> None:
    """Write the measured loads into docs/, and keep the earlier results of the others."""
    file, page = DOCS / "benchmarks.json", DOCS / "benchmarks.md"
    kept = {name: Record(**record) for name, record in json.loads(file.read_text()).items()}
    merged = {name: record for name in LOADS if (record := records.get(name) or kept.get(name))}
    file.write_text(json.dumps({name: asdict(record) for name, record in merged.items()}, indent=1) + "\n")
    (DOCS / "benchmarks.svg").write_text(plot(merged["paced"].rounds))
    page.write_text(into_page(page.read_text(), tables(merged)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What a stream costs, against peers.")
    parser.add_argument("loads", nargs="*", metavar="load", help=f"one of {', '.join(LOADS)}; by default all")
    parser.add_argument("--rounds", type=int, help="by default 3; 7 for start")
    parser.add_argument("--quick", action="store_true", help="small loads; the figures are only a hint")
    args = parser.parse_args()
    if unknown := set(args.loads) - set(LOADS):
        parser.error(f"no such load: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # runs `finally` blocks, which kill the servers
    raise_file_limit()
    names = args.loads or list(LOADS)
    results = asyncio.run(run(names, args.rounds, QUICK if args.quick else Scale()))
    records = {name: Record(about(), rounds) for name, rounds in results.items()}
    print(tables(records))
    if not args.quick and (args.rounds is None or args.rounds >= 3):
        write(records)
    else:
        print("\nOnly full loads of at least three rounds are written into docs/.", file=sys.stderr)


if __name__ == "__main__":
    main()
