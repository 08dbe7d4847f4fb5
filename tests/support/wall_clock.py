"""`python -m tests.support.wall_clock FILE`: serves like `python main.py`, with a wall clock that FILE moves.

The file holds seconds by which `time.time` is wrong, and may change at any moment. The monotonic clock is the kernel's.
It stands in for libfaketime, which is not everywhere; what reads the time in C is not reached.
"""

import sys
import time
from pathlib import Path


def move(file: Path) -> None:
    """Make `time.time` read the file. Call this before anything else is imported."""
    true, true_ns = time.time, time.time_ns

    def wrong_by() -> float:
        return float(file.read_text() or "0")

    time.time = lambda: true() + wrong_by()
    time.time_ns = lambda: true_ns() + int(wrong_by() * 1e9)


if __name__ == "__main__":
    move(Path(sys.argv.pop(1)))
    from main import main

    sys.exit(main(sys.argv[1:]))
