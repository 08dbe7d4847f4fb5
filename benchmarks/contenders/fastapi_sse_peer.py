"""FastAPI's own server-sent events, used as in its documentation, with `raw_data` so that words are not quoted."""

import asyncio
from collections.abc import AsyncGenerator

from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from benchmarks.contenders.words import DELAY, WORDS

app = FastAPI()


class ChatRequest(BaseModel):
    message: str


@app.post("/chat", response_class=EventSourceResponse)
async def chat(_: ChatRequest) -> AsyncGenerator[ServerSentEvent, None]:
    for word in WORDS:
        yield ServerSentEvent(raw_data=word)
        await asyncio.sleep(DELAY)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}
