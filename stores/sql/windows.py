"""Goes through an owner's rows a window at a time.

What must look at every row takes the longer the more an owner has stored. In windows of some milliseconds it lets
others have their turn, can end when its time is over, and can say how far it has come.
"""

import time
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from stores.sql.engine.database import Database
from stores.sql.engine.timeouts import CutShort

SCAN_SECONDS = 2.0
"""How long one scan may take, with the waiting for its turns."""

Look = Callable[[Connection, int], bool]
"""Looks at so many rows more, and returns whether there may be others after them."""

_FIRST = 32
_MOST = 1_000_000
_AIM = 0.02


async def in_windows(database: Database, look: Look, seconds: float = SCAN_SECONDS) -> bool:
    """Call `look` until there are no more rows, or until time is over; returns whether there are no more.

    It has looked at one row at least. `look` is called once for a window, unless it is cut short, and then changes
    nothing.
    """
    deadline, rows, spent = time.monotonic() + seconds, _FIRST, 0.0
    try:
        while not spent or time.monotonic() < deadline:
            left = max(deadline - time.monotonic(), 0)
            more, took = await database.scan(partial(_timed, look, rows), left, spent=spent)
            if not more:
                return True
            rows, spent = _next(rows, took), spent + took
    except CutShort:
        if not spent:
            more, _ = await database.scan(partial(_timed, look, 1))
            return not more
    return False


def _timed(look: Look, rows: int, connection: Connection) -> tuple[bool, float]:
    began = time.monotonic()
    return look(connection, rows), time.monotonic() - began


def _next(rows: int, took: float) -> int:
    if took < _AIM:
        return min(rows * 2, _MOST)
    return max(rows // 2, 1) if took > 2 * _AIM else rows
