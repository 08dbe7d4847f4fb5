"""Lines, each a JSON object. For both ends of a pipe.

A child program that imports this does not import asyncio with it.
"""

import json
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from children.child import Child


async def receive(child: "Child") -> dict[str, Any] | None:
    """The next object from the child, or None if its output has ended.

    Raises ValueError for a line that is too long (see `spawn`) or is not a JSON object.
    """
    line = await child.stdout.readline()
    return _parsed(line) if line else None


async def send(child: "Child", **fields: Any) -> None:
    """Write one object to the child, as fast as it reads. Raises OSError if it has gone."""
    await child.feed(_line(fields))


def read(stream: BinaryIO) -> dict[str, Any]:
    """In the child: the next object."""
    return _parsed(stream.readline())


def write(stream: BinaryIO, **fields: Any) -> None:
    """In the child: write one object."""
    stream.write(_line(fields))
    stream.flush()


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
