"""A program in the place of `chains/core/embedding/cpu_child.py`: a request's first text says how to misbehave."""

import json
import os
import struct
import sys
import threading
from pathlib import Path

FLOAT = struct.pack("<f", 1.0)


def main() -> None:
    while head := sys.stdin.buffer.read(4):
        request = json.loads(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))
        texts = request.get("texts", [""])
        word, _, file = texts[0].partition(" ")
        if file:  # an account of what was begun, and in which order
            with Path(file).open("a") as account:
                account.write(f"{word}\n")
        match word:
            case "die":
                os._exit(9)
            case "die-once" if Path(file).read_text().count("die-once") == 1:
                os._exit(9)
            case "hang":
                threading.Event().wait()
            case "wait":  # until the test says so
                with Path(f"{file}.go").open() as gate:
                    gate.read()
            case "endless":
                sys.stdout.buffer.write(b"\xff\xff\xff\xff")
        answer = b"Emissing" if word == "missing" else b"V" + FLOAT * len(texts)
        if "split" in request:
            sections = request["split"]["sections"]
            answer = (
                b"J"
                + json.dumps(
                    [
                        {"number": n, "text": s["text"], "start": 0, "end": len(s["text"]), "page": s["page"]}
                        for n, s in enumerate(sections)
                    ]
                ).encode()
            )
        sys.stdout.buffer.write(struct.pack(">I", len(answer)) + answer)
        sys.stdout.buffer.flush()


main()
