"""Fills a database with a long conversation: `python -m benchmarks.filler FOLDER MESSAGES` prints the session's id."""

import asyncio
import sys
import time
from pathlib import Path

from benchmarks.conversations import database
from domain.callers import LOCAL
from domain.messages import Append, Beginning, Ending, Question, new_id
from domain.usage import Spent, Usage, room
from services.storage import Storage

_ENDING = Ending("complete", "That it is long.", "bench", "stop", None, Spent(Usage(4, 4, exact=True), None), 1, 2)
_TEXT = "What do you make of this conversation?"


async def main(folder: Path, messages: int) -> None:
    storage = Storage(database(folder))
    stores = await storage.open()
    session = await stores.sessions.create(LOCAL.id, client_id=None, title="Long", now=time.time())
    for _ in range(messages // 2):
        answer_id = new_id()
        question = Question(new_id(), _TEXT, room(_TEXT))
        await stores.messages.begin(
            Beginning(LOCAL.id, session.id, question, Append(), answer_id, new_id(), "bench", time.time())
        )
        await stores.messages.finish(answer_id, _ENDING, time.time())
    await storage.close()
    print(session.id)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
