"""F19, F26: replicas are restarted one after the other behind a proxy, with clients everywhere who come back."""

import asyncio
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stores.streams.logs import until
from tests.support.history import History, Reader, history
from tests.support.proxies import KINDS, reverse_proxy
from tests.support.replicas import OWNERS, Replica, Replicas, replicas
from tests.support.server import wait_for
from tests.support.valkey import RedisServer

pytestmark = [
    pytest.mark.clock,
    pytest.mark.slow(reason="two hundred clients each"),
    pytest.mark.xdist_group("rolling"),  # one after the other, or they would keep both processors from everybody else
]

CLIENTS = 200
DELAY = 0.1
TEXT = " ".join(f"word{number}" for number in range(30))
# nginx asks the other one itself; Caddy notices within half a second, and meanwhile the client is told to come back.
MOST_REFUSED = {"nginx": 10, "caddy": CLIENTS}
MOST_MISSED = 20
"""Words: those of two seconds."""
SETTINGS: dict[str, Any] = {"SIMULATED_TEXT": TEXT, "STREAM_DELAY": DELAY}


class Client:
    """Asks through the proxy, leaves in the middle of an answer, comes back, and asks again, until it is `enough`."""

    def __init__(self, told: History, url: str, number: int) -> None:
        self._told = told
        self._url = url
        self._number = number
        self._rest = random.Random(number)
        self.answers: list[Reader] = []
        self.refused: list[int] = []
        """Statuses."""
        self.asked = 0
        """Questions, of which the last one may have no answer yet."""

    async def talk(self, enough: asyncio.Event) -> None:
        for turn in itertools.count():
            self.asked += 1
            reader = await self._ask(f"{self._number}-{turn}")
            self.answers.append(reader)
            if self._rest.random() < 0.5:
                await reader.heard(self._rest.randrange(1, 25))
                await reader.leave()
                await asyncio.sleep(self._rest.random() / 2)
                reader.go_on(self._url)
            await reader.end()
            if enough.is_set():
                return

    async def _ask(self, key: str) -> Reader:
        """With its key it may send again whatever was refused, or got no answer."""
        place: dict[str, Any] = {"new_session": True} if self._number % 4 == 0 else {}
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            owner = OWNERS[self._number % len(OWNERS)]
            reader = await self._told.post(self._url, f"question {key}", owner=owner, key=key, **place)
            if reader.first.status == 200:
                return reader
            assert reader.first.status in (0, 502, 503, 504), reader.first
            self.refused.append(reader.first.status)
            await asyncio.sleep(0.2)
        raise AssertionError("nobody answers")


async def restart(made: Replicas, replica: Replica, port: int) -> Replica:
    """As an operator would: TERM, wait for the end, start, wait until it is ready."""
    assert await asyncio.to_thread(replica.process.stop, signal.SIGTERM, 40) == -signal.SIGTERM
    (again,) = await asyncio.to_thread(lambda: made.start(PORT=port))
    await asyncio.to_thread(wait_for, lambda: httpx.get(f"{again.url}/ready").status_code == 200)
    return again


async def settle(clients: list[Client]) -> None:
    """Wait until what was asked while one was away has its answer.

    The proxy has tried that one for it, and would have nobody left to ask if the other one left as well: an operator is
    not so quick.
    """
    asked = [client.asked for client in clients]
    await until(lambda: all(len(each.answers) >= count for each, count in zip(clients, asked, strict=True)), 20)


@dataclass(frozen=True)
class Rolling:
    """Two replicas that ask for keys, and the proxy before them."""

    made: Replicas
    ports: tuple[int, int]
    url: str
    kind: str


@pytest.fixture(params=KINDS)
def rolling(
    request: pytest.FixtureRequest, valkey: RedisServer, folder: Path, free_port: Callable[[], int]
) -> Iterator[Rolling]:
    ports = free_port(), free_port()
    with replicas(folder, valkey, **SETTINGS, AUTH_MODE="api_key") as made:
        for target in ports:
            made.start(PORT=target)
        with reverse_proxy(request.param, free_port(), ports) as url:
            yield Rolling(made, ports, url, request.param)


async def test_no_word_is_lost_or_doubled_while_both_are_restarted(rolling: Rolling) -> None:
    made, url = rolling.made, rolling.url
    async with history(made.owners) as told:
        clients = [Client(told, url, number) for number in range(CLIENTS)]
        enough = asyncio.Event()
        talks = [asyncio.create_task(client.talk(enough)) for client in clients]
        await until(lambda: all(client.answers for client in clients), 60)
        old = list(made.all)
        for replica, port in zip(old, rolling.ports, strict=True):
            await restart(made, replica, port)
            await settle(clients)
        enough.set()
        await asyncio.gather(*talks)
        for client in clients:
            assert len(client.answers) > 1
            for reader in client.answers:
                assert reader.seen[-1].event == "done"
                assert reader.text == TEXT
        refused = Counter(status for client in clients for status in client.refused)
        assert refused.total() < MOST_REFUSED[rolling.kind], f"new streams were sent to who was to leave: {refused}"
        for replica in made.all[:3]:  # the last one came when nobody asked any more
            assert len(replica.told("stream ended")) > CLIENTS / 20, "each had its part"
        for replica in old:
            assert replica.told("draining")[0]["streams"] > CLIENTS / 20
        await told.check(made.all[-1].url, made.live)
    made.leave()


async def test_two_hundred_who_are_sent_away_at_once_come_back_elsewhere_at_once(
    valkey: RedisServer, folder: Path
) -> None:
    text = " ".join(f"word{number}" for number in range(160))  # longer than it takes to send them away
    with replicas(folder, valkey, **{**SETTINGS, "SIMULATED_TEXT": text}) as made:
        here, there = made.start(2)
        async with history() as told:
            produced = await asyncio.gather(*(told.post(there.url, "x") for _ in range(20)))
            followed = (produced[number % 20].stream_id for number in range(CLIENTS))
            # All at once: one after the other, the first streams would be at their end before the last is followed.
            readers = await asyncio.gather(*(told.follow(here.url, each, also=(there.url,)) for each in followed))
            for reader in readers:
                await reader.heard(1)
            here.process.popen.terminate()
            for reader in readers:
                assert (await reader.end()).event == "done"
                assert reader.text == text
            there_all_along = {reader.stream_id: reader for reader in produced}
            missed = [words_missed(reader, there_all_along[reader.stream_id]) for reader in readers]
            assert max(missed) < MOST_MISSED, "nobody waits for long"
            assert {len(reader.bodies) for reader in readers} == {2}
            await told.check(there.url, made.live)
            here.process.popen.wait(timeout=20)
        made.leave()


def words_missed(reader: Reader, other: Reader) -> int:
    """How many words of the stream the other one had by the time that this one had a word again.

    On a busy machine words come as late as clients do, so that this is no matter of how busy it is.
    """
    before, after = reader.bodies[0].seen[-1].seq, reader.bodies[-1].seen[0].at
    return sum(seen.at <= after for seen in other.seen if seen.seq > before)
