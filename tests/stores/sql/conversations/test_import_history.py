"""A session that begins with what its client says was said before: in one transaction, on both databases."""

import asyncio

import pytest
import pytest_asyncio

from domain.errors import StreamForgeError
from domain.messages import Begun, Earlier, Message, Opening, Question, Regenerate, new_id
from stores.sql.conversations.messages import MessageStore
from stores.sql.conversations.sessions import SessionStore
from stores.sql.engine.database import Database
from tests.stores.sql.support import ask, beginning, ending


@pytest.fixture
def messages(database: Database) -> MessageStore:
    return MessageStore(database)


@pytest.fixture
def sessions(database: Database) -> SessionStore:
    return SessionStore(database)


@pytest_asyncio.fixture
async def taken(messages: MessageStore, sessions: SessionStore) -> str:
    """A client id that another message has."""
    other = await sessions.create("ann", client_id=None, title=None, now=1.0)
    await ask(messages, "ann", other.id, client_id="taken")
    return "taken"


def exchange(number: int) -> list[Earlier]:
    return [
        Earlier("user", f"q{number}", 5, f"u{number}"), Earlier("assistant", f"a{number}", 6, f"a{number}")
    ]  # fmt: skip


async def open_(
    messages: MessageStore, *earlier: Earlier, name: str | None = None, owner: str = "ann", client_id: str | None = None
) -> Begun:
    question = Question(new_id(), "and now?", 5, client_id)
    return await messages.begin(beginning(owner, new_id(), question, now=3.0, opening=Opening(name, earlier)))


async def kept(messages: MessageStore, begun: Begun, *, whole: bool = False, owner: str = "ann") -> list[Message]:
    return (await messages.history(owner, begun.session.id, None, 5_000, whole=whole)).items


async def test_the_session_begins_with_it(messages: MessageStore, sessions: SessionStore) -> None:
    begun = await open_(messages, Earlier("assistant", "Hello!", 7), *exchange(1), name="mine")
    found = await kept(messages, begun)
    assert found == await kept(messages, begun, whole=True)
    assert [message.text for message in found] == ["Hello!", "q1", "a1", "and now?", ""]
    assert found[3:] == [begun.question, begun.answer]
    for depth, message in enumerate(found):
        assert (message.depth, message.created, message.siblings) == (depth, 3.0, ())
        assert message.parent_id == (found[depth - 1].id if depth else None)
    said = [(each.state, each.tokens, each.client_id, each.stream_id, each.model, each.spent) for each in found[:3]]
    assert said == [
        ("complete", 7, None, None, None, None), ("complete", 5, "u1", None, None, None),
        ("complete", 6, "a1", None, None, None),
    ]  # fmt: skip
    assert begun.session == await sessions.get("ann", begun.session.id)
    window = await messages.window(
        "ann", begun.session.id, leaf_id=str(begun.question.parent_id), max_messages=2, max_tokens=100
    )
    assert [message.text for message in window.messages] == ["q1", "a1"]
    assert [each.message.text for each in (await messages.search("ann", "q1", None, 5)).items] == ["q1"]


async def test_an_answer_without_a_word_never_came(messages: MessageStore) -> None:
    begun = await open_(messages, Earlier("user", "", 4), Earlier("assistant", "", 4))
    assert [message.state for message in await kept(messages, begun)] == [
        "complete", "interrupted", "complete", "running"
    ]  # fmt: skip


async def test_a_name_that_is_taken_stays_with_whom_it_is(messages: MessageStore, taken: str) -> None:
    said = [Earlier("user", "one", 5, taken), Earlier("assistant", "first", 5, "free")]
    begun = await open_(messages, *said)
    assert [message.client_id for message in await kept(messages, begun)][:2] == [None, "free"]
    bobs = await open_(messages, *said, owner="bob")
    assert [message.client_id for message in await kept(messages, bobs, owner="bob")][:2] == [taken, "free"]
    with pytest.raises(StreamForgeError, match="client id is already used"):
        await open_(messages, *exchange(1), client_id=taken)
    assert (await messages.search("ann", "q1", None, 5)).items == [], "nothing of it is there"


async def test_of_many_that_bring_the_same_names_at_once_each_name_goes_to_one(messages: MessageStore) -> None:
    said = [each for number in range(20) for each in exchange(number)]
    opened = await asyncio.gather(*(open_(messages, *said, name=f"chat {number}") for number in range(4)))
    named = [message.client_id for begun in opened for message in await kept(messages, begun) if message.client_id]
    assert sorted(named) == sorted(each.client_id or "" for each in said)
    for begun in opened:
        assert [message.text for message in await kept(messages, begun)][:-2] == [each.text for each in said]


async def test_of_many_that_open_one_chat_at_once_one_does(messages: MessageStore, sessions: SessionStore) -> None:
    outcomes = await asyncio.gather(
        *(open_(messages, *exchange(number), name="mine") for number in range(6)), return_exceptions=True
    )
    (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Begun)]
    losers = [outcome for outcome in outcomes if isinstance(outcome, StreamForgeError)]
    assert [loser.code for loser in losers] == ["session_busy"] * 5
    assert len(await kept(messages, winner)) == 4
    assert len((await sessions.list("ann", None, 50)).items) == 1


async def test_what_is_withdrawn_leaves_nothing(messages: MessageStore, sessions: SessionStore) -> None:
    begun = await open_(messages, *exchange(1), name="mine", client_id="now")
    assert await messages.withdraw("ann", begun.answer.id, opened=True)
    assert await sessions.named("ann", "mine") is None
    assert (await messages.search("ann", "q1", None, 5)).items == []
    again = await open_(messages, *exchange(1), name="mine", client_id="now")
    assert [message.client_id for message in await kept(messages, again)] == ["u1", "a1", "now", None]


async def test_one_goes_on_with_it_as_with_all_that_was_said(messages: MessageStore) -> None:
    begun = await open_(messages, Earlier("assistant", "Hello!", 7, "hi"), *exchange(1), *exchange(2), name="mine")
    await messages.finish(begun.answer.id, ending("complete", "so"), 4.0)
    greeting, _, answer, *_ = await kept(messages, begun)
    session = begun.session.id

    async def again(message_id: str) -> Begun:
        return await messages.begin(beginning("ann", session, None, parent=Regenerate(message_id), now=5.0))

    with pytest.raises(StreamForgeError, match="answers no question"):
        await again(greeting.id)
    anew = await again(answer.id)
    assert anew.question.text == "q1"
    assert [message.text for message in await kept(messages, begun)] == ["Hello!", "q1", ""]
    assert await messages.withdraw("ann", anew.answer.id)
    assert [message.text for message in await kept(messages, begun)][-2:] == ["and now?", "so"]
    assert set(await messages.named("ann", session, {"hi", "u1", "nobody"})) == {"hi", "u1"}


async def test_names_that_are_ids_of_another_session_name_what_is_here(messages: MessageStore) -> None:
    """A page that goes on with a copy of a chat has our ids for its answers."""
    first = await open_(messages)
    await messages.finish(first.answer.id, ending("complete", "so"), 4.0)
    copy = await open_(messages, Earlier("user", "why", 5), Earlier("assistant", "so", 5, first.answer.id))
    found = await messages.named("ann", copy.session.id, {first.answer.id})
    assert found[first.answer.id].session_id == copy.session.id


async def test_thousands_are_one_short_transaction(messages: MessageStore) -> None:
    said = [
        Earlier("user" if number % 2 == 0 else "assistant", f"w{number}", 5, f"n{number}") for number in range(2000)
    ]
    async with asyncio.timeout(8):
        begun = await open_(messages, *said)
    window = await messages.window(
        "ann", begun.session.id, leaf_id=str(begun.question.parent_id), max_messages=2, max_tokens=100
    )
    assert [message.text for message in window.messages] == ["w1998", "w1999"]
    assert (begun.question.depth, begun.answer.depth) == (2000, 2001)
