"""The tables of threats and faults: a row for each, and the tests that a row names are there and say whose they are."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest

from tests.support.server import ROOT

PAGES = {"threats.md": [f"T{number:02}" for number in range(1, 45)], "faults.md": [f"F{n:02}" for n in range(1, 33)]}


class Row(NamedTuple):
    """One line of a table: what it is about, and the last of its cells."""

    id: str
    tests: str


def rows(page: str) -> list[Row]:
    text = (ROOT / "docs" / page).read_text()
    return [Row(*found) for found in re.findall(r"(?m)^\| ([TF]\d+) \|.*\| ([^|]*) \|$", text)]


ROWS = [row for page in PAGES for row in rows(page)]
each_row = pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])


def named(row: Row) -> list[tuple[str, str]]:
    """The files that a row names, each with a function or an empty name."""
    return re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", row.tests)


@cache
def described(path: str) -> dict[str, str]:
    """The functions of a file, and under an empty name the file itself, with what they say of themselves."""
    tree = ast.parse((ROOT / path).read_text())
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {"": ast.get_docstring(tree) or "", **{node.name: ast.get_docstring(node) or "" for node in functions}}


@pytest.mark.parametrize("page", PAGES)
def test_every_threat_and_fault_has_its_row(page: str) -> None:
    assert [row.id for row in rows(page)] == PAGES[page]


@each_row
def test_a_row_names_tests_or_says_that_there_are_none(row: Row) -> None:
    assert row.tests.startswith("none") != bool(named(row))


@each_row
def test_the_tests_that_a_row_names_are_there_and_name_the_row(row: Row) -> None:
    for path, function in named(row):
        assert (ROOT / path).exists(), path
        assert function in described(path), f"{path} has no {function}"
        assert row.id in described(path)[""] + described(path)[function], f"{path} does not say that it is for {row.id}"


def ids_in_tests() -> Iterator[tuple[str, str]]:
    """Every file of tests with each id that it says it is for."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        path = str(file.relative_to(ROOT))
        for each in re.findall(r"\b[TF]\d\d\b", " ".join(described(path).values())):
            yield path, each


def test_what_a_test_says_it_is_for_has_a_row_that_names_it() -> None:
    told = {(path, row.id) for row in ROWS for path, _ in named(row)}
    assert set(ids_in_tests()) - told == set(), "add these to docs/threats.md or docs/faults.md"
