"""Measures the cost of a token, layer by layer: `python -m benchmarks.tokens sdk|astream|streamforge URL WORDS
ANSWERS`.

The same words come from the same server at full speed. This process does nothing else, and prints the processor time
per token in microseconds. `streamforge` is everything up to the log: chain, clocks, supervisor, append.
"""

import asyncio
import gc
import sys
import time

import uvloop
from langchain_openai.chat_models.base import BaseChatOpenAI
from openai import AsyncOpenAI
from pydantic import SecretStr

from config.settings import Settings
from domain.callers import LOCAL
from domain.events import Delta
from domain.streams import Ask, Order
from services.container import open_services, read_catalogue
from stores.streams.tail import Tail

MESSAGE = "Tell me about streaming"


class End:
    """A follower that only waits for the end."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._ended = asyncio.Event()
        tail.followers.append(self)

    def wake(self) -> None:
        if self._tail.ended:
            self._ended.set()

    def cut(self) -> None:
        raise RuntimeError("the log cannot be read any further")

    async def wait(self) -> None:
        if not self._tail.ended:
            await self._ended.wait()


async def sdk(url: str, answers: int) -> int:
    client = AsyncOpenAI(base_url=url, api_key="x", max_retries=0)
    tokens = 0
    for _ in range(answers):
        stream = await client.chat.completions.create(
            model="bench", messages=[{"role": "user", "content": MESSAGE}], stream=True
        )
        async for chunk in stream:
            tokens += bool(chunk.choices and chunk.choices[0].delta.content)
    return tokens


async def astream(url: str, answers: int) -> int:
    model = BaseChatOpenAI(model="bench", base_url=url, api_key=SecretStr("x"), max_retries=0, stream_usage=True)
    tokens = 0
    for _ in range(answers):
        async for chunk in model.astream(MESSAGE):
            tokens += bool(chunk.text)
    return tokens


async def streamforge(url: str, answers: int) -> int:
    settings = Settings(_env_file=None, LLM_MODEL="bench", LLM_BASE_URL=url, STREAM_COMMIT_DELAY=0)
    tokens = 0
    async with open_services(settings, await asyncio.to_thread(read_catalogue, settings)) as services:
        for _ in range(answers):
            tail = (await services.streaming.start(LOCAL, Order(Ask(MESSAGE)))).tail
            await End(tail).wait()
            tokens += sum(isinstance(event, Delta) for event in tail.events)
    return tokens


WAYS = {"sdk": sdk, "astream": astream, "streamforge": streamforge}


async def main(way: str, url: str, words: int, answers: int) -> None:
    await WAYS[way](url, 3)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    begun = time.process_time()
    tokens = await WAYS[way](url, answers)
    assert tokens == words * answers, "words were lost"
    print((time.process_time() - begun) / tokens * 1e6)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
