"""Pieces of documents: as small as asked for, where they say they are, and nothing is lost."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.splitting import split, whole_text
from domain.documents import Chunk, Parsed, Section

KINDS = st.sampled_from(["text/plain", "text/markdown", "text/html", "application/pdf"])
TEXTS = st.lists(
    st.sampled_from(
        ["word", "a", "Sentence one. ", "\n", "\n\n", " ", "# h\n", "```\n", "---\n", "。", "aaaa", "é😀", "\t"]
    ),
    min_size=1,
    max_size=120,
).map("".join)
SECTIONS = st.lists(
    st.builds(Section, TEXTS.filter(str.strip), st.none() | st.integers(1, 9), st.none() | st.just("A > B")), max_size=4
)


@settings(deadline=None)
@given(st.builds(Parsed, KINDS, SECTIONS.map(tuple)), st.integers(1, 200), st.integers(0, 100))
def test_pieces_are_small_stand_where_they_say_and_lose_nothing(parsed: Parsed, size: int, overlap: int) -> None:
    whole = whole_text(parsed)
    chunks = split(parsed, size, overlap)
    covered = [False] * len(whole)
    for number, chunk in enumerate(chunks):
        assert chunk.number == number
        assert chunk.text == whole[chunk.start : chunk.end]
        assert 0 < len(chunk.text) <= size
        assert chunk.text == chunk.text.strip()
        covered[chunk.start : chunk.end] = [True] * len(chunk.text)
    assert all(done or char.isspace() for done, char in zip(covered, whole, strict=True))
    for before, after in pairwise(chunks):
        assert before.start < after.start
        assert before.end < after.end
        assert before.end - after.start <= overlap


def test_pages_and_headings_go_along_and_sections_are_not_joined() -> None:
    parsed = Parsed("application/pdf", (Section("one", 1, "A"), Section("two " * 20, 2, "A > B")))
    chunks = split(parsed, 40, 0)
    assert chunks[0] == Chunk(0, "one", 0, 3, 1, "A")
    assert {(chunk.page, chunk.heading) for chunk in chunks[1:]} == {(2, "A > B")}


def test_text_is_cut_between_paragraphs_before_lines_and_between_sentences_before_words() -> None:
    paragraphs = Parsed("text/plain", (Section("one two\nthree\n\nfour five\nsix"),))
    assert [chunk.text for chunk in split(paragraphs, 20, 0)] == ["one two\nthree", "four five\nsix"]
    sentences = Parsed("text/plain", (Section("First one here. Second one there. Third."),))
    assert [chunk.text for chunk in split(sentences, 24, 0)] == ["First one here.", "Second one there.", "Third."]


def test_markdown_is_cut_between_its_blocks() -> None:
    block = "```\ncode one\n\ncode two\n```"
    parsed = Parsed("text/markdown", (Section(f"{block}\n{'word ' * 8}"),))
    assert split(parsed, 60, 0)[0].text == block


def test_a_heading_stays_with_what_it_is_over() -> None:
    parsed = Parsed("text/markdown", (Section("## Words\n\n" + "A sentence of some length. " * 60),))
    chunks = split(parsed, 1_000, 100)
    assert len(chunks) == 2
    assert chunks[0].text.startswith("## Words\n\nA sentence")


def test_pieces_overlap_where_asked() -> None:
    parsed = Parsed("text/plain", (Section(" ".join(f"w{number}" for number in range(200))),))
    chunks = split(parsed, 100, 30)
    assert all(0 < before.end - after.start <= 30 for before, after in pairwise(chunks))


@pytest.mark.parametrize("text", ["a" * 5_000, "ab\n" * 2_000, "😀" * 3_000])
def test_text_without_a_good_place_is_cut_all_the_same(text: str) -> None:
    chunks = split(Parsed("text/plain", (Section(text),)), 1_000, 150)
    assert max(len(chunk.text) for chunk in chunks) <= 1_000
    assert chunks[-1].end == len(text.rstrip())
