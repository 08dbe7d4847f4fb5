"""Reads CSV and JSON. Each cell and each value is written with its name, so that a piece of the document can be
understood by itself."""

import csv
import re
from collections.abc import Iterator
from typing import Any

from domain.documents import Parsed
from parsing.limits import ParseLimits
from parsing.outline import Outline, too_complex

_NUMBER = re.compile(r"[-+]?[\d.,]+%?")
_DEPTH = 100
_ROWS_A_TEXT = 500


def read_csv(text: str, delimiter: str, limits: ParseLimits) -> Parsed:
    """The rows as lines of `name: value`, with names from the first row if that looks like names."""
    outline = Outline(limits)
    csv.field_size_limit(limits.characters)
    lines_of = (f"{line}\n" for line in text.split("\n"))  # a quoted cell may continue on the next line
    cells = ([" ".join(cell.split()) for cell in row] for row in csv.reader(lines_of, delimiter=delimiter))
    rows = (row for row in cells if any(row))
    first = next(rows, [])
    named = len(set(first)) == len(first) and all(cell and not _NUMBER.fullmatch(cell) for cell in first)
    lines = [delimiter.join(first) if named else _row(first, ())]
    for row in rows:
        lines.append(_row(row, first if named else ()))
        if len(lines) == _ROWS_A_TEXT:
            outline.text("\n".join(lines))
            lines = []
    outline.text("\n".join(lines))
    return Parsed("text/csv", outline.sections())


def _row(row: list[str], names: list[str] | tuple[()]) -> str:
    if not names:
        return ", ".join(row)
    names = [*names, *[""] * (len(row) - len(names))]
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in zip(names, row, strict=False) if cell)


def read_json(value: Any, limits: ParseLimits) -> Parsed:
    """The values as lines of `path: value`; each item of a list at the top level is a paragraph."""
    outline = Outline(limits)
    if isinstance(value, list):
        for number, item in enumerate(value):
            outline.text("\n".join(_leaves(item, f"[{number}]", 1)))
    else:
        outline.text("\n".join(_leaves(value, "", 1)))
    return Parsed("application/json", outline.sections())


def _leaves(value: Any, path: str, depth: int) -> Iterator[str]:
    if depth > _DEPTH:
        raise too_complex("The JSON is nested too deeply. Flatten it.")
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list):
        if all(not isinstance(item, dict | list) for item in value):
            yield f"{path}: {', '.join(map(_scalar, value))}"
            return
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}[{number}]", depth + 1)
    else:
        yield f"{path}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else {None: "null", True: "true", False: "false"}.get(value, str(value))
