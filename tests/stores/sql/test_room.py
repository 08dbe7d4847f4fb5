"""T13, T41: of many requests at once, no more add sessions and documents than their owner has room for."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from domain.callers import OwnerLimits
from domain.documents import Chunk
from domain.errors import StreamForgeError
from domain.messages import KeyInUse, Opening, Question, new_id
from stores.sql.conversations.messages import MessageStore
from stores.sql.conversations.sessions import SessionStore
from stores.sql.documents.store import DocumentStore
from stores.sql.engine.database import Database
from tests.stores.sql.support import beginning

Add = Callable[[int, int], Awaitable[Any]]


async def refusals(add: Add, times: int = 50, room: int = 3) -> list[StreamForgeError]:
    """What of so many at once is refused."""
    done = await asyncio.gather(*(add(number, room) for number in range(times)), return_exceptions=True)
    refused = [each for each in done if isinstance(each, StreamForgeError)]
    assert len(refused) + sum(not isinstance(each, BaseException) for each in done) == times, done
    assert {error.code for error in refused} <= {"quota_exceeded"}
    return refused


def names(refused: list[StreamForgeError]) -> set[str]:
    return {error.share.name for error in refused if error.share is not None}


def opening(key: str | None = None, name: str | None = None) -> Any:
    question = Question(new_id(), "asked", 5, None)
    return beginning("ann", new_id(), question, key=key, opening=Opening(name, ()))


async def test_of_fifty_sessions_at_once_three_are_made(database: Database) -> None:
    sessions, messages = SessionStore(database), MessageStore(database)

    async def add(number: int, most: int) -> None:
        if number % 2:
            await sessions.create("ann", client_id=None, title=None, now=1.0, most=most)
        else:
            await messages.begin(replace(opening(), most_sessions=most))

    await sessions.create("bob", client_id=None, title=None, now=1.0)
    refused = await refusals(add)
    assert (len(refused), names(refused), await sessions.count("ann")) == (47, {"sessions"}, 3)
    page = await sessions.list("ann", None, 1)
    await sessions.delete("ann", page.items[0].id)
    assert len(await refusals(add, 2)) == 1


async def test_what_is_there_already_needs_no_room(database: Database) -> None:
    sessions, messages = SessionStore(database), MessageStore(database)
    first = replace(opening("one try", "chat"), most_sessions=1)
    begun = await messages.begin(first)
    named = await sessions.create("ann", client_id="chat", title=None, now=2.0, most=1)
    assert named.id == begun.session.id
    with pytest.raises(KeyInUse) as used:
        await messages.begin(replace(opening("one try"), most_sessions=1))
    assert used.value.stream_id == first.stream_id
    with pytest.raises(StreamForgeError) as same:
        await messages.begin(replace(opening(name="chat"), most_sessions=1))
    assert same.value.code == "session_busy", "its client looks again, and finds it"
    with pytest.raises(StreamForgeError) as other:
        await messages.begin(replace(opening(name="other chat"), most_sessions=1))
    assert other.value.code == "quota_exceeded"


def uploading(documents: DocumentStore, limits: Callable[[int], OwnerLimits]) -> Add:
    async def add(number: int, room: int) -> Any:
        content = f"{number:010d}".encode()
        digest, most = hashlib.sha256(content).hexdigest(), limits(room)
        return await documents.add("ann", new_id(), "x", content, digest, (), 1.0, limit=100, most=most)

    return add


async def test_of_fifty_documents_at_once_three_are_taken(database: Database) -> None:
    documents = DocumentStore(database)
    add = uploading(documents, lambda room: OwnerLimits(documents=room))
    refused = await refusals(add)
    assert (len(refused), names(refused), await documents.stored("ann")) == (47, {"documents"}, (3, 30))
    page = await documents.list("ann", collection=None, after=None, limit=9)
    there = int((await documents.content("ann", page.items[0].id) or b"").decode())
    assert not (await add(there, 3))[1], "its bytes are there already"
    await documents.delete("ann", page.items[0].id)
    assert len(await refusals(add, 50)) == 49 - 2, "two of these are there, and there is room for one"


async def test_of_fifty_uploads_at_once_those_that_fit_are_taken(database: Database) -> None:
    documents = DocumentStore(database)
    refused = await refusals(uploading(documents, lambda room: OwnerLimits(stored_bytes=10 * room + 9)))
    assert (len(refused), names(refused), await documents.stored("ann")) == (47, {"stored_bytes"}, (3, 30))


async def test_of_texts_that_are_read_at_once_those_that_fit_are_counted(database: Database) -> None:
    """Ten uploads of 10 bytes, and room for the text of three; a text is counted once, and not after it has failed."""
    documents = DocumentStore(database)
    await refusals(uploading(documents, lambda _: OwnerLimits()), 10)
    ids = []
    for _ in range(10):
        job = await documents.take("w", 1.0, 60, attempts=3)
        assert job is not None
        ids.append(job.document.id)

    async def read(number: int, room: int) -> None:
        assert await documents.count_text(ids[number], "w", 50, most=100 + room * 50 + 49)

    refused = await refusals(read, 10)
    assert (len(refused), names(refused), await documents.stored("ann")) == (7, {"stored_bytes"}, (10, 250))
    counted = [each for each in ids if await documents.count_text(each, "w", 50, most=10**6)]
    assert (len(counted), await documents.stored("ann")) == (10, (10, 600))
    assert await documents.complete(ids[0], "w", [Chunk(0, "x" * 50, 0, 50)], 2.0)
    assert await documents.fail(ids[1], "w", "document_broken", 2.0)
    assert await documents.stored("ann") == (10, 550)
    assert not await documents.count_text(ids[1], "w", 50), "the worker has it no more"
