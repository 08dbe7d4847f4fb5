"""Stands for the server: `python server.py FOLDER UID ABI` has secrets, and lets the probe read a document.

What the probe has found is printed as JSON, with whether this process is still whole.
"""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from parsing.parser import Parser  # noqa: E402 - the folder is known by now


def victims(folder: Path) -> dict[str, str]:
    """One of each kind of file, each with something to lose."""
    made = {name: folder / name.replace(" ", "_") for name in ("a file", "a folder", "a link", "a pipe", "a socket")}
    made["a file"].write_text("CANARY")
    made["a folder"].mkdir()
    made["a link"].symlink_to(made["a file"])
    os.mkfifo(made["a pipe"])
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(made["a socket"]))
    listener.listen()
    system = {"a device": "/dev/null", "a system's file": "/etc/passwd", "a system's folder": "/etc", "the root": "/"}
    return {name: str(path) for name, path in made.items()} | system


async def main(folder: Path, abi: str) -> None:
    """Have it tried."""
    targets = victims(folder)
    before = {path: os.lstat(path) for path in targets.values()}
    program = folder / "program.py"
    program.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom parsing.child import main\n"
        f"from tests.security.parser.probe import read\nmain(read, abi={abi})\n"
    )
    document = json.dumps({"victims": targets, "pid": os.getpid()}).encode()
    parsed = await Parser(program=program).parse(document, "a.json")
    changed = [path for path, was in before.items() if looks(os.lstat(path)) != looks(was)]
    found = json.loads(parsed.sections[0].text)
    print(json.dumps({"found": found, "changed": changed, "beside": len(os.listdir(folder))}))


def looks(seen: os.stat_result) -> tuple[int, ...]:
    """What would change with a file."""
    return seen.st_mode, seen.st_uid, seen.st_nlink, seen.st_size, seen.st_mtime_ns


if __name__ == "__main__":
    os.environ["PROVIDER_KEYS"] = "CANARY"
    if (uid := int(sys.argv[2])) != os.getuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    asyncio.run(main(Path(sys.argv[1]), sys.argv[3]))
