"""Run as a program by `CpuWorker`: embed and split, one request after the other, until standard input ends.

A frame, in both directions, is its length as four bytes, big-endian, and that many bytes. A request is JSON:
`{"embed": model, "texts": [...]}`, answered by `V` and the vectors one after the other, or
`{"split": parsed, "size": n, "overlap": n}`, answered by `J` and the chunks as JSON. `E` and a name is a failure.
"""

import contextlib
import os
import struct
import sys
from typing import Any, BinaryIO

_NETWORK = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")
_models: dict[str, Any] = {}


def _refuse(event: str, _: tuple[Any, ...]) -> None:
    if event in _NETWORK:
        raise PermissionError("this process has no business on any network")


def _embed(request: dict[str, Any]) -> bytes:
    from chains.core.embedding.bundled_models import load

    name = request["embed"]
    if name not in _models:
        _models[name] = load(name)
    vectors: bytes = _models[name].matrix(request["texts"]).tobytes()
    return b"V" + vectors


def _split(request: dict[str, Any]) -> bytes:
    import orjson

    from chains.splitting import split
    from domain.documents import Parsed, Section

    found = request["split"]
    sections = tuple(Section(**section) for section in found["sections"])
    parsed = Parsed(found["media_type"], sections, found["title"], found["pages"])
    return b"J" + orjson.dumps(split(parsed, request["size"], request["overlap"]))


def answer(body: bytes) -> bytes:
    """What to say to one request."""
    import orjson

    try:
        request = orjson.loads(body)
        return _embed(request) if "embed" in request else _split(request)
    except ImportError:
        return b"Emissing"
    except MemoryError:
        raise  # nothing is left to go on with
    except Exception as error:
        return b"E" + type(error).__name__.encode()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there are no more requests."""
    while head := requests.read(4):
        said = answer(requests.read(struct.unpack(">I", head)[0]))
        answers.write(struct.pack(">I", len(said)) + said)
        answers.flush()


def main(root: str) -> None:
    """Serve standard input. `root` is the project's folder, as nothing else of it is on the path."""
    sys.path.insert(0, root)
    sys.addaudithook(_refuse)
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)  # words of live streams go first
    # Whatever a package prints must not stand between the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main(sys.argv[1])
