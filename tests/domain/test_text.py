from hypothesis import given
from hypothesis import strategies as st

from domain.text import is_unspaced, words_of


def test_a_text_is_split_where_its_script_puts_spaces() -> None:
    assert list(words_of("The Keeper's lamp, 4 m high")) == ["the", "keeper", "s", "lamp", "4", "m", "high"]
    assert list(words_of("Straße_und Ölkanne")) == ["straße", "und", "ölkanne"]


def test_scripts_without_spaces_give_pairs_of_characters() -> None:
    assert list(words_of("灯台守")) == ["灯台", "台守"]
    assert list(words_of("ภาษา")) == ["ภา", "าษ", "ษา"]
    assert list(words_of("灯")) == ["灯"]
    assert list(words_of("lamp灯台Nr3")) == ["lamp", "灯台", "nr3"]


@given(st.text(st.sampled_from("aB ß7_.灯台守ภာ\U0003ffff\U00040000\u2e7f"), max_size=20))
def test_words_hold_what_the_text_holds_in_one_kind_of_script(text: str) -> None:
    words = list(words_of(text))
    assert set("".join(words)) == {char for char in text.lower() if char.isalnum()}
    for word in words:
        assert {is_unspaced(char) for char in word} == {is_unspaced(word)}
