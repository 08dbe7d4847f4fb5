"""What a child gives up. That the kernel refuses what is given up, tests/parsing shows through whole documents."""

import asyncio
import sys
from pathlib import Path

import pytest

from children import lines
from children.spawning import Program, spawn
from tests.support.server import ROOT

START = f"import os, socket, sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom children import confinement, lines\n"


async def written(tmp_path: Path, body: str) -> dict[str, object]:
    program = tmp_path / "program.py"
    program.write_text(START + body)
    child = await spawn(Program(program))
    try:
        async with asyncio.timeout(20):
            fields = await lines.receive(child)
    finally:
        await child.end()
    assert fields is not None
    return fields


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is less")
async def test_it_says_by_which_means_it_is_confined(tmp_path: Path) -> None:
    body = "had = confinement.confine([], memory=1 << 30, cpu_seconds=9)\nlines.write(sys.stdout.buffer, had=had)"
    assert (await written(tmp_path, body))["had"] == [
        *("cores", "files", "memory", "cpu", "children", "landlock", "system calls")
    ]


@pytest.mark.parametrize(
    "call",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.getaddrinfo('localhost', 9)",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    ],
)
async def test_python_code_is_refused_a_network_without_a_filter(tmp_path: Path, call: str) -> None:
    body = f"""
confinement.refuse_network()
try:
    {call}
except PermissionError as error:
    lines.write(sys.stdout.buffer, refused=str(error))
"""
    assert await written(tmp_path, body) == {"refused": "this process may not use any network"}


@pytest.mark.skipif(sys.platform == "win32", reason="there it does nothing")
async def test_others_go_first(tmp_path: Path) -> None:
    body = "before = os.nice(0)\nconfinement.lower_priority(3)\n"
    assert await written(tmp_path, body + "lines.write(sys.stdout.buffer, by=os.nice(0) - before)") == {"by": 3}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all files can be read")
async def test_packages_that_are_links_can_be_imported(tmp_path: Path) -> None:
    """As uv installs with `link-mode = symlink`, and Nix and Bazel always."""
    for name in ("whole", "by_file"):
        (tmp_path / "store" / name).mkdir(parents=True)
        (tmp_path / "store" / name / "__init__.py").write_text("")
    site = tmp_path / "site-packages"
    (site / "by_file").mkdir(parents=True)
    (site / "whole").symlink_to(tmp_path / "store" / "whole")
    (site / "by_file" / "__init__.py").symlink_to(tmp_path / "store" / "by_file" / "__init__.py")
    body = f"""
sys.path.append({str(site)!r})
confinement.confine(confinement.python_files())
import whole, by_file
try:
    open({str(tmp_path / "program.py")!r})
except PermissionError:
    lines.write(sys.stdout.buffer, imported=True)
"""
    assert await written(tmp_path, body) == {"imported": True}
