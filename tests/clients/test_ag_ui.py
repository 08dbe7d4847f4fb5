"""@ag-ui/client against a real server: runs, their ends, and threads that go on (T18)."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings

from domain.errors import ERRORS
from domain.messages import new_id
from tests.clients.node import Node
from tests.clients.test_ai_sdk import House, house  # noqa: F401 - the fixture
from tests.journeys.conftest import Play, ServeModels
from tests.support.catalogue import row
from tests.support.effort import examples
from tests.support.provider import Answer, Provider
from tests.support.scripts import refuse, words_then
from tests.support.server import live_server, make_settings, wait_for
from tests.support.stage import Part
from tests.wires.samples import TEXTS, TROUBLE


class Agent:
    """A client's agent, with its thread."""

    def __init__(self, node: Node, url: str, thread_id: str | None = None) -> None:
        self.thread = thread_id or new_id()
        self._node = node
        self._handle = new_id()
        node.ask("openAgent", handle=self._handle, url=url, threadId=self.thread)

    def run(self, text: str | list[Any] | None = None, *, wait: bool = True, run_id: str = "run", **more: Any) -> None:
        message = {"message": {"id": new_id(), "role": "user", "content": text}} if text is not None else {}
        self._node.ask("runAgent", handle=self._handle, runId=run_id, wait=wait, **message, **more)

    def keep(self, messages: list[dict[str, Any]]) -> None:
        self._node.ask("setAgentMessages", handle=self._handle, messages=messages)

    def abort(self) -> None:
        self._node.ask("abortRun", handle=self._handle)

    @property
    def now(self) -> dict[str, Any]:
        return self._node.ask("lookAtAgent", handle=self._handle)  # type: ignore[no-any-return]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.now["messages"]  # type: ignore[no-any-return]

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(message["role"], message["content"]) for message in self.messages]

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.now["events"]  # type: ignore[no-any-return]

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]


@pytest.fixture
def agent(node: Node, house: House) -> Agent:  # noqa: F811
    return Agent(node, house.server.url)


def test_a_run_is_begun_said_and_finished(agent: Agent, house: House) -> None:  # noqa: F811
    part = house.part(words=2)
    agent.run(f"why {part.tag}", run_id="first")
    assert agent.kinds == [
        "RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]  # fmt: skip
    run = {"threadId": agent.thread, "runId": "first"}
    assert [{name: event[name] for name in run} for event in (agent.events[0], agent.events[-1])] == [run, run]
    assert agent.said == [("user", f"why {part.tag}"), ("assistant", part.text)]
    question, answer = house.kept(agent.thread).history()
    assert [question["client_id"], answer["id"]] == [message["id"] for message in agent.messages]


def test_a_thread_goes_on_with_what_was_really_said(agent: Agent, house: House) -> None:  # noqa: F811
    first, second = house.part(), house.part()
    agent.run(f"one {first.tag}")
    question, answer = agent.messages
    agent.keep([question, {**answer, "content": "I did say that."}])
    agent.run(f"two {second.tag}")
    assert house.told() == [
        ("user", f"one {first.tag}"), ("assistant", first.text), ("user", f"two {second.tag}")
    ]  # fmt: skip
    agent.keep([{**question, "content": f"eins {second.tag}"}])
    agent.run()
    assert house.told() == [("user", f"eins {second.tag}")]
    assert len(house.kept(agent.thread).history(all=True)) == 6


def test_a_thread_that_is_not_known_begins_with_what_the_client_has(agent: Agent, house: House) -> None:  # noqa: F811
    first, second = house.part(), house.part()
    agent.keep(
        [
            {"id": new_id(), "role": role, "content": text}
            for role, text in (("user", "I am Ada."), ("assistant", "Hello"), ("assistant", "Ada!"), ("user", "lost"))
        ]
    )
    agent.run(f"one {first.tag}")
    assert house.told() == [
        ("user", "I am Ada."), ("assistant", "Hello\n\nAda!"), ("user", f"lost\n\none {first.tag}")
    ]  # fmt: skip
    agent.run(f"two {second.tag}")
    assert house.told()[2:] == [
        ("user", f"lost\n\none {first.tag}"), ("assistant", first.text), ("user", f"two {second.tag}")
    ]  # fmt: skip
    kept = house.kept(agent.thread).history()
    assert [each.get("client_id") or each["id"] for each in kept if each["text"]][::2] == [
        agent.messages[at]["id"] for at in (0, 3, 5, 7)
    ]  # fmt: skip


def test_a_run_that_fails_on_the_way_says_why(agent: Agent, house: House) -> None:  # noqa: F811
    part = house.part(trouble=words_then(lambda answer: answer.reset()))
    agent.run(f"why {part.tag}")
    *_, ended, failed = agent.events
    code = house.kept(agent.thread).history()[-1]["code"]
    assert ended["type"] == "TEXT_MESSAGE_END"
    assert (failed["type"], failed["message"], failed["code"]) == ("RUN_ERROR", ERRORS[code].message, code)
    assert agent.said[-1] == ("assistant", "half ")


def test_a_refusal_is_a_sentence(agent: Agent, house: House) -> None:  # noqa: F811
    part = house.part(trouble=refuse(503))
    agent.run(f"why {part.tag}")
    sentence = ERRORS["provider_overloaded"].message
    assert agent.now["failed"] == {"message": f"HTTP 503: {sentence}", "status": 503}


def begin(agent: Agent, part: Part) -> None:
    """Run, and wait until all has come that the part does not hold back."""
    agent.run(f"why {part.tag}", wait=False)
    wait_for(lambda: agent.kinds.count("TEXT_MESSAGE_CONTENT") == part.words - part.held)


def test_aborting_the_run_stops_the_model(agent: Agent, house: House) -> None:  # noqa: F811
    part = house.part(held=3)
    begin(agent, part)
    agent.abort()
    wait_for(lambda: part.left == 1)
    wait_for(lambda: house.kept(agent.thread).history()[-1]["state"] == "cancelled")
    assert house.kept(agent.thread).history()[-1]["code"] == "disconnected"


def test_a_run_that_is_stopped_elsewhere_says_so(agent: Agent, house: House) -> None:  # noqa: F811
    part = house.part(held=3)
    begin(agent, part)
    stream = house.kept(agent.thread).history()[-1]["stream_id"]
    httpx.post(f"{house.server.url}/chat/streams/{stream}/cancel")
    wait_for(lambda: agent.kinds[-1] == "RUN_FINISHED")
    assert agent.events[-1]["outcome"] == {"type": "cancelled"}


def test_a_run_that_may_go_on_is_read_again_from_its_stream(house: House) -> None:  # noqa: F811
    part = house.part(held=3)
    thread = new_id()
    body = {"threadId": thread, "runId": "r", "messages": [{"id": "", "role": "user", "content": part.tag}]}
    url = f"{house.server.url}/ag-ui"
    with httpx.stream("POST", url, json=body, headers={"x-stream-detach": "true"}) as answer:
        stream = answer.headers["x-stream-id"]
    part.go.set()
    again = httpx.get(f"{house.server.url}/chat/streams/{stream}?format=ag_ui").text
    events = [json.loads(block.removeprefix("data: ")) for block in again.split("\n\n") if block]
    assert "".join(event.get("delta", "") for event in events) == part.text
    assert events[-1]["type"] == "RUN_FINISHED"


TOOL = {
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
IMAGE = {"type": "image", "source": {"type": "data", "value": "aGVsbG8=", "mimeType": "image/png"}}


def weather(answer: Answer) -> None:
    """Asks for the weather of two cities at once, and tells what it got."""
    if answer.request["messages"][-1]["role"] == "tool":
        answer.say("It is ", "sunny.")
        return
    answer.chunk("Let me see. ")
    answer.call("get_weather", '{"ci', 'ty": "Z\u00fcrich"}', id="call-1")
    answer.call("get_weather", '{"city": "Bern"}', id="call-2")
    answer.finish("tool_calls")


@pytest.fixture
def caller_of_tools(play: Play, serve_models: ServeModels, node: Node) -> tuple[Agent, Provider]:
    model = play(weather)
    return Agent(node, serve_models(row("openai_compatible", model.url, capabilities=["vision"])).url), model


def test_a_tool_is_called_by_the_model_run_by_the_client_and_its_result_goes_back(
    caller_of_tools: tuple[Agent, Provider],
) -> None:
    agent, model = caller_of_tools
    agent.run("Is it sunny?", tools=[TOOL])
    _, answer = agent.messages
    assert answer["content"] == "Let me see. "
    calls = answer["toolCalls"]
    assert [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls] == [
        ("call-1", "get_weather", {"city": "Z\u00fcrich"}),
        ("call-2", "get_weather", {"city": "Bern"}),
    ]
    assert agent.kinds[-1] == "RUN_FINISHED"
    (offered,) = model.seen.requests[-1]["body"]["tools"]
    assert offered["function"] == TOOL

    results = [
        {"id": new_id(), "role": "tool", "toolCallId": "call-1", "content": "22 degrees"},
        {"id": new_id(), "role": "tool", "toolCallId": "call-2", "content": "", "error": "No such city."},
    ]
    agent.keep([*agent.messages, *results])
    agent.run(tools=[TOOL])
    assert agent.messages[-1]["content"] == "It is sunny."
    told = model.seen.requests[-1]["body"]["messages"]
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in told[1]["tool_calls"]] == ["call-1", "call-2"]
    assert [(message["tool_call_id"], message["content"]) for message in told[2:]] == [
        ("call-1", "22 degrees"),
        ("call-2", "No such city."),
    ]


def test_a_picture_is_shown_to_a_model_that_can_see(caller_of_tools: tuple[Agent, Provider]) -> None:
    agent, model = caller_of_tools
    agent.run([{"type": "text", "text": "What is this?"}, IMAGE])
    assert model.seen.requests[-1]["body"]["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}},
    ]


def test_a_picture_that_the_server_would_have_to_fetch_is_refused(caller_of_tools: tuple[Agent, Provider]) -> None:
    agent, model = caller_of_tools
    agent.run([{"type": "image", "source": {"type": "url", "value": "https://pictures.example/1.png"}}])
    assert agent.now["failed"]["status"] == 422
    assert "Send images as data URLs" in agent.now["failed"]["message"]
    assert model.seen.requests == []


def test_the_application_chooses_the_model(play: Play, serve_models: ServeModels, node: Node) -> None:
    model = play(lambda answer: answer.say("Here."))
    rows = [row("openai_compatible", model.url, id=name, model=f"{name}-large") for name in ("m", "other")]
    agent = Agent(node, serve_models(*rows).url)
    agent.run("why", forwardedProps={"model": "nobody"})
    assert agent.now["failed"]["status"] == 404
    agent.run(forwardedProps={"model": "other"})
    assert agent.said[-1] == ("assistant", "Here.")
    assert model.seen.requests[-1]["body"]["model"] == "other-large"


@settings(deadline=None, max_examples=examples(10))
@given(text=TEXTS)
@example(text="".join(TROUBLE))
def test_any_text_is_read_exactly(node: Node, text: str) -> None:
    with live_server(make_settings(SIMULATED_TEXT=text, STREAM_DELAY=0)) as server:
        agent = Agent(node, server.url)
        agent.run("say it")
        assert agent.said[-1] == ("assistant", text)
