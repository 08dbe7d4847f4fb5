"""A process that writes a stream, to be stopped and killed by tests: `python producer.py <url> <prefix> <lease>`.

It prints the stream's id, then what became of each append and the number of events in its log; at last, what became
of its seal.
"""

import asyncio
import sys

import structlog

from domain.events import Delta
from stores.streams.base import Appended, Fenced
from tests.stores.streams.logs import DONE, info, shared_log


async def main(url: str, prefix: str, lease: float) -> None:
    async with shared_log(url, prefix=prefix, lease=lease) as log:
        tail = await log.open(info())
        print(tail.info.id, flush=True)
        appended = Appended.OK
        while appended is Appended.OK:
            seq = len(tail.events) + 1
            appended = await log.append(tail, seq, Delta(f"word{seq} "))
            print(appended.name, len(tail.events), tail.shared, flush=True)
            await asyncio.sleep(0.01)
        try:
            await log.seal(tail, DONE)
        except Fenced:
            print("fenced", flush=True)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
