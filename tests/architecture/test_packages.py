"""Every package stands in each list that names packages: a list that lacks one passes, and guards it no more."""

import ast
import re
import sys
import tomllib
from typing import Any

import pytest

from tests.support.packages import PACKAGES, PROGRAM
from tests.support.server import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = (ROOT / "docs" / "architecture.md").read_text().partition("### Top level")[2].partition("\n### ")[0]

# Of each contract whose list is to be complete: where the list is, and which packages are not in it because they may.
CONTRACTS: dict[str, tuple[str, set[str]]] = {
    "The layers look downwards only": ("layers", {"config", "wires"}),
    "Wires know the domain, and only routers know wires": ("forbidden_modules", {"wires", "domain"}),
    "Nobody but routers writes wires": ("source_modules", {"wires", "routers"}),
    "Settings are handed down from main and the container": ("source_modules", {"config", "cli"}),
    "HTTP stays in main and routers": ("source_modules", {"routers"}),
    "SQL stays in stores.sql": ("source_modules", set()),
    "LangChain stays in chains": ("source_modules", {"chains"}),
    "Tokens are checked in one place": ("source_modules", {"services"}),
    "The formats of documents stay in parsing": ("source_modules", {"parsing"}),
}

PLAIN = {"domain": {"domain"}, "children": {"domain", "children"}}
"""Packages that import nothing but the standard library, and these."""


def lists(project: dict[str, Any], rooms: str) -> dict[str, tuple[set[str], set[str]]]:
    """What each list names, and which packages it need not name."""
    tools, others = project["tool"], set(PACKAGES) - set(PROGRAM)
    found: dict[str, tuple[set[str], set[str]]] = {
        "mypy": (set(tools["mypy"]["files"]), set()),
        "isort": (set(tools["ruff"]["lint"]["isort"]["known-first-party"]), set()),
        "import-linter": (set(tools["importlinter"]["root_packages"]), others),
        "docs/architecture.md": (set(re.findall(r"`(\w+)/`", rooms)), others),
    }
    contracts = {contract["name"]: contract for contract in tools["importlinter"]["contracts"]}
    for name, (key, left_out) in CONTRACTS.items():
        named = re.findall(r"[\w.]+", " ".join(contracts[name][key]))
        found[name] = {module.partition(".")[0] for module in named}, others | left_out
    return found


def missing(packages: list[str]) -> dict[str, set[str]]:
    """Of each list: which of the packages it lacks."""
    return {name: set(packages) - named - left_out for name, (named, left_out) in lists(PROJECT, ROOMS).items()}


def test_every_package_stands_in_each_list() -> None:
    assert {name: lacking for name, lacking in missing(PACKAGES).items() if lacking} == {}


def test_a_package_that_is_new_is_missed_in_each_list() -> None:
    assert all(lacking == {"novelty"} for lacking in missing([*PACKAGES, "novelty"]).values())


def test_no_contract_is_left_out_of_the_table() -> None:
    for contract in PROJECT["tool"]["importlinter"]["contracts"]:
        sources = {module.partition(".")[0] for module in contract.get("source_modules", [])}
        assert len(sources) < 3 or contract["name"] in CONTRACTS, contract["name"]


@pytest.mark.parametrize("package", PLAIN)
def test_the_ground_floors_import_the_standard_library_alone(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            for module in modules:
                assert module.partition(".")[0] in sys.stdlib_module_names | PLAIN[package], f"{path}: {module}"
