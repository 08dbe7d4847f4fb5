"""The chats of the AI SDK and of AG-UI are the same on every replica, and on each kind of database."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from domain.messages import new_id
from tests.replicas.conftest import Pair
from tests.stores.streams.logs import until
from tests.support.sse import parse
from tests.support.stage import Part


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as made:
        yield made


class Chat:
    """Alice's chat, or under the same id somebody else's."""

    def __init__(self, pair: Pair, client: httpx.AsyncClient, owner: str = "alice", id: str | None = None) -> None:
        self.id = id or new_id()
        self.messages: list[dict[str, Any]] = []
        self._client = client
        self._headers = pair.replicas.owners[owner]

    async def post(self, url: str, text: str | None = None, **more: Any) -> httpx.Response:
        """Say it, or nothing new."""
        if text is not None:
            self.messages.append({"id": new_id(), "role": "user", "parts": [{"type": "text", "text": text}]})
        body = {"id": self.id, "messages": self.messages, **more}
        return await self._client.post(f"{url}/api/chat", json=body, headers=self._headers)

    async def resume(self, url: str) -> httpx.Response:
        return await self._client.get(f"{url}/api/chat/{self.id}/stream", headers=self._headers)

    async def stop(self, url: str) -> int:
        answer = await self._client.post(f"{url}/api/chat/{self.id}/stop", headers=self._headers)
        return answer.status_code

    def hear(self, answer: httpx.Response) -> str:
        """Keep the answer, as the page would; what it says."""
        assert answer.status_code == 200, answer.text
        parts = parts_of(answer)
        text = "".join(part["delta"] for part in parts if part["type"] == "text-delta")
        message = {"role": "assistant", "parts": [{"type": "text", "text": text}]}
        self.messages.append({"id": parts[0]["messageId"], **message})
        return text


def parts_of(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(message.data) for message in parse(answer.content) if message.data != "[DONE]"]


async def asked(part: Part) -> None:
    """Returns when the model has been asked."""
    await until(lambda: part.asked > 0, seconds=30)


async def test_an_answer_is_read_again_and_posted_again_on_another_replica(
    pair: Pair, client: httpx.AsyncClient
) -> None:
    part, chat = pair.stage.cast(Part(words=4, held=2)), Chat(pair, client)
    first = asyncio.create_task(chat.post(pair.here.url, part.tag))
    await asked(part)
    others = [asyncio.create_task(work) for work in (chat.resume(pair.there.url), chat.post(pair.there.url))]
    part.go.set()
    answer, resumed, again = [await each for each in (first, *others)]
    assert answer.content == resumed.content == again.content == (await chat.resume(pair.there.url)).content
    assert again.headers["idempotent-replayed"] == "true"
    assert chat.hear(answer) == part.text
    assert part.asked == 1


async def test_an_answer_is_stopped_from_another_replica(pair: Pair, client: httpx.AsyncClient) -> None:
    part, chat = pair.stage.cast(Part(words=4, held=4)), Chat(pair, client)
    first = asyncio.create_task(chat.post(pair.here.url, part.tag))
    await asked(part)
    assert await chat.stop(pair.there.url) == 204
    for answer in (await first, await chat.resume(pair.there.url)):
        assert [part["type"] for part in parts_of(answer)][-2:] == ["abort", "finish"]
    await until(lambda: part.left == 1)


async def test_a_chat_goes_on_on_another_replica_and_on_the_other_wire(pair: Pair, client: httpx.AsyncClient) -> None:
    parts = [pair.stage.cast(Part(words=2)) for _ in range(4)]
    chat = Chat(pair, client)
    chat.hear(await chat.post(pair.here.url, parts[0].tag))
    assert chat.hear(await chat.post(pair.there.url, parts[1].tag)) == parts[1].text
    chat.messages[2:] = []
    assert chat.hear(await chat.post(pair.here.url, parts[2].tag)) == parts[2].text  # in the place of the second
    messages = [{"id": each["id"], "role": each["role"], "content": each["parts"][0]["text"]} for each in chat.messages]
    messages.append({"id": new_id(), "role": "user", "content": parts[3].tag})
    body = {"threadId": chat.id, "runId": "run", "messages": messages}
    run = await client.post(f"{pair.there.url}/ag-ui", json=body, headers=pair.replicas.owners["alice"])
    assert "RUN_FINISHED" in run.text
    told = [request["body"]["messages"] for request in pair.stage.provider.seen.requests]
    (window,) = [each for each in told if each[-1]["content"] == parts[3].tag]
    assert [each["content"] for each in window] == [message["content"] for message in messages]


async def test_a_chat_that_is_not_known_is_taken_over_by_one_of_the_replicas(
    pair: Pair, client: httpx.AsyncClient
) -> None:
    part, other = pair.stage.cast(Part(words=4, held=2)), pair.stage.cast(Part(words=2))
    chat = Chat(pair, client)
    for role, text in (("user", "I am Ada."), ("assistant", "Hello Ada!")):
        chat.messages.append({"id": new_id(), "role": role, "parts": [{"type": "text", "text": text}]})
    first = chat.post(pair.here.url, part.tag)  # the same is posted everywhere
    posts = [asyncio.create_task(post) for post in (first, *(chat.post(each.url) for each in (pair.there, pair.here)))]
    await asked(part)
    part.go.set()
    answers = [await post for post in posts]
    assert len({answer.content for answer in answers}) == 1
    assert chat.hear(answers[0]) == part.text
    chat.hear(await chat.post(pair.there.url, other.tag))
    told = [request["body"]["messages"] for request in pair.stage.provider.seen.requests]
    (window,) = [each for each in told if each[-1]["content"] == other.tag]
    assert [each["content"] for each in window] == [each["parts"][0]["text"] for each in chat.messages[:-1]]
    assert part.asked == 1


async def test_what_is_anothers_chat_is_unknown_and_its_id_is_free(pair: Pair, client: httpx.AsyncClient) -> None:
    part, other = pair.stage.cast(Part(words=4, held=2)), pair.stage.cast(Part(words=2))
    chat = Chat(pair, client)
    first = asyncio.create_task(chat.post(pair.here.url, part.tag))
    await asked(part)
    bobs = Chat(pair, client, "bob", chat.id)
    assert (await bobs.resume(pair.there.url)).status_code == 204
    assert await bobs.stop(pair.there.url) == 404
    assert bobs.hear(await bobs.post(pair.there.url, other.tag)) == other.text
    assert (await bobs.resume(pair.here.url)).status_code == 200
    part.go.set()
    assert chat.hear(await first) == part.text, "which nobody has stopped"
