"""Frames and lines: what one end of a pipe writes, the other reads; and no more than it may."""

import asyncio
import io
import json
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from children import frames, lines
from children.child import Child
from children.spawning import Program, spawn
from tests.support.server import ROOT

ECHO = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from children import frames
output = frames.reserve_output()
print("a package talks")
while (body := frames.read(sys.stdin.buffer)) is not None:
    frames.write(output, body[::-1])
"""


@pytest.fixture
async def echo(tmp_path: Path) -> AsyncIterator[Child]:
    """A child that writes each frame back, reversed."""
    program = tmp_path / "echo.py"
    program.write_text(ECHO)
    child = await spawn(Program(program))
    yield child
    await child.end()


async def said(tmp_path: Path, body: str) -> Child:
    program = tmp_path / "says.py"
    program.write_text("import sys\n" + body)
    return await spawn(Program(program), longest_line=1_000)


async def test_frames_go_there_and_back_and_prints_do_not_disturb_them(echo: Child) -> None:
    for body in (b"a", b"\n" * 3, bytes(range(256)) * 4_096):
        await frames.send(echo, body)
        assert await frames.receive(echo, len(body)) == body[::-1]
    echo.stdin.close()
    with pytest.raises(EOFError):
        await frames.receive(echo, 1)


async def test_a_frame_beyond_its_bound_is_refused_before_it_is_read(echo: Child) -> None:
    await frames.send(echo, b"x" * 1_001)
    with pytest.raises(ValueError, match="1001 bytes"):
        await frames.receive(echo, 1_000)


@pytest.mark.parametrize("head", [b"\0\0\0\0", b"\xff\xff\xff\xff"])
async def test_a_frame_of_nothing_or_of_gigabytes_is_refused(tmp_path: Path, head: bytes) -> None:
    child = await said(tmp_path, f"sys.stdout.buffer.write({head!r})\nsys.stdout.flush()\nsys.stdin.read()")
    with pytest.raises(ValueError, match="bytes"):
        await frames.receive(child, 1_000)
    await child.end()


@pytest.mark.parametrize("cut", [b"", b"\0", struct.pack(">I", 9), struct.pack(">I", 9) + b"half"])
async def test_output_that_ends_within_a_frame_is_the_childs_end(tmp_path: Path, cut: bytes) -> None:
    child = await said(tmp_path, f"sys.stdout.buffer.write({cut!r})")
    with pytest.raises(EOFError):
        await frames.receive(child, 1_000)
    await child.end()


def test_input_that_ends_within_a_frames_head_is_the_end() -> None:
    assert frames.read(io.BytesIO(b"")) is None
    assert frames.read(io.BytesIO(b"\0\0")) is None


async def test_lines_carry_every_character(tmp_path: Path) -> None:
    body = f"sys.path.insert(0, {str(ROOT)!r})\nfrom children import lines\n"
    child = await said(tmp_path, body + "lines.write(sys.stdout.buffer, **lines.read(sys.stdin.buffer), more=None)")
    await lines.send(child, text="Größe 😀 \u2028\n\0")
    assert await lines.receive(child) == {"text": "Größe 😀 \u2028\n\0", "more": None}
    assert await lines.receive(child) is None
    await child.end()


@pytest.mark.parametrize("line", ["", "no json", "[]", "7", '{"cut": ', "[" * 900, "x" * 5_000])
async def test_a_line_that_is_too_long_or_no_object_is_refused(tmp_path: Path, line: str) -> None:
    child = await said(tmp_path, f"print({line!r})")
    async with asyncio.timeout(20):
        with pytest.raises(ValueError):  # noqa: PT011 - of several makers
            await lines.receive(child)
    await child.end()


def test_nesting_without_end_is_refused_as_well() -> None:
    with pytest.raises(ValueError, match="nested"):
        lines.read(io.BytesIO(b"[" * 100_000))


def test_a_child_program_imports_nothing_heavy_for_them() -> None:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import json; "
    program += "import children.frames, children.lines, children.confinement; print(json.dumps(list(sys.modules)))"
    ended = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, check=True)
    loaded = set(json.loads(ended.stdout))
    assert "children.frames" in loaded
    assert not {"asyncio", "socket", "ssl", "dataclasses", "logging", "typing_extensions", "orjson"} & loaded
