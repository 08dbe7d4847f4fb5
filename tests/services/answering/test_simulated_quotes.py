"""What the simulated responder quotes of passages."""

import pytest

from domain.citations import marks
from domain.documents import Passage, PieceKey
from services.answering.simulated_quotes import extract


def passage(text: str) -> Passage:
    return Passage(PieceKey("d" * 32, 0), "title", "title", text)


@pytest.mark.parametrize(
    ("question", "text", "begins"),
    [
        ("Who keeps the heron?", "Peas climb. A fence helps. The heron is kept by Ines.", "The heron is kept"),
        ("Wo liegt der Schlüssel?", "Es ist neun Uhr. Der Schlüssel liegt im Flur.", "Der Schlüssel"),
        ("灯台守の名前は？", "海は広い。灯台守の名前は田中です。", "灯台守"),
    ],
    ids=["English", "German", "Japanese"],
)
def test_the_quote_begins_with_the_sentence_that_is_asked_for(question: str, text: str, begins: str) -> None:
    assert extract(question, [passage(text)]).startswith(f"“{begins}")


@pytest.mark.parametrize(
    "text", ["灯台は高い。海は広い！見えるか？はい。", "Peas climb. A fence helps!  It stands.", "一。Two. 三。"]
)
def test_sentences_that_follow_are_quoted_as_they_stand(text: str) -> None:
    assert extract("?", [passage(text)]) == f"“{' '.join(text.split())}” [1]"


@pytest.mark.parametrize("own", ["[2]", "[[1]2]", "[1,  2]", "[1,\n\n2]", "[2[1[1]]]", "[[2],\n2]"])
def test_a_documents_own_references_become_none_of_the_answers(own: str) -> None:
    answer = extract("Who keeps the heron?", [passage(f"Ines keeps the heron {own} at home."), passage("Peas.")])
    assert [mark.number for mark in marks(answer)] == [1, 2], answer
    assert answer.endswith(" [2]")
