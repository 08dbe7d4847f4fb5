"""Sessions: listed newest first, named, cleared and removed, and nobody else's business (T27)."""

import pytest

from domain.errors import StreamForgeError
from domain.messages import new_id
from stores.sql.conversations.messages import MessageStore
from stores.sql.conversations.sessions import SessionStore
from stores.sql.engine.database import Database
from tests.stores.sql.support import ask, ending


@pytest.fixture
def sessions(database: Database) -> SessionStore:
    return SessionStore(database)


@pytest.fixture
def messages(database: Database) -> MessageStore:
    return MessageStore(database)


async def made(sessions: SessionStore, owner: str = "ann", *, now: float = 1.0, client_id: str | None = None) -> str:
    return (await sessions.create(owner, client_id=client_id, title=None, now=now)).id


async def test_a_client_id_finds_the_session_again_and_only_its_owners(sessions: SessionStore) -> None:
    first = await sessions.create("ann", client_id="tab 1", title="Fish", now=1.0)
    again = await sessions.create("ann", client_id="tab 1", title="Meat", now=2.0)
    other = await sessions.create("bob", client_id="tab 1", title=None, now=3.0)
    assert again == first
    assert other.id != first.id
    assert await sessions.get("ann", first.id) == first
    assert await sessions.get("bob", first.id) is None


async def test_a_session_can_be_given_its_id(sessions: SessionStore) -> None:
    given = new_id()
    assert (await sessions.create("ann", client_id=None, title=None, now=1.0, id=given)).id == given


async def test_pages_show_every_session_once_newest_first(sessions: SessionStore) -> None:
    moments = [5.25, 1763800000.1234567, 7.0, 7.0, 7.0, 0.5]
    ids = {await made(sessions, now=moment): moment for moment in moments}
    await made(sessions, "bob")
    seen, after = [], None
    while True:
        page = await sessions.list("ann", after, 2)
        assert len(page.items) <= 2
        seen += page.items
        after = page.next
        if after is None:
            break
    assert sorted(session.id for session in seen) == sorted(ids)
    assert [session.updated for session in seen] == sorted(moments, reverse=True)


@pytest.mark.parametrize("cursor", ["", "x", "1.0", "1.0-zz", "nan-" + "0" * 32, "1.0-" + "0" * 33, "9" * 40])
async def test_a_cursor_that_is_none_of_ours_is_refused(sessions: SessionStore, cursor: str) -> None:
    with pytest.raises(StreamForgeError) as caught:
        await sessions.list("ann", cursor, 2)
    assert caught.value.code == "malformed_page"


async def test_an_automatic_title_never_replaces_a_persons(sessions: SessionStore) -> None:
    session_id = await made(sessions)
    assert await sessions.title("ann", session_id, "First words")
    assert await sessions.title("ann", session_id, "A better one")
    assert not await sessions.title("bob", session_id, "Mine")
    renamed = await sessions.rename("ann", session_id, "Chosen")
    assert renamed is not None
    assert renamed.title == "Chosen"
    assert not await sessions.title("ann", session_id, "Late")
    assert await sessions.rename("bob", session_id, "Mine") is None
    found = await sessions.get("ann", session_id)
    assert found is not None
    assert found.title == "Chosen"
    named = await sessions.create("ann", client_id=None, title="Given", now=1.0)
    assert not await sessions.title("ann", named.id, "Late")


async def test_who_is_not_the_owner_removes_nothing(sessions: SessionStore, messages: MessageStore) -> None:
    session_id = await made(sessions)
    begun = await ask(messages, "ann", session_id)
    assert await sessions.delete("bob", session_id) is None
    assert await sessions.clear("bob", session_id) is None
    assert await sessions.delete_all("bob") == []
    assert len((await messages.history("ann", session_id, None, 10)).items) == 2
    assert await sessions.clear("ann", session_id) == [begun.answer.stream_id]


async def test_a_cleared_session_is_empty_and_goes_on(sessions: SessionStore, messages: MessageStore) -> None:
    session_id = await made(sessions)
    await sessions.title("ann", session_id, "About nothing")
    begun = await ask(messages, "ann", session_id)
    await sessions.clear("ann", session_id)
    assert not await messages.finish(begun.answer.id, ending("complete", "late"), 2.0)
    cleared = await sessions.get("ann", session_id)
    assert cleared is not None
    assert (cleared.title, cleared.leaf) == (None, None)
    await ask(messages, "ann", session_id, "anew")
    assert [message.text for message in (await messages.history("ann", session_id, None, 10)).items] == ["anew", ""]


async def test_delete_all_leaves_other_owners_alone(sessions: SessionStore, messages: MessageStore) -> None:
    own = [await made(sessions) for _ in range(3)]
    other = await made(sessions, "bob")
    begun = [await ask(messages, "ann", session_id) for session_id in own[:2]]
    await ask(messages, "bob", other)
    assert sorted(await sessions.delete_all("ann")) == sorted(str(one.answer.stream_id) for one in begun)
    assert (await sessions.list("ann", None, 10)).items == []
    assert len((await messages.history("bob", other, None, 10)).items) == 2
