"""What is found among many passages that are much alike: by its words too, whatever its meaning."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.library import Library, sources
from tests.support.server import live_server, make_settings


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    """Four hundred lines about warranties, and three that are about something else."""
    lines = [f"The warranty of model number {number} covers parts for {number % 7} years." for number in range(400)]
    lines[50] = "Mr Oberhuber has the keys of the cellar."
    lines[200] = "Serial zq4471x left the factory in May, with a dent."
    with ExitStack() as stack:
        found = Library(stack.enter_context(live_server(make_settings(STREAM_DELAY=0))))
        found.add("warranties.txt", "\n\n".join(lines))
        yield found


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ("zq4471x", "Serial zq4471x"),
        ("What is ZQ4471X?", "Serial zq4471x"),
        ("Where is Mr Oberhuber?", "Mr Oberhuber"),
    ],
)
def test_a_passage_with_all_that_is_asked_for_is_found_whatever_its_cosine(
    library: Library, question: str, line: str
) -> None:
    found = sources(library.ask(question))
    assert any(line in source["text"] for source in found)
    assert all(isinstance(source["score"], float) for source in found), "also of those that are not among the nearest"


@pytest.mark.parametrize(
    ("question", "documents"),
    [
        ("Where is the horse of Mr Oberhuber?", {}),
        ("What is it that you have?", {}),
        ("zq4471x", {"min_score": 0.5}),
    ],
)
def test_what_has_only_some_of_it_or_less_than_was_asked_for_is_not(
    library: Library, question: str, documents: dict[str, Any]
) -> None:
    assert sources(library.ask(question, documents)) == []


def test_letters_and_their_accents_are_asked_for_in_either_form(serve: Callable[..., Any]) -> None:
    library = Library(serve())
    library.add("cafe.txt", "The caf\u00e9 of Ren\u00e9e Br\u00fbl\u00e9 opens at nine.")
    composed, apart = (
        sources(library.ask(f"When does the caf{e} of Ren{e}e open?"))[0]["score"] for e in ("\u00e9", "e\u0301")
    )
    assert composed == apart
