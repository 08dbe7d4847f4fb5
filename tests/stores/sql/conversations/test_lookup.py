"""What clients ask by names of their own, on each kind of database."""

import pytest

from domain.messages import Edit, LastAnswer, new_id
from stores.sql.conversations.messages import MessageStore
from stores.sql.conversations.sessions import SessionStore
from stores.sql.engine.database import Database
from tests.stores.sql.support import ask, ending


@pytest.fixture
def messages(database: Database) -> MessageStore:
    return MessageStore(database)


async def session(database: Database, owner: str = "ann", client_id: str | None = None) -> str:
    return (await SessionStore(database).create(owner, client_id=client_id, title="Talk", now=1.0)).id


async def test_the_end_of_a_branch_comes_oldest_first_and_for_its_owner_alone(
    database: Database, messages: MessageStore
) -> None:
    talk = await session(database)
    for text in ("one", "two"):
        begun = await ask(messages, "ann", talk, text)
        await messages.finish(begun.answer.id, ending("complete", f"re: {text}"), 2.0)
    for most, texts in ((3, ["re: one", "two", "re: two"]), (50, ["one", "re: one", "two", "re: two"])):
        assert [each.text for each in await messages.recent("ann", begun.answer.id, most)] == texts
    assert await messages.recent("bob", begun.answer.id, 3) == []
    assert await messages.recent("ann", new_id(), 3) == []


async def test_messages_are_found_by_either_name_in_their_own_session_alone(
    database: Database, messages: MessageStore
) -> None:
    talk, other = await session(database), await session(database)
    begun = await ask(messages, "ann", talk, "one", client_id="mine")
    question, answer = begun.question, begun.answer
    names = ["mine", question.id, answer.id, "nobody's", new_id()]
    assert await messages.named("ann", talk, names) == {"mine": question, question.id: question, answer.id: answer}
    assert await messages.named("ann", other, names) == {}
    assert await messages.named("bob", talk, names) == {}


async def test_the_newest_answer_is_told_on_whatever_branch_it_is(database: Database, messages: MessageStore) -> None:
    talk = await session(database)
    assert await messages.last_answer("ann", talk) is None
    first = await ask(messages, "ann", talk, "one")
    await messages.finish(first.answer.id, ending("complete", "re: one"), 2.0)
    edited = await ask(messages, "ann", talk, "uno", parent=Edit(first.question.id))
    await messages.activate("ann", talk, first.answer.id)
    last = await messages.last_answer("ann", talk)
    assert last == LastAnswer(edited.answer.id, edited.answer.stream_id or "", "running", edited.answer.created)
    await messages.finish(edited.answer.id, ending("complete", "re: uno"), 3.0)
    last = await messages.last_answer("ann", talk)
    assert last == LastAnswer(edited.answer.id, edited.answer.stream_id or "", "complete", 3.0)
    assert await messages.last_answer("bob", talk) is None


async def test_a_session_is_found_by_the_owners_own_name_for_it(database: Database) -> None:
    sessions = SessionStore(database)
    mine, others = [await session(database, owner, "the chat") for owner in ("ann", "bob")]
    found = [await sessions.named(owner, "the chat") for owner in ("ann", "bob", "eve")]
    assert [each and each.id for each in found] == [mine, others, None]
