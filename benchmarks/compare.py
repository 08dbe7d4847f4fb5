"""`python -m benchmarks.compare DIR [load ...] [--pairs N]`: compares this checkout with another one, pair by pair.

Both run with this interpreter's packages, one after the other, and in the opposite order in every second pair.
Processor time decides: a load is worse if the whole 95 % interval of its paired ratios lies above 1.03.
"""

import argparse
import asyncio
import compileall
import math
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median, stdev

from benchmarks.figures import UNITS
from benchmarks.loads import EVENTS, LOADS, QUICK, TEXT, Figures, Scale
from benchmarks.report import number
from benchmarks.server import ROOT, raise_file_limit

ALLOWED = 1.03
JUDGED = {"paced": "us_per_event", "fast": "us_per_event", "idle": "core_percent", "start": "cpu_ms"}
"""For each load, the figure that is processor time."""

# Folders that are not part of the program: environments and tests.
_APART = re.compile(r"/(\.venv|node_modules|tests)")

# Student's t for a two-sided interval of 95 %, by degrees of freedom; for more, the normal distribution is close.
_T = dict(enumerate((12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160), 1))
_T_BEYOND = 2.145


@dataclass(frozen=True, slots=True)
class Pair:
    """The figures of this checkout and of the other one, measured one after the other."""

    mine: Figures
    theirs: Figures


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """The geometric mean of paired ratios, and the ends of its 95 % interval."""
    logs = [math.log(ratio) for ratio in ratios]
    half = _T.get(len(logs) - 1, _T_BEYOND) * stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean(logs)), math.exp(mean(logs) - half), math.exp(mean(logs) + half)


async def measure(name: str, wire: str, other: Path, pairs: int, scale: Scale) -> list[Pair]:
    """Measure pairs of one load on one wire. A first round, which brings both checkouts' files into the cache, is
    discarded if the load says so."""
    contender = {"text": TEXT, "events": EVENTS}[wire]
    found: list[Pair] = []
    for count in range(-LOADS[name].discarded, pairs):
        figures: dict[Path, Figures] = {}
        for tree in (ROOT, other)[:: -1 if count % 2 else 1]:
            print(f"{name}, {wire}, pair {count + 1}: {'this' if tree == ROOT else 'the other'}", file=sys.stderr)
            figures[tree] = await LOADS[name].run(replace(contender, tree=tree), scale)
        if count >= 0:
            found.append(Pair(figures[ROOT], figures[other]))
    return found


def rows(name: str, wire: str, pairs: Sequence[Pair]) -> list[str]:
    """A line of the table for each figure."""
    lines = []
    for figure in UNITS:
        if figure not in pairs[0].mine or figure == "client_busy":
            continue
        mine, theirs = [pair.mine[figure] for pair in pairs], [pair.theirs[figure] for pair in pairs]
        cells = [name, wire, UNITS[figure], number(median(theirs)), number(median(mine))]
        if min(*mine, *theirs) > 0:
            middle, low, high = interval([one / other for one, other in zip(mine, theirs, strict=True)])
            cells += [f"{middle:.3f}", f"{low:.3f} to {high:.3f}"]
            verdict = "" if JUDGED[name] != figure else "**worse**" if low > ALLOWED else "not worse"
            cells += [verdict]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


async def compare(names: Sequence[str], other: Path, pairs: int, scale: Scale) -> Mapping[tuple[str, str], list[Pair]]:
    wires = {name: ("text",) if name == "start" else ("text", "events") for name in names}
    return {(name, wire): await measure(name, wire, other, pairs, scale) for name in names for wire in wires[name]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("other", type=Path, help="the root of another checkout")
    parser.add_argument("loads", nargs="*", metavar="load", help=f"one of {', '.join(JUDGED)}; by default all")
    parser.add_argument("--pairs", type=int, default=7, help="by default 7; at least 2")
    parser.add_argument("--quick", action="store_true", help="small loads; the figures are only a hint")
    args = parser.parse_args()
    if unknown := set(args.loads) - set(JUDGED):
        parser.error(f"no such load: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # runs `finally` blocks, which kill the servers
    raise_file_limit()
    other = args.other.resolve()
    for tree in (ROOT, other):  # so that both have bytecode, whether they have run before or not
        compileall.compile_dir(tree, quiet=2, rx=_APART)
    found = asyncio.run(
        compare(args.loads or list(JUDGED), other, max(2, args.pairs), QUICK if args.quick else Scale())
    )
    print("| load | wire | figure | other | this | ratio | 95 % interval | CPU |\n| - | - | - | - | - | - | - | - |")
    for (name, wire), pairs in found.items():
        print("\n".join(rows(name, wire, pairs)))


if __name__ == "__main__":
    main()
