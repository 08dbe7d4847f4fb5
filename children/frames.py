"""Frames: the length of a body as four bytes, big-endian, then the body. For both ends of a pipe.

A child program that imports this does not import asyncio with it.
"""

import os
import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from children.child import Child

_HEAD = struct.Struct(">I")


async def send(child: "Child", body: bytes) -> None:
    """Write one frame to the child, as fast as it reads. Raises OSError if it has gone."""
    await child.feed(_HEAD.pack(len(body)))
    await child.feed(body)


async def receive(child: "Child", longest: int) -> bytes:
    """The next frame from the child.

    Raises EOFError if the child has gone, and ValueError, before anything is read of it, for a body that is empty or
    has more than `longest` bytes.
    """
    (length,) = _HEAD.unpack(await child.stdout.readexactly(_HEAD.size))
    if not 0 < length <= longest:
        raise ValueError(f"a frame of {length} bytes")
    return await child.stdout.readexactly(length)


def read(stream: BinaryIO) -> bytes | None:
    """In the child: the next frame, or None at the end of input."""
    head = stream.read(_HEAD.size)
    return stream.read(_HEAD.unpack(head)[0]) if len(head) == _HEAD.size else None


def write(stream: BinaryIO, body: bytes) -> None:
    """In the child: write one frame."""
    stream.write(_HEAD.pack(len(body)) + body)
    stream.flush()


def reserve_output() -> BinaryIO:
    """In the child: reserve standard output for frames. From now on, what packages print goes to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output
