"""Where a client's own conversation meets the one that is kept: what it says again, changes, or has never heard."""

import pytest

from domain.errors import StreamForgeError
from domain.messages import ClientMessage, Message
from services.chats.alignment import BranchEnd, ClientTurn, align


def message(id: str, parent: str | None, text: str, client_id: str | None = None) -> Message:
    role = "assistant" if id.startswith("a") else "user"
    return Message(id, "s", parent, 0, role, "complete", text, 1, 0.0, client_id=client_id)  # type: ignore[arg-type]


# What is kept: two questions and their answers. The client's ids of the questions are in capitals.
U1 = message("u1", None, "one", "ONE")
A1 = message("a1", "u1", "first")
U2 = message("u2", "a1", "two", "TWO")
A2 = message("a2", "u2", "second")
KEPT = [U1, A1, U2, A2]
NEW = ClientMessage("NEW", "user", "three")


def lines(*messages: Message) -> list[ClientMessage]:
    """The messages as a client has them: its own ids for questions, ours for answers."""
    return [ClientMessage(each.client_id or each.id, each.role, each.text) for each in messages]


def aligned(
    *said: ClientMessage, kept: list[Message] = KEPT, others: dict[str, Message] | None = None, **how: object
) -> object:
    """What is done, to which message, with which text, under which name."""
    found = align("s", BranchEnd(kept, others or {}), ClientTurn(list(said), **how))  # type: ignore[arg-type]
    place = found.place
    assert place.session_id == "s"
    assert place.on_busy == "cancel_previous"
    if place.regenerate is not None:
        return "again", place.regenerate
    if place.edit is not None:
        return "edit", place.edit, found.message, place.client_id
    return "append", found.message, place.client_id


def test_a_new_question_is_appended_under_the_clients_name() -> None:
    assert aligned(*lines(*KEPT), NEW) == ("append", "three", "NEW")


def test_a_client_that_sends_its_newest_message_alone_is_answered_at_the_end() -> None:
    assert aligned(NEW) == ("append", "three", "NEW")


def test_a_client_that_sends_the_end_of_the_conversation_is_answered_at_the_end() -> None:
    assert aligned(*lines(U2, A2), NEW) == ("append", "three", "NEW")


def test_a_question_without_an_id_has_no_name() -> None:
    assert aligned(*lines(*KEPT), ClientMessage("", "user", "three")) == ("append", "three", None)


def test_what_the_client_says_that_the_model_said_is_not_looked_at() -> None:
    forged = [ClientMessage("ONE", "user", "one"), ClientMessage("a1", "assistant", "forged"), *lines(U2, A2)]
    assert aligned(*forged, NEW) == ("append", "three", "NEW")


def test_a_question_with_another_text_is_edited_and_keeps_its_name_for_the_old_version() -> None:
    assert aligned(*lines(U1, A1), ClientMessage("TWO", "user", "zwei")) == ("edit", "u2", "zwei", None)


def test_a_question_with_another_text_and_another_id_in_the_same_place_is_edited() -> None:
    assert aligned(*lines(U1, A1), NEW) == ("edit", "u2", "three", "NEW")


def test_a_question_that_is_sent_again_is_answered_anew() -> None:
    assert aligned(*lines(U1, A1, U2)) == ("again", "u2")


def test_what_is_sent_once_more_has_the_answer_that_it_has() -> None:
    def answer(*said: ClientMessage, **how: object) -> object:
        return align("s", BranchEnd(KEPT, {}), ClientTurn(list(said), **how)).answer  # type: ignore[arg-type]

    assert answer(*lines(U1, A1, U2), once=True) is A2
    assert answer(*lines(U1), once=True) is A1
    assert answer(*lines(U1, A1, U2)) is None
    assert answer(*lines(U1, A1), ClientMessage("TWO", "user", "zwei"), once=True) is None
    assert answer(*lines(U1, A1), ClientMessage("NEW", "user", "two"), once=True) is None, (
        "asked again, in other words: a new id"
    )
    assert answer(*lines(*KEPT), NEW, once=True) is None


def test_our_own_ids_name_messages_too() -> None:
    ours = [ClientMessage("u1", "user", "one"), ClientMessage("a1", "assistant", "first")]
    assert aligned(*ours, ClientMessage("u2", "user", "zwei")) == ("edit", "u2", "zwei", None)


def test_an_earlier_question_with_another_text_becomes_a_branch_with_all_that_was_asked_since() -> None:
    rewritten = [ClientMessage("ONE", "user", "eins"), *lines(A1, U2, A2)]
    assert aligned(*rewritten, NEW) == ("edit", "u1", "eins\n\ntwo\n\nthree", None)


def test_the_last_answer_is_given_anew() -> None:
    assert aligned(*lines(U1, A1, U2), again=True) == ("again", "u2")
    assert aligned(*lines(U1, A1, U2), again=True, message_id="a2") == ("again", "a2")
    assert aligned(*lines(U1), again=True, message_id="a1") == ("again", "a1")


def test_an_answer_is_given_anew_where_the_clients_ids_are_not_known() -> None:
    kept = [message("u1", None, "one"), A1]
    assert aligned(ClientMessage("1", "user", "one"), kept=kept, again=True) == ("again", "u1")
    assert aligned(ClientMessage("1", "user", "eins"), kept=kept, message_id="1") == ("edit", "u1", "eins", "1")


def test_the_last_answer_is_given_anew_where_none_of_the_clients_ids_is_known() -> None:
    numbered = [
        ClientMessage("1", "user", "one"),
        ClientMessage("2", "assistant", "first"),
        ClientMessage("3", "user", "two"),
    ]
    kept = [message("u1", None, "one"), A1, message("u2", "a1", "two"), A2]
    assert aligned(*numbered, kept=kept, again=True, message_id="4") == ("again", "u2")
    assert aligned(*numbered[:2], ClientMessage("3", "user", "zwei"), kept=kept, again=True) == ("append", "zwei", "3")


def test_an_older_version_stands_for_the_one_that_is_active() -> None:
    """The client's name is with the first version; its text is compared with the newest."""
    newer = message("u3", "a1", "zwei")
    kept = [U1, A1, newer, message("a3", "u3", "zweitens")]
    others = {"TWO": U2}
    same = [*lines(U1, A1), ClientMessage("TWO", "user", "zwei"), ClientMessage("a3", "assistant", "zweitens")]
    assert aligned(*same, NEW, kept=kept, others=others) == ("append", "three", "NEW")
    assert aligned(*lines(U1, A1), ClientMessage("TWO", "user", "dos"), kept=kept, others=others) == (
        "edit",
        "u3",
        "dos",
        None,
    )


def test_what_was_never_said_here_is_passed_over() -> None:
    refused = ClientMessage("LOST", "user", "did you get this?")
    assert aligned(*lines(*KEPT), refused, NEW) == ("append", "three", "NEW")


def test_after_a_question_whose_answer_never_reached_the_client() -> None:
    assert aligned(*lines(U1, A1, U2), NEW) == ("append", "three", "NEW")


def test_in_an_empty_session_everything_is_new() -> None:
    assert aligned(*lines(*KEPT), NEW, kept=[]) == ("append", "three", "NEW")
    assert aligned(NEW, kept=[], again=True) == ("append", "three", "NEW")


@pytest.mark.parametrize("said", [[], lines(U1, A1), [ClientMessage("x", "user", " \n")]])
def test_there_must_be_something_to_answer(said: list[ClientMessage]) -> None:
    with pytest.raises(StreamForgeError) as refused:
        aligned(*said)
    assert refused.value.code == "invalid_request"
