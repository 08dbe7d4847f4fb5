"""One meaning a word: a class or type alias of the program has a name that no other module uses."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.architecture.test_house import SOURCES
from tests.support.server import ROOT


def defined(source: str) -> Iterator[str]:
    """The public classes and type aliases that a module defines itself; aliases are known by their CamelCase."""
    for node in ast.parse(source).body:
        match node:
            case ast.ClassDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                names = []
        yield from (name for name in names if name[0].isupper() and not name.isupper())


def twice() -> dict[str, list[str]]:
    """The names that several modules define, with those modules."""
    homes: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        if "migrations" not in path.parts:
            for name in set(defined(path.read_text())):
                homes[name].append(str(path.relative_to(ROOT)))
    return {name: where for name, where in homes.items() if len(where) > 1}


def test_no_two_modules_define_one_name() -> None:
    assert twice() == {}


def test_classes_and_aliases_are_seen_and_private_names_are_not() -> None:
    source = "class Store: ...\nOrder = int\nName: object = str\nLIMIT = 3\n_Own = int\nclass _Row: ...\nhere = 1\n"
    assert list(defined(source)) == ["Store", "Order", "Name"]
