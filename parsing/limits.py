"""The limits for reading one document."""

from dataclasses import dataclass

MIB = 1 << 20
MAX_HEADING = 200
"""The most characters of one heading; a whole path of headings may have three times as many."""
MAX_TITLE = 300


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """A document beyond one of these fails with `document_too_complex`.

    `memory` is the child's address space in bytes, `cpu_seconds` its computing time, and `wall_seconds` the time for
    the whole document. `inflated` is the sum, in bytes, of everything unpacked from a document. `characters` and
    `sections` bound the result.
    """

    memory: int = 512 * MIB
    cpu_seconds: int = 60
    wall_seconds: float = 120.0
    pages: int = 2_000
    inflated: int = 100 * MIB
    characters: int = 10_000_000
    sections: int = 50_000
