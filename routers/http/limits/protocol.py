"""Which protocol a server speaks HTTP with."""

import asyncio
from functools import partial
from importlib.util import find_spec
from typing import cast

from routers.http.limits.values import SHIPPED, ConnectionLimits


def bounded_http(limits: ConnectionLimits = SHIPPED) -> type[asyncio.Protocol]:
    """uvicorn's own choice, with limits; as `uvicorn.Config(http=...)` takes it, also for workers."""
    if find_spec("httptools") is not None:
        from routers.http.limits.httptools_protocol import BoundedHttpTools

        return cast(type[asyncio.Protocol], partial(BoundedHttpTools, limits=limits))
    from routers.http.limits.h11_protocol import BoundedH11

    return cast(type[asyncio.Protocol], partial(BoundedH11, limits=limits))
