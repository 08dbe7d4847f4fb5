"""The rules of the house that no linter knows (T05, T37)."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.packages import PROGRAM
from tests.support.server import ROOT

SOURCES = [
    ROOT / "main.py",
    ROOT / "serving.py",
    *(path for package in PROGRAM for path in sorted((ROOT / package).rglob("*.py"))),
]

MODULES_IN_A_FOLDER = 12

# Of what reads bytes of strangers, checks keys, or speaks to other servers: below these a known hole is open, or nobody
# tried.
FLOORS = {
    "starlette": (1, 3, 1),
    "pydantic": (2, 14),
    "uvicorn": (0, 54),
    "fastapi": (0, 165),
    "httptools": (0, 9),
    "h11": (0, 16),
    "python-multipart": (0, 0, 34),
    "lxml": (6, 1),
    "pypdfium2": (5, 15),
    "python-docx": (1, 2),
    "pyjwt": (2, 10, 1),
    "cryptography": (44, 0, 1),
    "redis": (8, 1),
    "httpx2": (2, 16),
    "orjson": (3, 11, 6),
    "langchain-core": (1, 2, 22),
}


def names_called(path: Path) -> set[str]:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {func.id for func in calls if isinstance(func, ast.Name)}


def test_imports_go_one_way() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    ended = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_only_main_asks_for_the_environments_settings() -> None:
    for path in SOURCES:
        if path.name not in ("main.py", "serving.py", "settings.py"):
            assert not names_called(path) & {"Settings", "get_settings"}, path


def test_nothing_imports_main() -> None:
    for path in SOURCES:
        assert not re.search(r"^\s*(from main import|import main)\b", path.read_text(), re.MULTILINE), path


def test_every_room_is_lived_in() -> None:
    for folder in {path.parent for path in SOURCES}:
        inside = {path.name for path in folder.iterdir()} - {"__init__.py", "__pycache__"}
        assert inside, f"{folder} is an empty room"


def test_no_folder_is_a_wall() -> None:
    for folder in {path.parent for path in SOURCES} - {ROOT / "stores" / "sql" / "migrations" / "versions"}:
        modules = sorted(path.name for path in folder.glob("*.py") if path.name != "__init__.py")
        assert len(modules) <= MODULES_IN_A_FOLDER, f"{folder.relative_to(ROOT)} wants rooms: {modules}"


def test_a_package_itself_holds_nothing() -> None:
    """What a package's own file imports, every module of it would load at the start."""
    for path in SOURCES:
        if path.name == "__init__.py":
            body = ast.parse(path.read_text()).body
            assert len(body) <= 1, path
            assert all(isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) for line in body), path


def test_what_only_its_own_room_uses_is_protected() -> None:
    """A module of a room is public because others use it, or stands in the room's contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    protected = {name for contract in contracts for name in contract.get("protected_modules", ())}
    imported = {name for path in SOURCES for name in imports_of(path) if room_of(name) != room_of(module_of(path))}
    for path in sorted((ROOT / "services").glob("*/*.py")):
        name = module_of(path)
        if path.name != "__init__.py" and path.parent.name != "assembly":
            assert (name in imported) != (name in protected), f"{name} is used outside, or it is protected"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def room_of(module: str) -> str:
    """The room in services; assembly and the container belong to all of them, so what they import is inside."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "services" else parts[0]


def imports_of(path: Path) -> set[str]:
    """The modules that the file imports; of the container and its parts none, for they put every room together."""
    if path.parent.name == "assembly" or path.name == "container.py":
        return set()
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_no_base_http_middleware_and_no_url_path_in_decisions() -> None:
    for path in SOURCES:
        source = path.read_text()
        assert "BaseHTTPMiddleware" not in source, path
        assert ".url.path" not in source, path


@pytest.mark.parametrize("package", FLOORS)
def test_versions_are_above_the_known_holes(package: str) -> None:
    installed = tuple(int(part) for part in re.findall(r"\d+", version(package))[:3])
    assert installed >= FLOORS[package]
