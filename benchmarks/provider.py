"""A model server that costs next to nothing: `python -m benchmarks.provider WORDS DELAY` prints its port.

It speaks OpenAI's chat completions, one word in each chunk, `DELAY` seconds apart (all at once if that is 0). On any
other path it sends the same words in the format of the plain text wire, as a client would see them without a server in
between.
"""

import asyncio
import json
import re
import sys
from typing import cast

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _openai(**fields: object) -> bytes:
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "bench", **fields}
    return b"data: %b\n\n" % json.dumps(body).encode()


def _delta(delta: dict[str, str], finish: str | None = None) -> bytes:
    return _openai(choices=[{"index": 0, "delta": delta, "finish_reason": finish}])


def blocks(words: int, *, plain: bool) -> list[bytes]:
    """The parts of the body, one for each word."""
    texts = [f"{number}th" + (" " if number < words - 1 else "") for number in range(words)]
    if plain:
        return [_chunk(f"data: {text}\n\n".encode()) for text in texts]
    usage = {"prompt_tokens": 4, "completion_tokens": words, "total_tokens": words + 4}
    end = _delta({}, "stop") + _openai(choices=[], usage=usage) + b"data: [DONE]\n\n"
    *said, last = (_delta({"content": text}) for text in texts)
    return [*map(_chunk, said), _chunk(last + end)]


class Connection(asyncio.Protocol):
    """One connection, which responds to any request with the words."""

    def __init__(self, openai: list[bytes], plain: list[bytes], delay: float) -> None:
        self._openai = openai
        self._plain = plain
        self._delay = delay
        self._asked = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._asked += data
        head, found, body = self._asked.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if length and len(body) < int(length[1]):
            return
        words = self._openai if b"/chat/completions" in head.split(b"\r\n")[0] else self._plain
        self._asked = b""
        if self._delay:
            self._transport.write(_HEAD + words[0])
            self._say(words, 1, asyncio.get_running_loop().time())
        else:
            self._transport.write(_HEAD + b"".join(words) + _END)

    def _say(self, words: list[bytes], number: int, begun: float) -> None:
        if number == len(words):
            self._transport.write(_END)
            return
        asyncio.get_running_loop().call_at(begun + number * self._delay, self._next, words, number, begun)

    def _next(self, words: list[bytes], number: int, begun: float) -> None:
        if not self._transport.is_closing():
            self._transport.write(words[number])
            self._say(words, number + 1, begun)


async def main(words: int, delay: float) -> None:
    said = blocks(words, plain=False), blocks(words, plain=True)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(*said, delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
