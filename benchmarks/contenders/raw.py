"""The lower limit: only the ASGI protocol between the server and the words."""

import asyncio

from starlette.types import Receive, Scope, Send

from benchmarks.contenders.words import DELAY, WORDS

BLOCKS = [f"data: {word} \n\n".encode() for word in WORDS]
HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
HEALTHY = b'{"status":"healthy"}'


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["method"] == "GET":
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(HEALTHY))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": HEALTHY})
    else:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        for block in BLOCKS:
            await send({"type": "http.response.body", "body": block, "more_body": True})
            await asyncio.sleep(DELAY)
        await send({"type": "http.response.body"})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        step = (await receive())["type"]
        await send({"type": f"{step}.complete"})
        if step == "lifespan.shutdown":
            return
