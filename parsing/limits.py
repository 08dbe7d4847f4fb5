"""What reading one document may cost."""

from dataclasses import dataclass

MIB = 1 << 20
MAX_HEADING = 200
"""Characters of one heading; of a whole path of headings it is three times as many."""
MAX_TITLE = 300


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """Whoever goes beyond one of them gets `document_too_complex`.

    `memory` is the child's address space in bytes, `cpu_seconds` what it may compute, `wall_seconds` how long all may
    take. `inflated` is in bytes, over everything that is unpacked of a document. `characters` and `sections` bound
    what comes out.
    """

    memory: int = 512 * MIB
    cpu_seconds: int = 60
    wall_seconds: float = 120.0
    pages: int = 2_000
    inflated: int = 100 * MIB
    characters: int = 10_000_000
    sections: int = 50_000
