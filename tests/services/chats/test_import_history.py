"""Whatever a client sends of a chat that is not known, a session can begin with it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain.messages import ClientMessage, Earlier
from services.chats.import_history import distinct, imported

NAMES = st.sampled_from(["", "1", "2", "3"])
TEXTS = st.sampled_from(["", "one", "two", " "])
LINES = st.lists(st.builds(ClientMessage, NAMES, st.sampled_from(["user", "assistant"]), TEXTS), max_size=12)


def user(text: str, id: str = "") -> ClientMessage:
    return ClientMessage(id, "user", text)


def answer(text: str, id: str = "") -> ClientMessage:
    return ClientMessage(id, "assistant", text)


def taken(*lines: ClientMessage) -> list[tuple[str, str, str | None]]:
    return [(each.role, each.text, each.client_id) for each in imported(lines)]


def names(*lines: ClientMessage) -> list[str]:
    return [line.id for line in distinct(lines)]


def test_what_takes_turns_is_taken_as_it_is() -> None:
    said = [user("one", "1"), answer("first", "2"), user("two"), answer("second")]
    assert taken(*said) == [(line.role, line.text, line.id or None) for line in said]
    assert imported([user("one two three")])[0].tokens > imported([user("")])[0].tokens > 0


def test_an_answer_may_come_first() -> None:
    greeted = [answer("Hello!", "0"), user("one", "1"), answer("first", "2")]
    assert taken(*greeted) == [(line.role, line.text, line.id) for line in greeted]


def test_each_question_has_an_answer_be_it_without_a_word() -> None:
    assert taken(user("one", "1"), user("two", "2")) == [
        ("user", "one", "1"), ("assistant", "", None), ("user", "two", "2"), ("assistant", "", None)
    ]  # fmt: skip


def test_answers_that_follow_each_other_are_one_under_the_last_name() -> None:
    said = [user("one"), answer("Let me see.", "a"), answer("", "b"), answer("Sunny.", "c"), answer("Bye.")]
    assert taken(*said)[1:] == [("assistant", "Let me see.\n\nSunny.\n\nBye.", "c")]


def test_a_name_is_borne_by_one_and_a_name_of_different_messages_by_none() -> None:
    assert names(user("one", "1"), answer("first", "2"), user("two", "3")) == ["1", "2", "3"]
    assert names(user("one", "1"), answer("first", "2"), user("one", "1")) == ["", "2", "1"]
    assert names(user("one", "1"), answer("first", "2"), user("two", "1")) == ["", "2", ""]
    assert names(user("one", "1"), answer("one", "1"), user("one", "1")) == ["", "", ""]
    assert names(user("one"), user("one")) == ["", ""]


@given(lines=LINES)
def test_any_messages_become_turns_of_which_nothing_is_lost(lines: list[ClientMessage]) -> None:
    named = distinct(lines)
    assert [(line.role, line.text) for line in named] == [(line.role, line.text) for line in lines]
    borne = [line.id for line in named if line.id]
    assert len(borne) == len(set(borne))
    found = imported(named)
    assert len(found) <= 2 * len(lines)
    assert all(one.role != next_.role for one, next_ in pairwise(found))
    assert not found or found[-1].role == "assistant"
    assert [each.text for each in found if each.role == "user"] == [each.text for each in lines if each.role == "user"]
    assert words(found) == words(lines)


def words(said: list[Earlier] | list[ClientMessage]) -> str:
    return "".join(each.text.replace("\n\n", "") for each in said)
