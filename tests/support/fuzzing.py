"""Fuzzing: what comes from outside, mutated from good examples, and how long to go on with it.

As a test a target tries a few hundred inputs. With FUZZ_SECONDS, which `make fuzz` sets, it goes on for so long, each
round with a fresh seed, and a failure shows the input, made as small as it gets.
"""

import copy
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from typing import Any, TypeVar

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.support.effort import examples

T = TypeVar("T")
ROUND = 500
"""Inputs of one seed, where the clock says when to end."""


def fuzz(inputs: st.SearchStrategy[T], test: Callable[[T], object], *, count: int) -> None:
    """Run the test on `count` inputs, in proportion fewer at less effort; with FUZZ_SECONDS, for so many seconds."""
    seconds = float(os.environ.get("FUZZ_SECONDS") or 0)

    def attempt(value: T) -> None:
        test(value)

    attempt.__name__ = re.sub(r"\W+", "_", test.__qualname__)  # by which hypothesis remembers what has failed
    how = settings(max_examples=ROUND if seconds else examples(count), deadline=None, print_blob=True)
    run = settings(how, suppress_health_check=list(HealthCheck))(given(inputs)(attempt))
    if not seconds:
        run()
        return
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        seed(secrets.randbits(64))(run)()


ODD_BYTES = (
    b"\0", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\xaf", b"\r\n", b"\n\n", b"\r\n\r\n", b"\x1b[2J", b"%00",
    b"%2e%2e%2f", b"../", b"'", b'"', b"\\", b"`", b"{", b"[", b"}", b"]", b"<", b"&", b"\\ud800", b"\\u0000", b"-1",
    b"1e999", b"NaN", b"9" * 400, b"A" * 5_000, b"{}" * 60, b"[" * 300, "\u2028".encode(), "\U0001f600".encode(),
    "\u202e".encode(), b"data: x\n\n", b"' OR 1=1 --", b"${x}", b"{{x}}", b"%s", b"\x7f\x80\x85",
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, whole: bytes, *, most: int = 6, tokens: tuple[bytes, ...] = ODD_BYTES) -> bytes:
    """The bytes with up to `most` changes: something put in, cut, doubled, moved or overwritten."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, min(48, len(data) - at)))
        piece = draw(st.sampled_from(tokens) | st.binary(min_size=1, max_size=8))
        match draw(st.integers(0, 5)):
            case 0:
                data[at:at] = piece
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size] * draw(st.sampled_from([1, 2, 50]))
            case 3:
                to = draw(st.integers(0, len(data)))
                data[to:to] = data[at : at + size]
            case 4:
                data[at : at + len(piece)] = piece
            case 5:
                del data[at:]
    return bytes(data)


ODD_TEXTS = (
    "", " ", "\0", "\ud800", "\ufffd", "a" * 300, "a" * 40_000, "\U0001f600" * 70, "null", "true", "0", "-1", "1e400",
    ".", "..", "/", "//", "../../etc/passwd", "%", "%00", "%2F", "\\", "'", '"', "' OR '1'='1", "\r\nx: y",
    "\n\ndata: x\n\n", "\u2028", "\u202e", "\x1b[2J", "local", "0" * 16, "0" * 31, "0" * 32, "F" * 32, "vs_",
    "vs_AAAA", "file-" + "0" * 24, "data:image/png;base64,AAAA", "data:,", "http://127.0.0.1:1/",
    "file:///etc/passwd", "simulated", "system", "user", "assistant", "tool", "[DONE]", "openai", "events",
)  # fmt: skip
_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, 1e308, float("inf"),
    float("nan"), -0.0, [], {}, [[]], [{}], [None] * 3, {"": None}, {"type": "text", "text": "a"}, {"type": "text"},
    {"type": "image_url", "image_url": {"url": "x"}}, [[[[[[[[]]]]]]]],
)  # fmt: skip
odd_texts = st.sampled_from(ODD_TEXTS) | st.text(max_size=30)
odd_values: st.SearchStrategy[Any] = (
    st.sampled_from(_ODD_VALUES)
    | odd_texts
    | st.integers()
    | st.floats()
    | st.recursive(st.none() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
)
Place = tuple[MutableMapping[Any, Any] | MutableSequence[Any], Any]


def _places(value: Any) -> Iterator[Place]:
    """Every place in a JSON value where something stands."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


@st.composite
def odd_json(draw: st.DrawFn, whole: Any, names: tuple[str, ...] = ("",), *, most: int = 3) -> bytes:
    """JSON of the value with up to `most` changes in its structure, and sometimes some in its bytes."""
    root = [copy.deepcopy(whole)]
    for _ in range(draw(st.integers(1, most))):
        container, key = draw(st.sampled_from(list(_places(root)) or [(root, 0)]))
        others = [each[place] for each, place in _places(root)]
        new = copy.deepcopy(draw(odd_values | st.sampled_from(others)))
        match draw(st.integers(0, 3)):
            case 0 | 1:
                container[key] = new
            case 2 if isinstance(container, dict):
                container[draw(st.sampled_from(names) | odd_texts)] = new
            case 2 if isinstance(container, list) and container is not root:
                container.insert(key, new)
            case 3 if container is not root:
                del container[key]
    body = json.dumps(root[0]).encode()
    return draw(mutated(body, most=2)) if draw(st.integers(0, 5)) == 0 else body
