"""LangChain behind a bare ASGI application: the cost of the package, without StreamForge."""

import os
from typing import Any

from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import SecretStr

model = BaseChatOpenAI(
    model="bench", base_url=os.environ["LLM_BASE_URL"], api_key=SecretStr("x"), max_retries=0, stream_usage=True
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"text/event-stream")],
    }
    if scope["path"] != "/health":
        async for chunk in model.astream("Tell me about streaming"):
            if chunk.text:
                if start:  # with the first word, so that the first byte means something
                    await send(start)
                    start = {}
                body = f"data: {chunk.text}\n\n".encode()
                await send({"type": "http.response.body", "body": body, "more_body": True})
    if start:
        await send(start)
    await send({"type": "http.response.body"})
