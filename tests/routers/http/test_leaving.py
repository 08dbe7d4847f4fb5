"""Work for a client that may hang up."""

import asyncio

import pytest
from starlette.types import Message

from routers.http.leaving import ClientLeft, unless_left


class Client:
    """Hangs up when told to."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def test_work_is_answered_to_a_client_that_stays() -> None:
    async def work() -> int:
        return 7

    assert await unless_left(Client().receive, work()) == 7


async def test_an_error_of_the_work_is_raised() -> None:
    async def work() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        await unless_left(Client().receive, work())


async def test_work_is_stopped_and_over_when_the_client_has_left() -> None:
    client, over = Client(), False

    async def work() -> None:
        nonlocal over
        client.gone.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            over = True

    with pytest.raises(ClientLeft):
        await unless_left(client.receive, work())
    assert over


async def test_work_that_is_done_when_the_client_leaves_counts() -> None:
    client = Client()

    async def work() -> int:
        client.gone.set()
        return 7

    assert await unless_left(client.receive, work()) == 7


async def test_who_is_cancelled_while_waiting_takes_the_work_along() -> None:
    begun, cancelled = asyncio.Event(), False

    async def work() -> None:
        nonlocal cancelled
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise

    waiting = asyncio.create_task(unless_left(Client().receive, work()))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cancelled
