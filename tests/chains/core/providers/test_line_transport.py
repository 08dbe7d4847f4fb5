"""Lines on their way from the network: the same bytes are the same answer, wherever they were split (F09, T34)."""

import itertools

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.core.providers.line_transport import MAX_LINE_BYTES, BrokenLine, Lines

TEXTS = st.text(st.sampled_from('aé\u0085\u2028\u2029\u2027\u202a\xa0中😀\n\r"\\'), max_size=12)
SPLITS = st.lists(st.integers(0, 400), max_size=12)


def passed(body: bytes, cuts: list[int], *, verify: bool) -> bytes:
    lines = Lines(escape=True, verify=verify)
    ends = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    return b"".join(lines.feed(body[start:end]) for start, end in itertools.pairwise(ends))


@given(texts=st.lists(TEXTS, max_size=5), cuts=SPLITS, end=st.sampled_from([b"\n", b"\r\n"]))
def test_any_split_of_the_same_bytes_gives_the_same_lines(texts: list[str], cuts: list[int], end: bytes) -> None:
    blocks = [b"data: " + orjson.dumps({"text": text}) + end + end for text in texts]
    whole = passed(b"".join(blocks), cuts, verify=True)
    assert whole == passed(b"".join(blocks), [], verify=True)
    lines = [line for line in whole.decode().splitlines() if line]  # as httpx ends them
    assert [orjson.loads(line.removeprefix("data: "))["text"] for line in lines] == texts


@given(cuts=SPLITS)
def test_broken_json_is_an_error_wherever_it_is_split(cuts: list[int]) -> None:
    with pytest.raises(BrokenLine) as caught:
        passed(b'event: x\ndata: {"a": "b"}\n\ndata: [DONE]\n\ndata: {"a": "secret\n\n', cuts, verify=True)
    assert "secret" not in str(caught.value)


def test_a_line_may_be_long_but_not_endless() -> None:
    lines = Lines()
    piece = b"x" * (MAX_LINE_BYTES // 2)
    for data in (piece, piece, b"\n", piece, b"x\n" + piece):
        assert lines.feed(data) == data
    with pytest.raises(BrokenLine):
        lines.feed(piece + b"x")
