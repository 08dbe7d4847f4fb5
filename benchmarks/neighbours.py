"""Makes two owners, one with many messages: `python -m benchmarks.neighbours FOLDER MESSAGES` prints their keys.

The messages come as a client's own history, the fastest way to have many.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from pydoc_data.topics import topics

from benchmarks.conversations import database
from domain.callers import SCOPES
from domain.messages import Append, Beginning, Earlier, Ending, Opening, Question, new_id
from domain.usage import Spent, Usage, room
from services.access.api_keys import make_key
from services.access.secret import read_secret
from services.storage import Storage, Stores

SESSIONS = 20
"""How many sessions the other owner has."""
HARD = [f"{letter}!" for letter in "moecatinsrhlduyw"]
"""Words that no index has. The messages have all but the last of them at their end, where a search finds them late."""
_EACH = 998
_CHARS = 2_500
_ENDING = Ending("complete", "So it is.", "bench", "stop", None, Spent(Usage(4, 4, exact=True), None), 1, 2)


async def _begin(stores: Stores, owner: str, earlier: list[Earlier]) -> str:
    """A session with these messages, a question and its answer; returns its id."""
    answer_id, question = new_id(), Question(new_id(), "Is it so?", room("Is it so?"))
    asked = Beginning(
        owner, new_id(), question, Append(), answer_id, new_id(), "bench", time.time(), opening=Opening(None, earlier)
    )
    begun = await stores.messages.begin(asked)
    await stores.messages.finish(answer_id, _ENDING, time.time())
    return begun.session.id


def _history(words: list[str], chance: random.Random, count: int) -> list[Earlier]:
    said = []
    for number in range(count):
        at = chance.randrange(len(words) - _CHARS)
        text = f"{' '.join(words[at : at + _CHARS // 5])[:_CHARS]} {' '.join(HARD[:-1])}"
        said.append(Earlier("assistant" if number % 2 else "user", text, room(text)))
    return said


async def main(folder: Path, messages: int) -> None:
    secret = read_secret(None, folder)
    storage = Storage(database(folder))
    stores = await storage.open()
    keys = {}
    for owner in ("ann", "bob"):
        made = make_key(secret, owner, name="", scopes=frozenset(SCOPES), now=time.time(), expires=None)
        await stores.keys.create(made.key)
        keys[owner] = made.text
    words, chance = " ".join(topics.values()).split(), random.Random(0)
    for _ in range(messages // (_EACH + 2)):
        await _begin(stores, "ann", _history(words, chance, _EACH))
    sessions = [await _begin(stores, "bob", _history(words, chance, 8)) for _ in range(SESSIONS)]
    await storage.close()
    print(json.dumps({**keys, "sessions": sessions}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
