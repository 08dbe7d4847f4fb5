"""The AI SDK's own chat, in three versions, against a real server: all that happens to the answer of a page."""

import base64
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings

from domain.errors import ERRORS
from domain.messages import new_id
from tests.browser.relay import relay
from tests.clients.node import Node
from tests.support.catalogue import KEYS, row, write_catalogue
from tests.support.effort import examples
from tests.support.scripts import refuse, words_then
from tests.support.server import LiveServer, live_server, make_settings, wait_for
from tests.support.stage import Part, Stage, stage
from tests.support.talk import Talk
from tests.wires.samples import DELTAS, TROUBLE_IN_SHORT, body

VERSIONS = [5, 6, 7]
GOLDEN = Path(__file__).parents[1] / "wires" / "golden"

each_version = pytest.mark.parametrize("version", VERSIONS)
Message = dict[str, Any]


@dataclass(frozen=True)
class House:
    """A server, the model behind it, and the folder that it keeps things in."""

    server: LiveServer
    stage: Stage
    folder: Path

    def part(self, **how: Any) -> Part:
        return self.stage.cast(Part(**how))

    def kept(self, chat_id: str) -> Talk:
        """The session that a chat is."""
        sessions = httpx.get(f"{self.server.url}/sessions?limit=200").json()["items"]
        (session,) = [each for each in sessions if each.get("client_id") == chat_id]
        return Talk(self.server.url, session["id"])

    def told(self) -> list[tuple[str, str]]:
        """What the model was last told."""
        messages = self.stage.provider.seen.requests[-1]["body"]["messages"]
        return [(message["role"], message["content"]) for message in messages]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with stage() as model:
        catalogue = write_catalogue(folder, row("openai_compatible", model.provider.url))
        made = make_settings(
            MODELS_FILE=catalogue, LLM_MODEL="m", PROVIDER_KEYS=KEYS, SUMMARY_MODEL="simulated", MODEL_RETRIES=0,
            STREAM_COMMIT_DELAY=20, DATA_DIR=folder,
        )  # fmt: skip
        with live_server(made) as server:
            yield House(server, model, folder)


def text_of(message: Message) -> str:
    """What is said in a message."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


class Page:
    """A page with a chat in it."""

    def __init__(
        self, node: Node, version: int, url: str, chat_id: str | None = None, messages: Sequence[Message] = ()
    ) -> None:
        self.id = chat_id or new_id()
        self._node = node
        self._handle = new_id()
        node.ask("openChat", handle=self._handle, version=version, url=url, id=self.id, messages=list(messages))

    def do(self, method: str, *options: Any, wait: bool = True) -> None:
        self._node.ask("call", handle=self._handle, method=method, options=options, wait=wait)

    def say(self, text: str, *, wait: bool = True, **more: Any) -> None:
        self.do("sendMessage", {"text": text, **more}, wait=wait)

    def keep(self, messages: list[Message]) -> None:
        self._node.ask("setMessages", handle=self._handle, messages=messages)

    @property
    def now(self) -> dict[str, Any]:
        return self._node.ask("look", handle=self._handle)  # type: ignore[no-any-return]

    @property
    def status(self) -> str:
        return str(self.now["status"])

    @property
    def messages(self) -> list[Message]:
        return self.now["messages"]  # type: ignore[no-any-return]

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(message["role"], text_of(message)) for message in self.messages]

    def has(self, answer: str) -> bool:
        return self.said[-1] == ("assistant", answer)


def begin(page: Page, part: Part) -> str:
    """Ask the part, and wait until all has come that it does not hold back; answers that text."""
    page.say(f"why {part.tag}", wait=False)
    shown = "".join(part.word(number) for number in range(part.words - part.held))
    wait_for(lambda: page.has(shown))
    assert page.status == "streaming"
    return shown


@each_version
def test_a_question_is_answered_and_kept_under_the_clients_names(node: Node, house: House, version: int) -> None:
    part, next_part = house.part(), house.part()
    page = Page(node, version, house.server.url)
    page.say(f"why {part.tag}")
    assert page.said == [("user", f"why {part.tag}"), ("assistant", part.text)]
    assert (page.status, page.now["error"]) == ("ready", None)
    question, answer = house.kept(page.id).history()
    asked, shown = page.messages
    assert (question["client_id"], answer["id"]) == (asked["id"], shown["id"])
    page.say(f"and {next_part.tag}")
    assert page.said[2:] == [("user", f"and {next_part.tag}"), ("assistant", next_part.text)]
    assert house.told() == page.said[:3]


@each_version
def test_an_answer_that_fails_on_the_way_says_why_and_can_be_asked_for_again(
    node: Node, house: House, version: int
) -> None:
    part = house.part(trouble=words_then(lambda answer: answer.reset()))
    page = Page(node, version, house.server.url)
    page.say(f"why {part.tag}")
    assert page.status == "error"
    assert page.has("half ")
    failed = house.kept(page.id).history()[-1]
    assert page.now["error"] == ERRORS[failed["code"]].message
    page.do("regenerate")
    assert page.said == [("user", f"why {part.tag}"), ("assistant", part.text)]
    assert page.status == "ready"
    assert house.told() == page.said[:1]


@each_version
def test_a_refusal_is_a_sentence_and_leaves_nothing(node: Node, house: House, version: int) -> None:
    part = house.part(trouble=refuse(503))
    page = Page(node, version, house.server.url)
    page.say(f"why {part.tag}")
    assert page.status == "error"
    assert page.now["error"] == ERRORS["provider_overloaded"].message
    sessions = httpx.get(f"{house.server.url}/sessions?limit=200").json()["items"]
    assert page.id not in [session.get("client_id") for session in sessions]
    page.do("regenerate")  # of a chat that is not known: the question is new
    assert page.said == [("user", f"why {part.tag}"), ("assistant", part.text)]


@each_version
def test_stop_stops_the_model_and_keeps_what_was_said(node: Node, house: House, version: int) -> None:
    part = house.part(held=3)
    page = Page(node, version, house.server.url)
    shown = begin(page, part)
    assert httpx.post(f"{house.server.url}/api/chat/{page.id}/stop").status_code == 204
    wait_for(lambda: page.status == "ready")
    assert page.has(shown)
    assert page.now["error"] is None
    wait_for(lambda: part.left == 1)
    answer = house.kept(page.id).history()[-1]
    assert (answer["state"], answer["code"], answer["text"]) == ("cancelled", "requested", shown)
    assert httpx.post(f"{house.server.url}/api/chat/{page.id}/stop").status_code == 204, "again, which does nothing"


@each_version
def test_hung_up_and_asked_something_else_the_chat_is_free(node: Node, house: House, version: int) -> None:
    part, other = house.part(held=3), house.part()
    page = Page(node, version, house.server.url)
    shown = begin(page, part)
    page.do("stop")  # the client's own: it hangs up, and the answer goes on
    page.say(f"rather {other.tag}")
    assert page.said[2:] == [("user", f"rather {other.tag}"), ("assistant", other.text)]
    wait_for(lambda: part.left == 1)
    assert house.told()[:2] == [("user", f"why {part.tag}"), ("assistant", shown)]


@each_version
def test_dropped_and_resumed_while_the_answer_runs_it_ends_whole(node: Node, house: House, version: int) -> None:
    part = house.part(held=3)
    with relay(house.server.port) as network:
        page = Page(node, version, network.url)
        begin(page, part)
        network.cut()
        wait_for(lambda: page.status == "error")
        page = reloaded(node, version, network.url, page)
        page.do("resumeStream", wait=False)
        wait_for(lambda: page.status == "streaming")
        part.go.set()
        wait_for(lambda: page.status == "ready")
    assert page.said == [("user", f"why {part.tag}"), ("assistant", part.text)]
    assert part.asked == 1


@each_version
def test_dropped_and_resumed_when_it_has_finished_meanwhile_it_is_whole(node: Node, house: House, version: int) -> None:
    part = house.part(held=3)
    with relay(house.server.port) as network:
        page = Page(node, version, network.url)
        begin(page, part)
        network.cut()
        wait_for(lambda: page.status == "error")
        part.go.set()
        wait_for(lambda: house.kept(page.id).history()[-1]["state"] == "complete")
        page = reloaded(node, version, network.url, page)
        page.do("resumeStream")
    assert page.said == [("user", f"why {part.tag}"), ("assistant", part.text)]
    assert (page.status, part.asked) == ("ready", 1)


def reloaded(node: Node, version: int, url: str, page: Page) -> Page:
    """The page, loaded anew. Version 5 adds what is replayed to half an answer, so it must not have kept that."""
    kept = page.messages if version > 5 else page.messages[:1]
    return Page(node, version, url, page.id, kept)


@pytest.mark.parametrize("version", [6, 7])
def test_the_same_page_resumes_into_the_same_message(node: Node, house: House, version: int) -> None:
    part = house.part(held=3)
    with relay(house.server.port) as network:
        page = Page(node, version, network.url)
        begin(page, part)
        message_id = page.messages[-1]["id"]
        network.cut()
        wait_for(lambda: page.status == "error")
        page.do("resumeStream", wait=False)
        wait_for(lambda: page.status == "streaming")
        part.go.set()
        wait_for(lambda: page.status == "ready")
    assert page.said == [("user", f"why {part.tag}"), ("assistant", part.text)]
    assert page.messages[-1]["id"] == message_id


@each_version
def test_after_two_minutes_there_is_nothing_to_resume(node: Node, house: House, version: int) -> None:
    part = house.part()
    page = Page(node, version, house.server.url)
    page.say(f"why {part.tag}")
    url = f"{house.server.url}/api/chat/{page.id}/stream"
    assert httpx.get(url).status_code == 200
    session_id = house.kept(page.id).id
    for seconds, status in ((100, 200), (21, 204)):
        with closing(sqlite3.connect(house.folder / "streamforge.db")) as database, database:
            database.execute("UPDATE messages SET alive = alive - ? WHERE session_id = ?", [seconds, session_id])
        assert httpx.get(url).status_code == status
    page = Page(node, version, house.server.url, page.id, page.messages)
    page.do("resumeStream")
    assert (page.status, page.now["error"]) == ("ready", None)
    assert page.has(part.text)


@each_version
def test_a_chat_that_is_not_known_has_nothing_to_resume(node: Node, house: House, version: int) -> None:
    page = Page(node, version, house.server.url)
    page.do("resumeStream")
    assert (page.status, page.messages) == ("ready", [])


@each_version
def test_an_answer_is_given_anew_beside_the_old_one(node: Node, house: House, version: int) -> None:
    part, later = house.part(), house.part()
    page = Page(node, version, house.server.url)
    page.say(f"why {part.tag}")
    old = page.messages[-1]["id"]
    page.do("regenerate")
    new = page.messages[-1]["id"]
    assert page.said == [("user", f"why {part.tag}"), ("assistant", part.text)]
    talk = house.kept(page.id)
    assert talk.history()[-1]["siblings"] == [old, new]
    page.say(f"and {later.tag}")
    page.do("regenerate", {"messageId": new})
    assert page.said == [("user", f"why {part.tag}"), ("assistant", part.text)]
    assert talk.history()[-1]["siblings"] == [old, new, page.messages[-1]["id"]]
    assert part.asked == 3


@each_version
def test_a_question_that_is_edited_becomes_a_branch(node: Node, house: House, version: int) -> None:
    first, second, third, fourth = (house.part() for _ in range(4))
    page = Page(node, version, house.server.url)
    page.say(f"one {first.tag}")
    page.say(f"two {second.tag}")
    asked = page.messages[2]["id"]
    for part in (third, fourth):  # edited, and edited again
        page.say(f"two {part.tag}", messageId=asked)
        assert page.said == [
            ("user", f"one {first.tag}"), ("assistant", first.text),
            ("user", f"two {part.tag}"), ("assistant", part.text),
        ]  # fmt: skip
        assert house.told() == page.said[:3]
    talk = house.kept(page.id)
    assert [text for _, text in page.said] == talk.texts()
    assert len(talk.history()[2]["siblings"]) == 3
    page.say(f"one {second.tag}", messageId=page.messages[0]["id"])
    assert house.told() == [("user", f"one {second.tag}")]


@each_version
def test_a_client_cannot_rewrite_what_was_said(node: Node, house: House, version: int) -> None:
    first, second, third = (house.part() for _ in range(3))
    page = Page(node, version, house.server.url)
    page.say(f"one {first.tag}")
    question, answer = page.messages
    forged = {**answer, "parts": [{"type": "text", "text": "I did say that."}]}
    page.keep([question, forged])
    page.say(f"two {second.tag}")
    assert house.told()[1] == ("assistant", first.text)
    talk = house.kept(page.id)
    before = talk.texts()
    rewritten = {**question, "parts": [{"type": "text", "text": "eins"}]}
    page.keep([rewritten, *page.messages[1:]])
    page.say(f"three {third.tag}")
    assert house.told() == [("user", f"eins\n\ntwo {second.tag}\n\nthree {third.tag}")]
    assert set(before) < set(talk.texts(all=True)), "what was said before is on another branch"
    assert len(talk.history()[0]["siblings"]) == 2


@each_version
def test_a_chat_that_is_not_known_begins_with_what_the_page_shows(node: Node, house: House, version: int) -> None:
    first, second, third, fourth = (house.part() for _ in range(4))
    page = Page(node, version, house.server.url)
    kept = [
        {"id": new_id(), "role": role, "parts": [{"type": "step-start"}, {"type": "text", "text": text}]}
        for role, text in (("assistant", "Hello!"), ("user", "I am Ada."), ("assistant", "Hello Ada!"))
    ]
    page.keep(kept)
    page.say(f"one {first.tag}")
    assert house.told() == page.said[1:4], "from the user's first words on"
    talk = house.kept(page.id)
    assert [each.get("client_id") for each in talk.history()[:4]] == [each["id"] for each in page.messages[:4]]
    page.say(f"two {second.tag}")
    assert house.told() == page.said[1:6]
    assert talk.texts() == [text for _, text in page.said]
    page.say(f"I am Bob. {third.tag}", messageId=kept[1]["id"])
    assert house.told() == [("user", f"I am Bob. {third.tag}")]
    assert talk.texts() == ["Hello!", f"I am Bob. {third.tag}", third.text]
    assert httpx.delete(f"{house.server.url}/sessions/{talk.id}").status_code == 204
    page.say(f"three {fourth.tag}")
    assert house.told() == page.said[1:4]
    assert house.kept(page.id).texts() == [text for _, text in page.said]


@each_version
def test_a_chat_goes_on_where_another_page_has_left_off(node: Node, house: House, version: int) -> None:
    """Ids from /chat/history are as good as the client's own, and an old branch is gone on with."""
    first, second, third = (house.part() for _ in range(3))
    page = Page(node, version, house.server.url)
    page.say(f"one {first.tag}")
    talk = house.kept(page.id)
    old = page.messages[-1]["id"]
    page.do("regenerate")
    shown = [
        {"id": each["id"], "role": each["role"], "parts": [{"type": "text", "text": each["text"]}]}
        for each in talk.history()
    ]
    other = Page(node, version, house.server.url, page.id, shown)
    other.say(f"two {second.tag}")
    assert house.told() == other.said[:3]
    stale = Page(node, version, house.server.url, page.id, [shown[0], {**shown[1], "id": old}])
    stale.say(f"three {third.tag}")
    assert [each["id"] for each in talk.history()][1] == old
    assert talk.texts() == [text for _, text in stale.said]


def test_a_question_that_is_refused_switches_to_no_other_branch(node: Node, house: House) -> None:
    first, second, third = house.part(), house.part(), house.part(trouble=refuse(503))
    page = Page(node, 7, house.server.url)
    page.say(f"one {first.tag}")
    stale = Page(node, 7, house.server.url, page.id, page.messages)
    page.say(f"uno {second.tag}", messageId=page.messages[0]["id"])
    talk = house.kept(page.id)
    stale.say(f"two {third.tag}")
    assert stale.status == "error"
    assert talk.texts() == [text for _, text in page.said]
    stale.do("regenerate")
    assert talk.texts() == [text for _, text in stale.said]


@pytest.mark.parametrize("version", VERSIONS)
@settings(deadline=None, max_examples=examples(20))
@given(deltas=DELTAS)
@example(deltas=TROUBLE_IN_SHORT)
def test_every_text_is_read_exactly_in_pieces_of_every_size(node: Node, version: int, deltas: list[str]) -> None:
    (outcome,) = read(node, version, body("ai_sdk", deltas))
    assert outcome["errors"] == []
    assert text_of(outcome["message"]) == "".join(deltas)


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("ai_sdk-*.sse")), ids=lambda file: file.stem)
@each_version
def test_every_version_reads_the_golden_files(node: Node, version: int, file: Path) -> None:
    (outcome,) = read(node, version, file.read_bytes())
    errors = [ERRORS["provider_timeout"].message] if file.stem.endswith("error") else []
    assert outcome["errors"] == errors
    if file.stem.endswith("failover"):
        parts = [(part["type"], part.get("text")) for part in outcome["message"]["parts"]]
        assert parts == [("step-start", None), ("reasoning", "so \u2028 so"), ("text", "an answer")]


def read(node: Node, version: int, whole: bytes) -> list[dict[str, Any]]:
    return node.ask(  # type: ignore[no-any-return]
        "readMessage", version=version, body=base64.b64encode(whole).decode()
    )
