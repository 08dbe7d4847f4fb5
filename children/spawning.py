"""Start a Python file as a child process, apart from this process's environment, folder, terminal and group.

The child gets three streams and nothing else of ours: its standard input, which ends when this process does, its
standard output, and a standard error that goes nowhere, because libraries quote what they work on there.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from children.child import Child

EVERYDAY = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TEMP", "LD_LIBRARY_PATH")
"""Variables without secrets, by which packages find their libraries and a place for temporary files."""
_REQUIRED = ("SYSTEMROOT",) if sys.platform == "win32" else ()  # on Windows, Python does not start without it


@dataclass(frozen=True, slots=True)
class Program:
    """What runs in a child process.

    Its environment is `environment` and, of this process's variables, those that `inherited` names. `writes_bytecode`
    is for programs that import large packages and may write files.
    """

    file: Path
    arguments: tuple[str, ...] = ()
    inherited: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    writes_bytecode: bool = True

    def command(self) -> list[str]:
        """The command line. With -I neither the file's folder nor the environment changes what is imported."""
        options = ["-I"] if self.writes_bytecode else ["-I", "-B"]
        return [sys.executable, *options, str(self.file), *self.arguments]

    def variables(self) -> dict[str, str]:
        """The environment, whole."""
        inherited = (*_REQUIRED, *self.inherited)
        return {**{name: os.environ[name] for name in inherited if name in os.environ}, **self.environment}


async def spawn(program: Program, *, longest_line: int = 1 << 16) -> Child:
    """Start it. `longest_line` bounds, in bytes, a line that is read from its output."""
    process = await asyncio.create_subprocess_exec(
        *program.command(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=program.variables(),
        start_new_session=True,  # Ctrl-C is for the server, which drains first; and the group can be killed whole
        limit=longest_line,
    )
    return Child(process)
