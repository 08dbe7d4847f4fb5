"""Clients that hang up before they have what they asked for."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientLeft(Exception):  # noqa: N818 - an event, not a mistake
    """The client has hung up."""


async def disconnected(receive: Receive) -> None:
    """Wait until the client hangs up, or the response is complete: a server says both in the same way."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_left(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work; if the client hangs up first, the work is cancelled and this raises `ClientLeft`.

    It has ended in any case when this returns or raises.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(disconnected(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
