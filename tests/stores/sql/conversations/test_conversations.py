"""Any story of sessions and branches ends the same in the stores and in plain Python."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from domain.errors import StreamForgeError
from domain.messages import (
    Append,
    Beginning,
    Busy,
    Edit,
    Message,
    Page,
    ParentSpec,
    Question,
    Regenerate,
    Summary,
    new_id,
)
from stores.sql.conversations.messages import MessageStore
from stores.sql.conversations.sessions import SessionStore
from stores.sql.engine.database import open_database
from tests.stores.sql.conversations.model import Conversation, Said
from tests.stores.sql.support import ending
from tests.support.effort import examples

pytestmark = pytest.mark.slow(reason="long random conversations on two databases")

T = TypeVar("T")
PICK = st.integers(0, 10**6)


class Stories(RuleBasedStateMachine):
    """One owner's sessions. Time is a counter."""

    def __init__(self, runner: asyncio.Runner, sessions: SessionStore, messages: MessageStore) -> None:
        super().__init__()
        self.runner, self.sessions, self.messages = runner, sessions, messages
        self.owner = f"owner {new_id()}"
        self.now = 1000.0
        self.model: dict[str, Conversation] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        self.now += 1
        return self.runner.run(work)

    def conversation(self, pick: int) -> Conversation:
        return list(self.model.values())[pick % len(self.model)]

    def message(self, conversation: Conversation, pick: int) -> Said:
        return list(conversation.messages.values())[pick % len(conversation.messages)]

    def some(self) -> list[Conversation]:
        return [conversation for conversation in self.model.values() if conversation.messages]

    @initialize()
    def first(self) -> None:
        self.create()

    @rule()
    @precondition(lambda self: len(self.model) < 2)
    def create(self) -> None:
        made = self.do(self.sessions.create(self.owner, client_id=None, title=None, now=self.now))
        self.model[made.id] = Conversation(made.id, updated=made.updated)
        self.check(self.model[made.id])

    def begin(self, conversation: Conversation, parent: ParentSpec, under: str | None, *, asks: bool) -> None:
        question = Question(new_id(), "asked", 7) if asks else None
        answer_id, stream_id, now = new_id(), new_id(), self.now
        asked_for = Beginning(self.owner, conversation.id, question, parent, answer_id, stream_id, "m", now)
        work = self.messages.begin(asked_for)
        if running := conversation.running():
            with pytest.raises(Busy) as caught:
                self.do(work)
            assert caught.value.stream_id == running[0].stream
        else:
            begun = self.do(work)
            asked = Said(question.id, under, 0, "user", "complete", "asked") if question else None
            above = asked.id if asked else under
            conversation.begin(asked, Said(answer_id, above, 0, "assistant", "running", "", stream_id), now)
            assert begun.session.leaf == answer_id
            self.same(conversation, begun.answer)
            self.same(conversation, begun.question)
        self.check(conversation)

    @rule(pick=PICK)
    @precondition(lambda self: self.model)
    def post(self, pick: int) -> None:
        conversation = self.conversation(pick)
        self.begin(conversation, Append(), conversation.leaf, asks=True)

    @rule(pick=PICK, which=PICK)
    @precondition(lambda self: self.some())
    def edit(self, pick: int, which: int) -> None:
        conversation = self.some()[pick % len(self.some())]
        target = self.message(conversation, which)
        if target.role == "user":
            self.begin(conversation, Edit(target.id), target.parent, asks=True)
        elif not conversation.running():
            with pytest.raises(StreamForgeError, match="user's"):
                self.begin(conversation, Edit(target.id), target.parent, asks=True)
            self.check(conversation)

    @rule(which=st.lists(PICK, min_size=1, max_size=4))
    def grow(self, which: list[int]) -> None:
        """The tree of the first session grows, wherever in it."""
        conversation = self.conversation(0)
        for pick in which:
            self.end(conversation, "complete", "so")
            asked = [m for m in conversation.messages.values() if m.role == "user"]
            if not asked or pick % 2:
                self.begin(conversation, Append(), conversation.leaf, asks=True)
            else:
                target = asked[pick % len(asked)]
                self.begin(conversation, Edit(target.id), target.parent, asks=True)

    @rule(pick=PICK, which=PICK)
    @precondition(lambda self: self.some())
    def regenerate(self, pick: int, which: int) -> None:
        conversation = self.some()[pick % len(self.some())]
        target = self.message(conversation, which)
        under = target.id if target.role == "user" else target.parent
        self.begin(conversation, Regenerate(target.id), under, asks=False)

    @rule(
        pick=PICK,
        state=st.sampled_from(["complete", "failed", "cancelled", "interrupted"]),
        text=st.sampled_from(["", "so"]),
    )
    @precondition(lambda self: any(conversation.running() for conversation in self.model.values()))
    def finish(self, pick: int, state: str, text: str) -> None:
        running = [c for c in self.model.values() if c.running()]
        self.end(running[pick % len(running)], state, text)

    def end(self, conversation: Conversation, state: str, text: str) -> None:
        for answer in conversation.running():
            assert self.do(self.messages.finish(answer.id, ending(state, text), self.now))
            answer.state, answer.text = state, text
            self.check(conversation)

    @rule(pick=PICK, which=PICK)
    @precondition(lambda self: self.some())
    def finish_again(self, pick: int, which: int) -> None:
        conversation = self.some()[pick % len(self.some())]
        message = self.message(conversation, which)
        if message.state != "running":
            assert not self.do(self.messages.finish(message.id, ending("failed", "never"), self.now))
            if message.stream:
                assert not self.do(self.messages.interrupt_stream(message.stream, self.now))
            self.check(conversation)

    @rule(pick=PICK)
    @precondition(lambda self: any(conversation.running() for conversation in self.model.values()))
    def lose(self, pick: int) -> None:
        running = [c for c in self.model.values() if c.running()]
        conversation = running[pick % len(running)]
        (answer,) = conversation.running()
        assert answer.stream
        assert self.do(self.messages.interrupt_stream(answer.stream, self.now))
        answer.state = "interrupted"
        self.check(conversation)

    @rule(pick=PICK, newest=st.booleans(), which=PICK)
    @precondition(lambda self: self.some())
    def withdraw(self, pick: int, newest: bool, which: int) -> None:
        conversation = self.some()[pick % len(self.some())]
        message = list(conversation.messages.values())[-1] if newest else self.message(conversation, which)
        done = self.do(self.messages.withdraw(self.owner, message.id))
        assert done == conversation.withdraw(message.id)
        self.check(conversation)

    @rule(pick=PICK, which=PICK)
    @precondition(lambda self: self.some())
    def switch(self, pick: int, which: int) -> None:
        conversation = self.some()[pick % len(self.some())]
        target = self.message(conversation, which)
        session = self.do(self.messages.activate(self.owner, conversation.id, target.id))
        conversation.switch(target.id)
        assert session.leaf == conversation.leaf
        self.check(conversation)

    @rule(pick=PICK, which=PICK)
    @precondition(lambda self: self.some())
    def summarise(self, pick: int, which: int) -> None:
        conversation = self.some()[pick % len(self.some())]
        target = self.message(conversation, which)
        summary = Summary(new_id(), conversation.id, target.id, target.depth, "short", 2, "m", self.now)
        assert self.do(self.messages.summarise(self.owner, summary))
        conversation.summarise(summary.id, target.id)
        self.check(conversation)

    @rule(pick=PICK, really=st.sampled_from([False, False, False, True]))
    @precondition(lambda self: self.some())
    def clear(self, pick: int, really: bool) -> None:
        if not really:
            return
        conversation = self.some()[pick % len(self.some())]
        streams = self.do(self.sessions.clear(self.owner, conversation.id))
        assert streams == [answer.stream for answer in conversation.running()]
        conversation.clear()
        self.check(conversation)

    @rule(pick=PICK, really=st.sampled_from([False, False, False, True]))
    @precondition(lambda self: len(self.model) > 1)
    def delete(self, pick: int, really: bool) -> None:
        if not really:
            return
        conversation = self.model.pop(self.conversation(pick).id)
        streams = self.do(self.sessions.delete(self.owner, conversation.id))
        assert streams == [answer.stream for answer in conversation.running()]
        with pytest.raises(StreamForgeError, match="session"):
            self.do(self.messages.history(self.owner, conversation.id, None, 5))

    def teardown(self) -> None:
        expected = [answer.stream for c in self.model.values() for answer in c.running()]
        assert sorted(self.do(self.sessions.delete_all(self.owner))) == sorted(map(str, expected))
        assert self.do(self.sessions.list(self.owner, None, 10)).items == []

    def pages(self, conversation: Conversation, *, whole: bool) -> list[Message]:
        found: list[Message] = []
        after = None
        while True:
            page: Page[Message] = self.do(self.messages.history(self.owner, conversation.id, after, 3, whole=whole))
            found += page.items
            after = page.next
            if after is None:
                return found

    def same(self, conversation: Conversation, message: Message) -> None:
        expected = conversation.messages[message.id]
        assert (message.parent_id, message.depth, message.role, message.state, message.text) == (
            expected.parent, expected.depth, expected.role, expected.state, expected.text,
        )  # fmt: skip
        assert (message.stream_id, message.summary_id) == (expected.stream, expected.summary)

    def check(self, conversation: Conversation) -> None:
        session = self.do(self.sessions.get(self.owner, conversation.id))
        assert session is not None
        assert (session.leaf, session.updated) == (conversation.leaf, conversation.updated)
        assert [m.id for m in self.pages(conversation, whole=False)] == conversation.branch()
        assert conversation.end() == conversation.leaf
        everything = self.pages(conversation, whole=True)
        assert [m.id for m in everything] == list(conversation.messages)
        for message in everything:
            self.same(conversation, message)
            assert message.siblings == conversation.family(conversation.messages[message.id])
        if everything:
            self.check_window(conversation, everything[-1].id)

    def check_window(self, conversation: Conversation, leaf_id: str) -> None:
        summary = conversation.messages[leaf_id].summary
        covered = conversation.summaries[summary] if summary else -1
        window = self.do(
            self.messages.window(self.owner, conversation.id, leaf_id=leaf_id, max_messages=4, max_tokens=10**6)
        )
        above = [m for m in conversation.ancestors(leaf_id)[1:4] if conversation.messages[m].depth > covered]
        assert [m.id for m in window.messages] == [*reversed(above), leaf_id]
        assert (window.summary.id if window.summary else None) == summary


def test_any_story_ends_the_same_in_the_model(url: str) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        database = runner.run(stack.enter_async_context(open_database(url)))
        sessions, messages = SessionStore(database), MessageStore(database)
        try:
            run_state_machine_as_test(
                lambda: Stories(runner, sessions, messages),  # type: ignore[arg-type]
                settings=settings(
                    max_examples=examples(25 if url.startswith("sqlite") else 10),  # each takes ten times as long there
                    stateful_step_count=30,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(stack.aclose())
