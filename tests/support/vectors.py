"""Vectors made by hand."""

import math
import struct

from domain.documents import Vector


def unit(*numbers: float) -> Vector:
    """A vector of length 1 in this direction."""
    length = math.hypot(*numbers)
    return struct.pack(f"<{len(numbers)}f", *(number / length for number in numbers))
