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
"""Seconds that a scan has a turn for. Its first windows are small, as rows may be large; it has several in a turn."""


async def in_windows(database: Database, look: Look, seconds: float = SCAN_SECONDS) -> bool:
    """Call `look` until there are no more rows, or until time is over; returns whether there are no more.

    It has looked at one row at least. `look` is called once for a window, unless it is cut short, and then changes
    nothing.
    """
    deadline, rows, spent = time.monotonic() + seconds, _FIRST, 0.0
    try:
        while not spent or time.monotonic() < deadline:
            left = max(deadline - time.monotonic(), 0)
            more, rows, took = await database.scan(partial(_turn, look, rows), left, spent=spent)
            if not more:
                return True
            spent += took
    except CutShort:
        if not spent:
            return not await database.scan(lambda connection: look(connection, 1))
    return False


def _turn(look: Look, rows: int, connection: Connection) -> tuple[bool, int, float]:
    """Windows until time is up: whether there may be more rows, how many to look at next, and the time it took."""
    began = now = time.monotonic()
    while True:
        more = look(connection, rows)
        last, now = now, time.monotonic()
        took = now - last
        if took > _AIM:
            rows = max(rows // 2, 1)
        elif took < _AIM / 2:
            rows = min(rows * 2, _MOST)
        if not more or now - began + 2 * took > _AIM:
            return more, rows, now - began
