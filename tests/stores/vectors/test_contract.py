"""What every store of vectors does: the nearest of one's own, as they are now, and nothing of anybody else's (T32)."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from domain.documents import Hit, Index, PieceKey
from domain.messages import new_id
from stores.vectors.base import VectorStore
from tests.stores.vectors.places import Place, as_vectors, random_matrix, unit

pytestmark = pytest.mark.slow(reason="ten thousand vectors in each store")

INDEX = Index("m", 3)
EAST, NORTH, UP = unit(1, 0, 0), unit(0, 1, 0), unit(0, 0, 1)
NORTH_EAST = unit(1, 1, 0)
OWNERS = ["ann", "ann b", "Ann", "user:ann", "ann%", '"', "'", "äöü", "中文"]


def keys(hits: Sequence[Hit]) -> list[PieceKey]:
    return [hit.key for hit in hits]


async def nearest(store: VectorStore, owner: str = "ann", limit: int = 10, index: Index = INDEX) -> list[PieceKey]:
    return keys(await store.search(index, owner, unit(1, 0.1, 0.01), document_ids=None, limit=limit))


async def test_the_nearest_come_first_with_the_cosine_of_their_angle(place: Place) -> None:
    one, two = new_id(), new_id()
    await place.know("ann", one, two)
    async with place.open() as store:
        await store.add(INDEX, "ann", one, [NORTH, EAST])
        await store.add(INDEX, "ann", two, [unit(-1, 0, 0), NORTH_EAST])
        hits = await store.search(INDEX, "ann", EAST, document_ids=None, limit=10)
        assert keys(hits) == [PieceKey(one, 1), PieceKey(two, 1), PieceKey(one, 0), PieceKey(two, 0)]
        assert [hit.score for hit in hits] == pytest.approx([1, 0.5**0.5, 0, -1], abs=1e-6)
        assert all(-1 <= hit.score <= 1 for hit in hits)
        assert await store.search(INDEX, "ann", EAST, document_ids=None, limit=2) == hits[:2]


async def test_where_there_is_nothing_nothing_is_found(place: Place) -> None:
    async with place.open() as store:
        assert await nearest(store) == []
        await store.delete("ann", new_id())
        await store.drop(INDEX)


async def test_nobody_finds_or_deletes_what_is_anothers(place: Place) -> None:
    ids = {owner: new_id() for owner in OWNERS}
    for owner, document_id in ids.items():
        await place.know(owner, document_id)
    async with place.open() as store:
        for owner, document_id in ids.items():
            await store.add(INDEX, owner, document_id, [EAST, NORTH])
        await asyncio.gather(*(store.delete("bob", document_id) for document_id in ids.values()))
        await store.delete("ann", ids["Ann"])
        for owner, document_id in ids.items():
            for meant in (None, [document_id], list(ids.values())):
                hits = await store.search(INDEX, owner, EAST, document_ids=meant, limit=100)
                assert keys(hits) == [PieceKey(document_id, 0), PieceKey(document_id, 1)], owner
        assert await store.search(INDEX, "bob", EAST, document_ids=list(ids.values()), limit=100) == []


async def test_only_the_documents_meant_are_searched(place: Place) -> None:
    ids = [new_id() for _ in range(3)]
    await place.know("ann", *ids)
    async with place.open() as store:
        for document_id in ids:
            await store.add(INDEX, "ann", document_id, [EAST, NORTH])

        async def found(meant: Sequence[str], limit: int = 10) -> set[PieceKey]:
            return set(keys(await store.search(INDEX, "ann", NORTH, document_ids=meant, limit=limit)))

        assert await found([ids[2]]) == {PieceKey(ids[2], 0), PieceKey(ids[2], 1)}
        assert await found([ids[2]], limit=1) == {PieceKey(ids[2], 1)}
        assert await found([*ids[:2], ids[0], new_id()]) == {
            PieceKey(one, number) for one in ids[:2] for number in (0, 1)
        }
        assert await found([new_id()]) == set()
        assert await found([]) == set()
        assert len(await found([*(new_id() for _ in range(2_000)), ids[0]])) == 2


async def test_pieces_that_are_named_are_scored_if_they_are_ones_own(place: Place) -> None:
    one, other = new_id(), new_id()
    await place.know("ann", one)
    await place.know("bob", other)
    async with place.open() as store:
        mine, foreign = [PieceKey(one, number) for number in range(3)], PieceKey(other, 0)
        assert await store.scores(INDEX, "ann", EAST, mine) == {}, "nothing is there yet"
        await store.add(INDEX, "ann", one, [EAST, unit(-1, 0, 0), NORTH_EAST])
        await store.add(INDEX, "bob", other, [EAST])
        scores = await store.scores(INDEX, "ann", EAST, [*mine[1:], foreign, PieceKey(one, 9), PieceKey(new_id(), 0)])
        assert scores == pytest.approx({mine[1]: -1, mine[2]: 0.5**0.5}, abs=1e-6)
        assert all(-1 <= score <= 1 for score in scores.values())
        assert await store.scores(INDEX, "bob", EAST, [foreign, *mine]) == pytest.approx({foreign: 1}, abs=1e-6)
        assert await store.scores(Index("other", 3), "ann", EAST, mine) == {}
        assert await store.scores(INDEX, "ann", EAST, []) == {}
        await store.delete("ann", one)
        assert await store.scores(INDEX, "ann", EAST, mine) == {}


async def test_parts_are_added_in_any_order_and_written_over(place: Place) -> None:
    document_id = new_id()
    await place.know("ann", document_id)
    async with place.open() as store:
        await store.add(INDEX, "ann", document_id, [UP, UP], first=2)
        await store.add(INDEX, "ann", document_id, [EAST, NORTH])
        assert (await nearest(store))[:2] == [PieceKey(document_id, 0), PieceKey(document_id, 1)]
        await store.add(INDEX, "ann", document_id, [NORTH, UP, EAST], first=1)
        await store.add(INDEX, "ann", document_id, [])
        hits = await store.search(INDEX, "ann", EAST, document_ids=None, limit=10)
        assert {hit.key.number: round(hit.score, 5) for hit in hits} == {0: 1.0, 1: 0.0, 2: 0.0, 3: 1.0}


async def test_indexes_of_other_models_and_lengths_are_side_by_side(place: Place) -> None:
    document_id = new_id()
    indexes = [INDEX, Index("other", 3), Index("m", 2), Index("other", 700)]
    vectors = [EAST, NORTH, unit(1, 1), unit(*range(700))]
    await place.know("ann", document_id)
    async with place.open() as store:
        for index, vector in zip(indexes, vectors, strict=True):
            await store.add(index, "ann", document_id, [vector])

        async def scores() -> list[list[float]]:
            found = [
                await store.search(index, "ann", vector, document_ids=None, limit=9)
                for index, vector in zip(indexes, vectors, strict=True)
            ]
            return [[round(hit.score, 4) for hit in hits] for hits in found]

        assert await scores() == [[1.0]] * 4
        await store.drop(indexes[1])
        assert await scores() == [[1.0], [], [1.0], [1.0]]
        await store.delete("ann", document_id)
        assert await scores() == [[]] * 4


async def test_what_is_deleted_is_gone_and_can_come_again(place: Place) -> None:
    one, two = new_id(), new_id()
    await place.know("ann", one, two)
    async with place.open() as store:
        for document_id in (one, two):
            await store.add(INDEX, "ann", document_id, [EAST, NORTH])
        assert len(await nearest(store)) == 4
        await store.delete("ann", one)
        assert await nearest(store) == [PieceKey(two, 0), PieceKey(two, 1)]
        await store.add(INDEX, "ann", one, [NORTH])
        assert await nearest(store) == [PieceKey(two, 0), PieceKey(one, 0), PieceKey(two, 1)] or (
            await nearest(store) == [PieceKey(two, 0), PieceKey(two, 1), PieceKey(one, 0)]
        )


async def test_everything_is_there_after_a_restart(place: Place) -> None:
    document_id = new_id()
    await place.know("ann", document_id)
    async with place.open() as store:
        await store.add(INDEX, "ann", document_id, [EAST, NORTH])
        before = await store.search(INDEX, "ann", NORTH_EAST, document_ids=None, limit=9)
    async with place.open() as store:
        assert await store.search(INDEX, "ann", NORTH_EAST, document_ids=None, limit=9) == before
        await store.delete("ann", document_id)
    async with place.open() as store:
        assert await nearest(store) == []


async def test_what_one_does_another_sees_at_once(place: Place) -> None:
    if not place.shared:
        pytest.skip("only one may have it open")
    ids = [new_id() for _ in range(4)]
    await place.know("ann", *ids)
    async with place.open() as one, place.open() as other:
        for document_id in ids:
            await one.add(INDEX, "ann", document_id, [EAST])
            assert document_id in {key.document_id for key in await nearest(other)}
        await other.add(INDEX, "ann", ids[0], [NORTH])
        assert (await nearest(one))[-1] == PieceKey(ids[0], 0)
        for document_id in ids:
            await other.delete("ann", document_id)
            assert document_id not in {key.document_id for key in await nearest(one)}
        await other.add(INDEX, "ann", ids[0], [EAST])
        assert await nearest(one) == [PieceKey(ids[0], 0)]
        await other.drop(INDEX)
        assert await nearest(one) == []


async def test_of_ten_thousand_the_nearest_are_found(place: Place) -> None:
    """As many as the store promises, of the ten nearest, for twenty questions; others' are in between."""
    index = Index("m", 64)
    matrix = random_matrix(10_000, index.dimension, seed=1)
    ids = [new_id() for _ in range(20)]
    await place.know("ann", *ids)
    foreign = new_id()
    await place.know("bob", foreign)
    async with place.open() as store:
        for number, document_id in enumerate(ids):
            await store.add(index, "ann", document_id, as_vectors(matrix[number * 500 : (number + 1) * 500]))
        questions = random_matrix(20, index.dimension, seed=2)
        await store.add(index, "bob", foreign, as_vectors(questions))
        right = 0
        for question in questions:
            order = np.argsort(-(matrix @ question), kind="stable")[:10]
            expected = {PieceKey(ids[row // 500], int(row % 500)) for row in order}
            hits = await store.search(index, "ann", question.tobytes(), document_ids=None, limit=10)
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
            right += len(expected & set(keys(hits)))
        assert right >= place.recall * 200
