"""How much a JSON body may hold: a value takes up to forty times its bytes, and some microseconds to look at."""

import re

from domain.errors import StreamForgeError

SMALL = 2**20
"""Bytes in which no more values fit than take a moment to parse: what is wrong with them is better said in detail."""
MAX_VALUES = 250_000
"""Some 25 MiB, and 50 ms to parse. A million bytes of token numbers have fewer, and so has any conversation."""
OBJECT = 5
"""So many values an object counts as, because a model validates it."""

_BEGINS_A_VALUE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|([,\[])|({)', re.DOTALL)
_COUNTS = {None: 0, 1: 1, 2: OBJECT}


def check_values(body: bytes, most: int = MAX_VALUES, small: int = SMALL) -> None:
    """Raises `body_too_large` if the body is not `small` and holds more than `most` values; it need not be JSON."""
    if len(body) <= small or body.count(b",") + body.count(b"[") + OBJECT * body.count(b"{") <= most:
        return
    left = most
    for found in _BEGINS_A_VALUE.finditer(body):  # those signs may be in texts, where they begin no value
        left -= _COUNTS[found.lastindex]
        if left < 0:
            raise StreamForgeError(
                "body_too_large",
                f"The body holds more than {most:,} values, an object counted as {OBJECT}: send fewer messages, "
                "items or fields.",
            )
