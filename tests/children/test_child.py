"""Child processes start apart from us, and go with all that they have started."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from children import lines
from children.child import Child
from children.spawning import EVERYDAY, Program, spawn
from tests.support.server import ROOT

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a program."""

    def write(body: str) -> Path:
        file = tmp_path / "program.py"
        file.write_text("import json, os, subprocess, sys, threading\n" + dedent(body))
        return file

    return write


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A named pipe: reading it ends when the last process that has opened it for writing is gone."""
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


async def gone(child: Child) -> bool:
    async with asyncio.timeout(20):
        await child.wait()
    return not psutil.pid_exists(child.pid)


async def test_it_gets_of_the_environment_what_its_program_names(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR"):
        monkeypatch.setenv(name, f"canary-{name}")
    file = write("print(json.dumps(dict(os.environ)), flush=True)")
    bare = await spawn(Program(file))
    given = await spawn(Program(file, inherited=EVERYDAY, environment={"OWN": "value"}))
    alone, named = await lines.receive(bare), await lines.receive(given)
    await bare.end()
    await given.end()
    assert "canary" not in str(alone)
    assert named is not None
    assert named["OWN"] == "value"
    assert {name for name, value in named.items() if "canary" in value} == {"LD_LIBRARY_PATH", "TMPDIR"}


async def test_nothing_beside_the_file_or_in_the_working_folder_is_imported(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('this is not the standard library')")
    monkeypatch.chdir(tmp_path)
    child = await spawn(Program(write("print(json.dumps({}), flush=True)")))
    assert await lines.receive(child) == {}
    await child.end()


async def test_it_has_a_session_and_a_group_of_its_own(write: Write) -> None:
    child = await spawn(Program(write("print(json.dumps([os.getsid(0), os.getpgid(0)][1:] and {'is': os.getsid(0)}))")))
    assert await lines.receive(child) == {"is": child.pid}
    await child.end()


async def test_a_program_that_may_write_no_files_leaves_no_bytecode(write: Write) -> None:
    child = await spawn(Program(write("print(json.dumps({'not': sys.dont_write_bytecode}))"), writes_bytecode=False))
    assert await lines.receive(child) == {"not": True}
    await child.end()


STARTS_ANOTHER = """
held = os.open({fifo!r}, os.O_WRONLY)
os.set_inheritable(held, True)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], close_fds=False, stdout=subprocess.DEVNULL)
os.close(held)
print("{{}}", flush=True)
"""


@pytest.mark.parametrize("ends", ["threading.Event().wait()", "", "os._exit(3)", "os.abort()"])
async def test_what_it_has_started_goes_with_it(write: Write, fifo: Path, ends: str) -> None:
    child = await spawn(Program(write(STARTS_ANOTHER.format(fifo=str(fifo)) + ends)))
    reader = await asyncio.to_thread(fifo.open, "rb")
    assert await lines.receive(child) == {}
    if "wait" in ends:
        await child.end()
    with reader:
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(reader.read) == b""  # returns when no process holds the other end
    assert await gone(child)
    await child.end()


async def test_it_may_end_by_itself_within_its_grace(write: Write) -> None:
    child = await spawn(Program(write("print('{}', flush=True)\nsys.stdin.read()\nsys.exit(7)")))
    await lines.receive(child)
    await child.end(grace=20)
    assert child.returncode == 7


async def test_after_its_grace_it_is_killed(write: Write) -> None:
    child = await spawn(Program(write("print('{}', flush=True)\nthreading.Event().wait()")))
    await lines.receive(child)
    await child.end(grace=0.05)
    assert child.returncode == -9
    assert await gone(child)


@pytest.mark.parametrize(("grace", "code"), [(0.0, -9), (20.0, 7)])
async def test_output_that_is_not_read_delays_no_end(write: Write, fifo: Path, grace: float, code: int) -> None:
    child = await spawn(
        Program(
            write(f"""
                for _ in range(4):
                    print("x" * 65_535, flush=True)
                open({str(fifo)!r}, "w").close()
                while sys.argv[1] == "0.0":
                    print("x" * 65_535, flush=True)
                print("x" * 1_000_000, flush=True)
                sys.exit(7)
            """),
            (str(grace),),
        ),
        longest_line=1_000,
    )
    await child.stdout.readexactly(200_000)
    async with asyncio.timeout(4):
        await asyncio.to_thread(fifo.read_bytes)
        await child.end(grace)
    assert child.returncode == code


async def test_it_can_be_ended_twice_and_long_after_it_has_died(write: Write) -> None:
    child = await spawn(Program(write("sys.exit(1)")))
    assert await child.wait() == 1
    await child.end()
    await child.end()


async def test_feeding_one_that_reads_nothing_fails_when_it_goes(write: Write) -> None:
    child = await spawn(Program(write("sys.exit(1)")))
    with pytest.raises(OSError):  # noqa: PT011 - a broken pipe or a connection reset
        await child.feed(b"x" * 20_000_000)
    await child.end()


async def test_a_child_that_reads_its_input_ends_with_a_parent_that_is_killed(write: Write, fifo: Path) -> None:
    program = write(f"held = os.open({str(fifo)!r}, os.O_WRONLY)\nsys.stdin.read()")
    parent = f"""
import asyncio, pathlib
from children.spawning import Program, spawn

async def main():
    child = await spawn(Program(pathlib.Path({str(program)!r})))
    await asyncio.sleep(600)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", parent, cwd=ROOT)
    with await asyncio.to_thread(fifo.open, "rb") as reader:
        process.kill()
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(reader.read) == b""
    await process.wait()
