"""Run as a program by `CpuWorker`: embed and split, one request after the other, until standard input ends.

Requests and responses are frames (`children.frames`). A request is JSON: `{"embed": model, "texts": [...]}`, whose
response is `V` and the vectors one after the other, or `{"split": parsed, "size": n, "overlap": n}`, whose response is
`J` and the chunks as JSON. A failure is `E` and a name.
"""

import sys
from pathlib import Path
from typing import Any, BinaryIO

if __name__ == "__main__":  # run with -I, which leaves the program's own folder out of the path
    sys.path.insert(0, str(Path(__file__).parents[3]))

from children import frames
from children.confinement import confine, lower_priority, python_files, refuse_network

_ROOT = Path(__file__).parents[3]
_OWN = tuple(str(_ROOT / package) for package in ("chains", "children", "domain"))
_ABOUT_PROCESSORS = ("/proc/cpuinfo", "/sys/devices/system/cpu")
"""Where libraries that compute look for what the machine can do."""

_models: dict[str, Any] = {}


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


def respond(body: bytes) -> bytes:
    """The response to one request. A failure concerns this request only, except MemoryError, which ends the process."""
    import orjson

    try:
        request = orjson.loads(body)
        return _embed(request) if "embed" in request else _split(request)
    except ImportError:
        return b"Emissing"
    except MemoryError:
        raise
    except Exception as error:
        return b"E" + type(error).__name__.encode()


def serve(requests: BinaryIO, responses: BinaryIO) -> None:
    """Respond until there are no more requests."""
    while (body := frames.read(requests)) is not None:
        frames.write(responses, respond(body))


def main() -> None:
    """Serve standard input."""
    refuse_network()
    lower_priority(5)  # words of live streams go first
    confine([*python_files(*_OWN), *_ABOUT_PROCESSORS], threads=True)
    serve(sys.stdin.buffer, frames.reserve_output())


if __name__ == "__main__":
    main()
