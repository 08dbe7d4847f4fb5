"""While documents are taken in, the event loop goes round: answers that stream meanwhile are not held up by them (F22).

What waits in the loop is found by the guard that all tests run under. Computing waits for nothing; it is found here,
by what the loop's thread has computed between two rounds. A busy machine makes that no more: it is counted by the
kernel for this thread alone, and held against what hashing one of the uploads costs in this very process.

What the kernel itself does for the thread does not count. To start a child it copies the tables of all the memory that
the tests use here, which has taken 130 ms on a machine that had just started.
"""

import asyncio
import contextlib
import gc
import hashlib
import random
import resource
from collections.abc import Callable, Iterator

import pytest

from tests.support.documents import pdf
from tests.support.library import Library, sources
from tests.support.server import LiveServer

LARGE = 96 * 1024 * 1024
PAGES, LINES = 200, 60


def computed() -> float:
    """Seconds that this thread has computed."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_utime


class Rounds:
    """The loop's rounds while somebody looks: how many, and the longest that one of them has computed."""

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0.0

    async def watch(self) -> None:
        """Until cancelled."""
        before = computed()
        while True:
            await asyncio.sleep(0.001)
            now = computed()
            self.count += 1
            self.longest = max(self.longest, now - before)
            before = now


@contextlib.contextmanager
def watched(server: LiveServer) -> Iterator[Rounds]:
    rounds = Rounds()

    async def begin() -> asyncio.Task[None]:
        return asyncio.create_task(rounds.watch())

    gc.collect()
    gc.disable()  # a collection of all that the tests have made would be put down to whoever is there
    task = server.call(begin)
    try:
        yield rounds
    finally:
        gc.enable()
        assert server.loop is not None
        server.loop.call_soon_threadsafe(task.cancel)


def cost_of_hashing(content: bytes) -> float:
    before = computed()
    hashlib.sha256(content).hexdigest()
    return computed() - before


def book(seed: random.Random) -> bytes:
    """A PDF of many full pages."""
    words = [f"word{number}" for number in range(2_000)]
    return pdf(["\n".join(" ".join(seed.choices(words, k=12)) for _ in range(LINES)) for _ in range(PAGES)])


def test_no_round_of_the_loop_computes_as_long_as_a_large_document_takes(
    serve: Callable[..., LiveServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashing, parsing, splitting and embedding these take as much each; scoring reads, which the guard finds."""
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # or threads would compute for the loop, which waits for them
    seed = random.Random(1)
    large = seed.randbytes(LARGE)
    server = serve(MAX_UPLOAD_BYTES=2 * LARGE, CHUNK_SIZE=4_000)
    library = Library(server)
    library.add("first.txt", "What is loaded on first use is loaded by now.")
    with watched(server) as rounds:
        refused = library.send("large.bin", large)
        assert library.settled(refused)["state"] == "failed"
        read = library.settled(library.send("book.pdf", book(seed)), seconds=120)
        assert (read["state"], read["pages"]) == ("ready", PAGES)
        assert len(sources(library.ask("Where are word17 and word18?"))) > 1
    assert rounds.count > 100
    assert rounds.longest < 0.75 * cost_of_hashing(large), rounds.longest
