"""Words in pieces of documents: the best come first, any text will do as a query, and others' are never found.

Shows T30 and T32.
"""

import asyncio
import random
from string import punctuation

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from domain.documents import Chunk, PieceKey
from domain.messages import new_id
from stores.sql.documents.keywords import MAX_FOUND, MAX_QUERY, PieceScan, telling, terms
from stores.sql.documents.store import DocumentStore
from stores.sql.engine.database import Database, open_database
from stores.sql.windows import in_windows
from tests.stores.sql.support import Hurried
from tests.support.effort import examples


@pytest.fixture
def documents(database: Database) -> DocumentStore:
    return DocumentStore(database)


async def written(documents: DocumentStore, *texts: str, owner: str = "ann", heading: str | None = None) -> str:
    """A document of these pieces."""
    document_id = new_id()
    await documents.add(owner, document_id, "n", b"x", document_id, [], 1.0, limit=100)
    assert await documents.take("w", 1.0, 9, attempts=3)
    pieces = [Chunk(number, piece, 0, len(piece), None, heading) for number, piece in enumerate(texts)]
    assert await documents.complete(document_id, "w", pieces, 2.0)
    return document_id


async def found(documents: DocumentStore, query: str, owner: str = "ann", limit: int = 10) -> list[int]:
    return [key.number for key in await documents.keywords(owner, query, document_ids=None, limit=limit)]


async def test_any_of_the_words_is_enough_and_more_and_rarer_ones_are_better(documents: DocumentStore) -> None:
    await written(
        documents,
        "The server speaks of servers.",
        "The server has a zebra in it.",
        "A zebra and a quokka live in the zoo.",
        "The server is a machine.",
        "Nothing of the kind.",
    )
    assert await found(documents, "Where do zebra and quokka live?") == [2, 1]
    assert (await found(documents, "server zebra"))[0] == 1
    assert sorted(await found(documents, "server")) == [0, 1, 3]
    assert await found(documents, "server zebra", limit=1) == [1]


async def test_other_forms_of_a_word_and_other_letters_are_the_same_word(documents: DocumentStore) -> None:
    await written(documents, "Configuring the Installations", "Nothing")
    for query in ("configure", "CONFIGURED", "installation?"):
        assert await found(documents, query) == [0]


async def test_a_word_is_found_whatever_signs_are_beside_it(documents: DocumentStore) -> None:
    signs = [*punctuation, *"\u00a0\u2013\u2019\u201c\u201d\u2026"]
    await written(documents, *(f"Of Inv{sign}20931{sign}zq4471x{sign}7." for sign in signs))
    for query in ("20931", "zq4471x", "inv-20931"):
        missed = set(range(len(signs))) - set(await found(documents, query, limit=99))
        assert not missed, (query, [signs[number] for number in missed])


@pytest.mark.parametrize(
    ("said", "query"),
    [
        ("Version 4.12.7 is out for 12.50 EUR.", "4.12.7"),
        ("See config/server.yaml.", "server.yaml"),
        ("Write to ines@harbour.example now.", "Ines"),
        ("It is at https://docs.harbour.example/keys/zq4471x?page=9 today.", "zq4471x"),
        ("A Map<String, Quokka> of them.", "quokka"),
    ],
)
async def test_parts_of_numbers_paths_and_addresses_are_words(documents: DocumentStore, said: str, query: str) -> None:
    await written(documents, "Nothing of the kind.", said)
    assert await found(documents, query) == [1]


async def test_a_heading_counts_as_what_is_under_it(documents: DocumentStore) -> None:
    await written(documents, "Run it.", heading="Guide > Installation")
    assert await found(documents, "installation guide") == [0]


async def test_a_question_of_small_words_only_finds_what_there_is_or_nothing(documents: DocumentStore) -> None:
    await written(documents, "fish")
    assert await found(documents, "what is it about?") == []


@pytest.mark.parametrize("query", ["如何安装服务器", "服务器 install", "器", "服务器"])
async def test_scripts_without_spaces_are_found_by_pairs_of_signs(documents: DocumentStore, query: str) -> None:
    await written(documents, "我们安装了新的服务器。", "鱼在水里游。", "It is installed on a 服务器 too.")
    assert set(await found(documents, query)) == {0, 2}
    if query == "如何安装服务器":
        assert (await found(documents, query))[0] == 0


async def test_only_the_documents_meant_are_looked_at(documents: DocumentStore) -> None:
    one, two = [await written(documents, "fish swim", "鱼") for _ in range(2)]
    for query, number in (("fish", 0), ("鱼", 1)):
        assert await documents.keywords("ann", query, document_ids=[two], limit=9) == [PieceKey(two, number)]
        both = await documents.keywords("ann", query, document_ids=[one, two, new_id()], limit=9)
        assert set(both) == {PieceKey(one, number), PieceKey(two, number)}
        assert await documents.keywords("ann", query, document_ids=[], limit=9) == []


async def test_the_best_of_all_pieces_are_found_however_many_windows_they_are_looked_at_in(
    database: Database, documents: DocumentStore
) -> None:
    """The pieces with most of the parts come first, and of those with as many the oldest."""
    signs = "鱼水游服务器安装"
    chance = random.Random(15)
    texts = ["".join(chance.choices(signs, k=4)) + chance.choice(["", " fish", " FISH"]) for _ in range(200)]
    await written(documents, *texts)
    await written(documents, *["鱼水 fish"] * 3, owner="bob")
    for query in ("鱼水", "鱼水游", "服务器安装 fish", "鱼"):
        words, pairs = terms(query)
        counts = [sum(part in text.lower() for part in [*words, *pairs]) for text in texts]
        best = sorted((number for number, count in enumerate(counts) if count), key=lambda number: -counts[number])
        assert await found(documents, query, limit=40) == best[:40]
        in_short_time = PieceScan("ann", [*words, *pairs], None, 40, database.dialect)
        assert not await in_windows(Hurried(database), in_short_time.look)
        while not await in_windows(Hurried(database), in_short_time.look):
            pass
        assert [key.number for key in in_short_time.found] == best[:40]


OWNERS = ["ann", "ann b", "b ann", "user:ann", "Ann", "äöü", '"', "'", "ann%", "x AND text", "___", "中文"]


@pytest.mark.parametrize("query", ["fish", "鱼"])
async def test_owners_whose_names_are_alike_find_their_own_only(documents: DocumentStore, query: str) -> None:
    ids = {owner: await written(documents, "fish 鱼", owner=owner) for owner in OWNERS}
    for owner, document_id in ids.items():
        keys = await documents.keywords(owner, query, document_ids=None, limit=99)
        assert keys == [PieceKey(document_id, 0)], owner


async def test_an_owners_name_is_not_a_word_of_the_documents(documents: DocumentStore) -> None:
    await written(documents, "fish", owner="ann")
    assert await found(documents, "ann") == []


HOSTILE = [
    "", " ", '"', "'", '" OR ""', "text:", "owner : x", "NEAR(a b, 3)", "a*", "^a", "-a", "a AND", "NOT", "OR", "( ) )",
    "{owner} : ann", "a\x00b", "\ud800", "\ud800\udc00", "%_\\", "'; DROP TABLE documents; --", ":*", "a & | ! <-> b",
    ":owner", "💩", "ᬀ 𞤀 ꬰ", "ﬁ", "İ", "x" * 10_000, "a " * 10_000, "鱼" * 10_000,
]  # fmt: skip


async def test_any_text_is_harmless_as_a_query(documents: DocumentStore) -> None:
    await written(documents, "fish")
    safe = [query.replace("\x00", "").encode("utf-8", "replace").decode()[:500] for query in HOSTILE]
    await written(documents, *(f"fish {query}" for query in safe), owner="bob")
    for query in HOSTILE:
        assert await found(documents, query) == [], query
        assert await found(documents, f"{query[:50]} fish") == [0], query


def test_random_texts_are_harmless_too(url: str) -> None:
    async def ask(queries: list[str]) -> None:
        async with open_database(url) as database:
            documents = DocumentStore(database)
            await asyncio.gather(*(documents.keywords("ann", query, document_ids=None, limit=9) for query in queries))

    @settings(max_examples=examples(10), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.text(max_size=60), min_size=20, max_size=40))
    def run(queries: list[str]) -> None:
        asyncio.run(ask(queries))

    run()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"a": 3, "b": 0, "c": 1}, ["c", "a"]),
        ({"a": MAX_FOUND, "b": 1, "c": 0}, ["b"]),
        ({"a": MAX_FOUND - 1, "b": 1}, ["b", "a"]),
        ({"a": MAX_FOUND + 1, "b": MAX_FOUND + 1, "c": 0}, ["a", "b"]),
        ({"a": 0}, []),
    ],
)
def test_everyday_words_are_passed_over_where_there_are_rarer_ones(found: dict[str, int], expected: list[str]) -> None:
    assert telling(found) == expected


async def test_among_many_pieces_the_rare_word_is_found_and_everyday_words_too(documents: DocumentStore) -> None:
    """A plan that looks at every piece for every word would take longer than a statement may."""
    everyday = [f"common words of piece number {number}" for number in range(MAX_FOUND + 500)]
    everyday[1_234] = "common zebra"
    await written(documents, *everyday)
    assert await found(documents, "common words with a zebra") == [1_234]
    assert len(await found(documents, "common words")) == 10


def test_what_is_looked_for_is_bounded() -> None:
    words, pairs = terms(" ".join(f"w{number} 字{number:05}" for number in range(10_000)))
    assert len(words) == 32
    assert len(pairs) <= 32
    assert terms("a" * MAX_QUERY + "b")[0] == ["a" * MAX_QUERY]
    assert terms("the the of What") == (["the", "of", "what"], [])
    assert terms("what is fish_cake, fish?") == (["fish", "cake"], [])
    assert terms("中文abc字") == (["abc"], ["中文", "字"])


async def test_an_sqlite_without_an_index_of_words_finds_them_too(documents: DocumentStore, database: Database) -> None:
    if database.dialect != "sqlite":
        return
    drop = [text(f"DROP {name}") for name in ("TRIGGER document_words_added", "TRIGGER document_words_gone")]
    drop.append(text("DROP TABLE document_words"))
    await database.write(lambda connection: [connection.execute(statement) for statement in drop])
    document_id = await written(documents, "A zebra lives here.", "A zebra and a quokka.", "Nothing.")
    assert await found(documents, "zebra quokka") == [1, 0]
    assert await documents.delete("ann", document_id)
    assert await found(documents, "zebra quokka") == []
