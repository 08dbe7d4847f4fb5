"""The seed's program, unchanged: an async generator in FastAPI's `StreamingResponse`, behind its CORS middleware.

A block is `data: `, the word, a space and a blank line. The generator sleeps after every word.
"""

import asyncio
from collections.abc import AsyncGenerator

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from benchmarks.contenders.words import DELAY, TEXT

router = APIRouter(prefix="/chat", tags=["chat"])


class ChatRequest(BaseModel):
    message: str


async def generate_chunks(_: str) -> AsyncGenerator[bytes, None]:
    words = TEXT.split()
    for word in words:
        chunk = f"data: {word} \n\n".encode()
        yield chunk
        await asyncio.sleep(DELAY)


@router.post("")
async def chat_stream(request: ChatRequest) -> StreamingResponse:
    return StreamingResponse(
        generate_chunks(request.message),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "Connection": "keep-alive", "X-Accel-Buffering": "no"},
    )


app = FastAPI(title="StreamForge API", version="0.1.0")
app.add_middleware(
    CORSMiddleware,
    allow_origins=["http://localhost:3000", "http://localhost:5173", "http://127.0.0.1:3000", "http://127.0.0.1:5173"],
    allow_credentials=True,
    allow_methods=["*"],
    allow_headers=["*"],
)
app.include_router(router)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy", "service": "StreamForge API", "version": "0.1.0"}
