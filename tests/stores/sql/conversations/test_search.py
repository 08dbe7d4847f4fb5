"""A search finds what one statement over all messages finds, however its windows fall and whenever it must stop."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Connection, func, insert, literal_column, select, text

from domain.messages import Found, Page, new_id
from stores.sql.conversations.messages import MessageStore
from stores.sql.conversations.search import MAX_WORDS
from stores.sql.conversations.sessions import SessionStore
from stores.sql.engine.database import Database, open_database
from stores.sql.tables import messages
from tests.stores.sql.support import Hurried
from tests.support.effort import examples

PARTS = [
    "fox", "Fox", "FOX", "den", "ÄÖ", "äö", "İ", "ß", "狐狸", "天气", "a_b", "100%", "c++", "/", "\\", "'", '"', "-",
    "x!",
]  # fmt: skip
WORDS = [*PARTS, "o", "x", "fo", "OX", "f%x", "_", "%", "re:", "NEAR(", "*", "狐", "气狐", "none"]
SAID = st.lists(st.sampled_from(WORDS) | st.text("fox狐!%_", min_size=1, max_size=3), min_size=1, max_size=3)
QUERIES = st.lists(st.tuples(SAID.map(" ".join), st.sampled_from([1, 3, 20, 200])), min_size=5, max_size=10)
SEED = 15


async def fill(database: Database, owners: Sequence[str], count: int) -> None:
    """So many messages of random parts, whose owners take turns at random."""
    chance = random.Random(SEED)
    of = {
        owner: (await SessionStore(database).create(owner, client_id=None, title=owner, now=1.0)).id for owner in owners
    }
    rows: list[dict[str, Any]] = []
    for depth in range(count):
        owner = chance.choice(owners)
        said = chance.choice([" ", "", "\n"]).join(chance.choices(PARTS, k=chance.randint(1, 6)))
        rows.append({
            "id": new_id(), "session_id": of[owner], "owner": owner, "depth": depth, "role": "user",
            "state": "complete", "text": said, "tokens": 1, "created": 1.0,
        })  # fmt: skip
    await database.write(lambda connection: connection.execute(insert(messages), rows))


def found_at_once(connection: Connection, owner: str, words: str, after: str | None, limit: int) -> list[str]:
    """The ids that one statement over all messages finds."""
    conditions: list[ColumnElement[bool]] = []
    for word in words.split()[:MAX_WORDS]:
        whole = all(sign.isalnum() and not "\u0e00" <= sign < "\u10a0" and sign < "\u1780" for sign in word)
        if not whole:
            conditions.append(messages.c.text.icontains(word, autoescape=True))
        elif connection.dialect.name == "sqlite":
            matching = text("SELECT rowid FROM messages_words WHERE messages_words MATCH :word").bindparams(
                word=f'"{word}"'
            )
            conditions.append(messages.c.seq.in_([row[0] for row in connection.execute(matching)]))
        else:
            vector: ColumnElement[Any] = literal_column("to_tsvector('simple', left(messages.text, 200000))")
            conditions.append(vector.op("@@")(func.plainto_tsquery(literal_column("'simple'"), word)))
    if not conditions:
        return []
    query = select(messages.c.id).where(messages.c.owner == owner, *conditions).order_by(messages.c.seq.desc())
    if after is not None:
        query = query.where(messages.c.seq < int(after))
    return list(connection.execute(query.limit(limit)).scalars())


def ids(pages: Sequence[Page[Found]]) -> list[str]:
    return [found.message.id for page in pages for found in page.items]


def test_windows_find_what_one_statement_finds(url: str) -> None:
    async def filled() -> None:
        async with open_database(url) as database:
            await fill(database, ["ann", "bob"], 300)

    async def compare(queries: list[tuple[str, int]]) -> None:
        async with open_database(url) as database:
            for words, limit in queries:
                page, pages, after = None, [], None
                while page is None or (page.next is not None and len(pages) < 4):
                    page = await MessageStore(database).search("ann", words, after, limit)
                    assert not page.incomplete
                    expected = await database.read(
                        lambda connection, at=after, said=words, most=limit: found_at_once(  # type: ignore[misc]
                            connection, "ann", said, at, most + 1
                        )
                    )
                    assert ids([page]) == expected[:limit], (words, limit, after)
                    assert (page.next is not None) == (len(expected) > limit)
                    pages.append(page)
                    after = page.next

    @settings(max_examples=examples(20), deadline=None, suppress_health_check=list(HealthCheck))
    @given(QUERIES)
    def run(queries: list[tuple[str, int]]) -> None:
        asyncio.run(compare(queries))

    asyncio.run(filled())
    run()


async def test_a_search_that_has_no_time_goes_on_from_page_to_page(database: Database) -> None:
    """Each page has looked at one message more, and together they have what there is."""
    await fill(database, ["ann", "bob"], 60)
    for words in ("o!", "x!", "fox", "狐狸", "x! fox"):
        whole = await MessageStore(database).search("ann", words, None, 100)
        pages = [await MessageStore(Hurried(database)).search("ann", words, None, 7)]
        while pages[-1].next is not None:
            assert pages[-1].incomplete
            pages.append(await MessageStore(Hurried(database)).search("ann", words, pages[-1].next, 7))
            assert len(pages) <= 60
        assert ids(pages) == ids([whole])
        assert not pages[-1].incomplete
        assert len(pages) > 20
