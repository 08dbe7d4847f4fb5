"""What a model is told of a conversation, and what is summarised."""

from hypothesis import given
from hypothesis import strategies as st

from domain.messages import Message, Role, Summary, Window, new_id
from domain.models import Parameters
from domain.streams import Turn
from domain.usage import room
from services.conversations.memory import MAX_MESSAGES, budget, recall, to_summarise
from tests.support.catalogue import NAMED

texts = st.text(alphabet="ab cé漢", max_size=60)


def said(*pairs: tuple[Role, str]) -> list[Message]:
    return [
        Message(new_id(), "s", None, depth, role, "complete", text, room(text), 1.0)
        for depth, (role, text) in enumerate(pairs)
    ]


def summary(depth: int, text: str = "They spoke of cats.") -> Summary:
    return Summary(new_id(), "s", "m", depth, text, room(text), "test", 1.0)


def test_the_newest_exchanges_are_told_in_order() -> None:
    window = Window(said(("user", "one"), ("assistant", "1"), ("user", "two"), ("assistant", "2")), None)
    turns, message = recall(window, 1_000, "three")
    assert turns == (Turn("user", "one"), Turn("assistant", "1"), Turn("user", "two"), Turn("assistant", "2"))
    assert message == "three"


def test_what_does_not_fit_is_left_out_by_whole_exchanges() -> None:
    window = Window(said(("user", "one " * 50), ("assistant", "1"), ("user", "two"), ("assistant", "2")), None)
    turns, _ = recall(window, 30, "three")
    assert turns == (Turn("user", "two"), Turn("assistant", "2"))


def test_the_summary_stands_in_the_oldest_message_and_what_it_covers_is_not_told_again() -> None:
    window = Window(said(("user", "one"), ("assistant", "1"), ("user", "two"), ("assistant", "2")), summary(1))
    turns, message = recall(window, 1_000, "three")
    assert [turn.role for turn in turns] == ["user", "assistant"]
    assert "They spoke of cats." in turns[0].text
    assert turns[0].text.endswith("two")
    assert message == "three"


def test_with_nothing_else_to_tell_the_summary_stands_in_the_message() -> None:
    turns, message = recall(Window([], summary(9)), 1_000, "three")
    assert turns == ()
    assert "They spoke of cats." in message
    assert message.endswith("three")


def test_a_question_that_was_never_answered_goes_with_the_next() -> None:
    window = Window(said(("user", "one"), ("assistant", ""), ("user", "two"), ("assistant", "")), None)
    assert recall(window, 1_000, "three") == ((), "one\n\ntwo\n\nthree")


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant"]), texts), max_size=20), st.integers(0, 200), st.booleans()
)
def test_turns_begin_with_the_users_alternate_and_fit(
    pairs: list[tuple[Role, str]], tokens: int, summarised: bool
) -> None:
    window = Window(said(*pairs), summary(3) if summarised else None)
    turns, _ = recall(window, tokens, "now")
    assert [turn.role for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
    if not summarised:
        assert sum(room(turn.text) for turn in turns) <= tokens


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), texts), max_size=20), st.integers(0, 200))
def test_what_is_summarised_is_a_beginning_that_ends_before_a_question(
    pairs: list[tuple[Role, str]], tokens: int
) -> None:
    messages = said(*pairs)
    older = to_summarise(Window(messages, None), tokens)
    assert older == messages[: len(older)]
    if sum(message.tokens for message in messages) <= tokens:
        assert older == []
    elif len(older) < len(messages):
        assert messages[len(older)].role == "user"
        assert sum(message.tokens for message in messages[len(older) :]) <= tokens // 2


def test_many_short_messages_are_summarised_as_well() -> None:
    exchange: list[tuple[Role, str]] = [("user", "a"), ("assistant", "b")]
    messages = said(*exchange * MAX_MESSAGES)
    older = to_summarise(Window(messages, None), 1_000_000)
    assert len(messages) - len(older) == MAX_MESSAGES // 2


def test_the_budget_follows_the_window_the_answer_and_the_system_prompt() -> None:
    plain = budget([NAMED], Parameters(), "hi", 1_000_000)
    assert budget([NAMED], Parameters(max_tokens=1_000), "hi", 1_000_000) < plain
    assert budget([NAMED], Parameters(system="x " * 1_000), "hi", 1_000_000) < plain - 900
    assert budget([NAMED], Parameters(), "hi", 100) == 100
    assert budget([NAMED], Parameters(), "word " * 100_000, 1_000_000) == 0
