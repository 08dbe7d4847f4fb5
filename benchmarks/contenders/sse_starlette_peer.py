"""sse-starlette's `EventSourceResponse` with its defaults, used as in its documentation."""

import asyncio
from collections.abc import AsyncGenerator

from fastapi import FastAPI
from pydantic import BaseModel
from sse_starlette import EventSourceResponse  # type: ignore[import-not-found,unused-ignore]

from benchmarks.contenders.words import DELAY, WORDS

app = FastAPI()


class ChatRequest(BaseModel):
    message: str


async def generate() -> AsyncGenerator[dict[str, str], None]:
    for word in WORDS:
        yield {"data": word}
        await asyncio.sleep(DELAY)


@app.post("/chat")
async def chat(_: ChatRequest) -> EventSourceResponse:
    return EventSourceResponse(generate())


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}
