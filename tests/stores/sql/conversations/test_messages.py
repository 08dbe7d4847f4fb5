"""Messages: begun once, ended once, found again, and nobody else's business."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
import pytest_asyncio

from domain.errors import StreamForgeError
from domain.messages import Append, Begun, Busy, Edit, Ending, KeyInUse, Opening, Question, Regenerate, Summary, new_id
from domain.usage import Attempt, Cost, Spent, Usage
from stores.sql.conversations.messages import MessageStore
from stores.sql.conversations.sessions import SessionStore
from stores.sql.engine.database import Database
from tests.stores.sql.support import ask, beginning, ending


@pytest.fixture
def messages(database: Database) -> MessageStore:
    return MessageStore(database)


@pytest_asyncio.fixture
async def session_id(database: Database) -> str:
    return (await SessionStore(database).create("ann", client_id=None, title="Talk", now=1.0)).id


async def talk(messages: MessageStore, session_id: str, *texts: str) -> list[Begun]:
    """Exchanges, each with the answer `re: ...`."""
    exchanges = []
    for text in texts:
        begun = await ask(messages, "ann", session_id, text)
        await messages.finish(begun.answer.id, ending("complete", f"re: {text}"), 2.0)
        exchanges.append(begun)
    return exchanges


async def texts(messages: MessageStore, session_id: str) -> list[str]:
    return [message.text for message in (await messages.history("ann", session_id, None, 50)).items]


async def test_an_answer_comes_back_as_it_ended(messages: MessageStore, session_id: str) -> None:
    begun = await ask(messages, "ann", session_id, "Why? 中文 🦊", client_id="mine")
    cost = Cost(Decimal("0.0012"), "USD", "catalogue")
    attempts = (
        Attempt("a", Usage(1, 0, exact=False), None, "provider_error"),
        Attempt("b", Usage(3, 4, exact=True), cost),
    )
    sources = [{"number": 1, "title": "中文 🦊", "score": 0.5, "text": "…\n", "cited": True}]
    end = Ending("failed", "Because 🦊\n", "b", "stop", "provider_stalled", Spent.of(attempts), 12, 345, sources)
    assert await messages.finish(begun.answer.id, end, 3.0)
    question, answer = (await messages.history("ann", session_id, None, 10)).items
    assert question == begun.question
    assert answer == replace(
        begun.answer, state="failed", text="Because 🦊\n", tokens=answer.tokens, model="b", finish_reason="stop",
        code="provider_stalled", spent=answer.spent, first_word_ms=12, total_ms=345, sources=sources,
    )  # fmt: skip
    assert answer.tokens > 4
    assert answer.spent is not None
    assert [attempt["model"] for attempt in answer.spent["attempts"]] == ["a", "b"]
    assert await messages.get("ann", session_id, answer.id) == answer
    window = await messages.window("ann", session_id, leaf_id=answer.id, max_messages=9, max_tokens=999)
    assert window.messages[-1] == replace(answer, sources=None, siblings=()), "a model is not told them again"


@pytest.mark.parametrize("whole", [False, True])
async def test_long_sources_make_a_page_short(messages: MessageStore, session_id: str, whole: bool) -> None:
    sources = [{"number": 1, "text": "x" * 600_000}]
    for number in range(3):
        begun = await ask(messages, "ann", session_id, f"q{number}")
        await messages.finish(begun.answer.id, replace(ending("complete", "So it is."), sources=sources), 2.0)
    pages: list[list[str]] = []
    cursor = None
    while not pages or cursor is not None:
        page = await messages.history("ann", session_id, cursor, 50, whole=whole)
        pages.append([message.text for message in page.items])
        cursor = page.next
    assert pages == [["q0", "So it is.", "q1"], ["So it is.", "q2"], ["So it is."]]


async def test_the_first_ending_stands(messages: MessageStore, session_id: str) -> None:
    begun = await ask(messages, "ann", session_id)
    endings = [ending(state, state) for state in ("complete", "cancelled", "failed", "interrupted")]
    done = await asyncio.gather(*(messages.finish(begun.answer.id, end, 2.0) for end in endings))
    assert sum(done) == 1
    assert (await texts(messages, session_id))[1] == endings[done.index(True)].state


async def test_of_many_that_begin_at_once_one_does(messages: MessageStore, session_id: str) -> None:
    outcomes = await asyncio.gather(
        *(ask(messages, "ann", session_id, str(number)) for number in range(20)), return_exceptions=True
    )
    (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Begun)]
    losers = [outcome for outcome in outcomes if isinstance(outcome, Busy)]
    assert len(losers) == 19
    assert {loser.stream_id for loser in losers} == {winner.answer.stream_id}
    assert await texts(messages, session_id) == [winner.question.text, ""]


async def test_a_key_is_in_use_while_its_answer_runs(
    database: Database, messages: MessageStore, session_id: str
) -> None:
    begun = await ask(messages, "ann", session_id, key="again")
    other = (await SessionStore(database).create("ann", client_id=None, title=None, now=1.0)).id
    for where in (session_id, other):
        with pytest.raises(KeyInUse) as caught:
            await ask(messages, "ann", where, key="again")
        assert caught.value.stream_id == begun.answer.stream_id
    bobs = (await SessionStore(database).create("bob", client_id=None, title=None, now=1.0)).id
    await ask(messages, "bob", bobs, key="again")
    await messages.finish(begun.answer.id, ending("complete", "so"), 2.0)
    await ask(messages, "ann", other, key="again")


async def test_a_client_id_is_taken_among_its_owners_messages(messages: MessageStore, session_id: str) -> None:
    await messages.finish(
        (await ask(messages, "ann", session_id, client_id="m1")).answer.id, ending("complete", ""), 2.0
    )
    with pytest.raises(StreamForgeError) as caught:
        await ask(messages, "ann", session_id, client_id="m1")
    assert caught.value.code == "client_id_taken"
    assert len(await texts(messages, session_id)) == 2


async def test_what_is_anothers_is_as_unknown_as_what_is_not(messages: MessageStore, session_id: str) -> None:
    begun = await ask(messages, "ann", session_id, "secret")
    await messages.finish(begun.answer.id, ending("complete", "secret"), 2.0)
    summary = Summary(new_id(), session_id, begun.answer.id, 1, "s", 1, "m", 3.0)

    async def told(owner: str, session: str, message: str) -> list[object]:
        found: list[object] = []
        for work in (
            ask(messages, owner, session),
            ask(messages, owner, session, parent=Edit(message)),
            messages.history(owner, session, None, 5),
            messages.history(owner, session, None, 5, whole=True),
            messages.window(owner, session, leaf_id=message, max_messages=5, max_tokens=100),
            messages.activate(owner, session, message),
        ):
            with pytest.raises(StreamForgeError) as caught:
                await work
            found.append((caught.value.code, caught.value.detail))
        found.append(await messages.get(owner, session, message))
        found.append(await messages.withdraw(owner, message))
        found.append(await messages.summarise(owner, replace(summary, session_id=session, message_id=message)))
        found.append(await messages.search(owner, "secret", None, 5))
        return found

    assert await told("bob", session_id, begun.answer.id) == await told("bob", new_id(), new_id())
    assert await texts(messages, session_id) == ["secret", "secret"]


async def test_a_message_of_another_session_is_unknown_in_this(
    database: Database, messages: MessageStore, session_id: str
) -> None:
    (begun,) = await talk(messages, session_id, "here")
    other = (await SessionStore(database).create("ann", client_id=None, title=None, now=1.0)).id
    for parent in (Edit(begun.question.id), Regenerate(begun.answer.id)):
        with pytest.raises(StreamForgeError) as caught:
            await ask(messages, "ann", other, parent=parent)
        assert caught.value.code == "message_not_found"
    with pytest.raises(StreamForgeError) as caught:
        await messages.activate("ann", other, begun.answer.id)
    assert caught.value.code == "message_not_found"
    assert await messages.get("ann", other, begun.answer.id) is None
    found = await SessionStore(database).get("ann", other)
    assert found is not None
    assert found.updated == 1.0


async def test_a_cursor_of_the_history_must_be_ours(messages: MessageStore, session_id: str) -> None:
    for whole, cursor in ((False, new_id()), (True, "x"), (True, "-1"), (True, "9" * 30)):
        with pytest.raises(StreamForgeError) as caught:
            await messages.history("ann", session_id, cursor, 5, whole=whole)
        assert caught.value.code == "malformed_page"


async def test_the_window_ends_where_its_tokens_do_and_begins_after_the_summary(
    messages: MessageStore, session_id: str
) -> None:
    exchanges = await talk(messages, session_id, "one", "two", "three")
    leaf = exchanges[2].answer.id
    everything = await messages.window("ann", session_id, leaf_id=leaf, max_messages=50, max_tokens=10_000)
    assert [message.text for message in everything.messages] == await texts(messages, session_id)
    budget = sum(message.tokens for message in everything.messages[-3:])
    fits = await messages.window("ann", session_id, leaf_id=leaf, max_messages=50, max_tokens=budget)
    assert [message.text for message in fits.messages] == ["re: two", "three", "re: three"]
    too_little = await messages.window("ann", session_id, leaf_id=leaf, max_messages=50, max_tokens=1)
    assert [message.text for message in too_little.messages] == ["re: three"]
    summary = Summary(new_id(), session_id, exchanges[0].answer.id, 1, "They spoke of one.", 6, "m", 3.0)
    assert await messages.summarise("ann", summary)
    after = await messages.window("ann", session_id, leaf_id=leaf, max_messages=50, max_tokens=10_000)
    assert after.summary == summary
    assert [message.text for message in after.messages] == ["two", "re: two", "three", "re: three"]


async def test_an_edit_on_a_branch_that_was_left_switches_to_it_and_its_withdrawal_back(
    messages: MessageStore, session_id: str
) -> None:
    first, second = await talk(messages, session_id, "one", "two")
    edited = await ask(messages, "ann", session_id, "one!", parent=Edit(first.question.id))
    await messages.finish(edited.answer.id, ending("complete", "re: one!"), 2.0)
    assert await texts(messages, session_id) == ["one!", "re: one!"]
    left = await ask(messages, "ann", session_id, "two!", parent=Edit(second.question.id))
    assert await texts(messages, session_id) == ["one", "re: one", "two!", ""]
    assert await messages.withdraw("ann", left.answer.id)
    assert await texts(messages, session_id) == ["one!", "re: one!"]
    await messages.activate("ann", session_id, first.question.id)
    assert await texts(messages, session_id) == ["one", "re: one", "two", "re: two"]


async def test_a_question_under_a_message_of_a_branch_that_was_left_switches_there_and_its_withdrawal_back(
    messages: MessageStore, session_id: str
) -> None:
    first, second = await talk(messages, session_id, "one", "two")
    edited = await ask(messages, "ann", session_id, "one!", parent=Edit(first.question.id))
    await messages.finish(edited.answer.id, ending("complete", "re: one!"), 2.0)
    seen = await messages.through("ann", first.answer.id, 3)
    assert [message.text for message in seen] == ["re: one", "two", "re: two"]
    assert await messages.through("bob", first.answer.id, 3) == []
    below = await ask(messages, "ann", session_id, "three", parent=Append(seen[-1].id))
    assert below.question.depth == 4
    assert await texts(messages, session_id) == ["one", "re: one", "two", "re: two", "three", ""]
    assert await messages.withdraw("ann", below.answer.id)
    assert await texts(messages, session_id) == ["one!", "re: one!"]
    await messages.activate("ann", session_id, second.answer.id)
    assert await texts(messages, session_id) == ["one", "re: one", "two", "re: two"]
    with pytest.raises(StreamForgeError, match="No such message"):
        await ask(messages, "ann", session_id, "four", parent=Append(new_id()))


async def test_a_withdrawal_leaves_be_what_was_switched_meanwhile(messages: MessageStore, session_id: str) -> None:
    _, second = await talk(messages, session_id, "one", "two")
    for text in ("two?", "two!"):
        begun = await ask(messages, "ann", session_id, text, parent=Edit(second.question.id))
        await messages.finish(begun.answer.id, ending("failed", ""), 2.0)
    await messages.activate("ann", session_id, second.answer.id)
    newest = (await messages.history("ann", session_id, None, 50, whole=True)).items[-1]
    assert await messages.withdraw("ann", newest.id)
    assert await texts(messages, session_id) == ["one", "re: one", "two", "re: two"]
    again = await ask(messages, "ann", session_id, "three")
    assert again.question.parent_id == second.answer.id


async def test_a_withdrawal_does_not_bring_back_who_has_left_for_a_sibling(
    messages: MessageStore, session_id: str
) -> None:
    (first,) = await talk(messages, session_id, "one")
    edited = await ask(messages, "ann", session_id, "one!", parent=Edit(first.question.id))
    await messages.finish(edited.answer.id, ending("complete", "re: one!"), 2.0)
    await messages.activate("ann", session_id, first.question.id)
    regenerate = Regenerate(edited.answer.id)
    again = await messages.begin(beginning("ann", session_id, None, parent=regenerate, now=3.0))
    await messages.activate("ann", session_id, edited.answer.id)
    assert await messages.withdraw("ann", again.answer.id)
    assert await texts(messages, session_id) == ["one!", "re: one!"]


async def test_a_summary_of_less_that_comes_late_replaces_none_of_more(messages: MessageStore, session_id: str) -> None:
    exchanges = await talk(messages, session_id, "one", "two", "three")
    more, less = (
        Summary(new_id(), session_id, exchanges[which].answer.id, 2 * which + 1, "s", 1, "m", 3.0) for which in (1, 0)
    )
    assert await messages.summarise("ann", more)
    assert await messages.summarise("ann", less)
    found = await messages.history("ann", session_id, None, 50)
    assert [message.summary_id for message in found.items] == [None, *[less.id] * 2, *[more.id] * 3]
    begun = await ask(messages, "ann", session_id, "four")
    assert begun.answer.summary_id == more.id


async def test_answers_without_a_sign_of_life_are_told_and_interrupted(
    database: Database, messages: MessageStore, session_id: str
) -> None:
    other = (await SessionStore(database).create("ann", client_id=None, title=None, now=1.0)).id
    old = await ask(messages, "ann", session_id, now=10.0)
    fresh = await ask(messages, "ann", other, now=10.0)
    await messages.alive([fresh.answer.id, new_id()], 20.0)
    assert [one.message_id for one in await messages.running(15.0)] == [old.answer.id]
    (told,) = await messages.running(15.0)
    assert (told.owner, told.session_id, told.stream_id) == ("ann", session_id, old.answer.stream_id)
    assert await messages.interrupt_stream(told.stream_id, 21.0)
    assert not await messages.interrupt_stream(told.stream_id, 22.0)
    assert await messages.running(15.0) == []
    answer = await messages.get("ann", session_id, old.answer.id)
    assert answer is not None
    assert (answer.state, answer.code) == ("interrupted", "producer_lost")
    await ask(messages, "ann", session_id)


async def test_words_are_found_in_ones_own_messages_newest_first(messages: MessageStore, session_id: str) -> None:
    await talk(messages, session_id, "A red FOX", "the fox's den", "firefox", "nothing", "我喜欢狐狸", "100%_sure C++")

    async def found(words: str, after: str | None = None, limit: int = 10) -> list[str]:
        return [one.message.text for one in (await messages.search("ann", words, after, limit)).items]

    assert await found("fox") == ["re: the fox's den", "the fox's den", "re: A red FOX", "A red FOX"]
    assert await found("fox red") == ["re: A red FOX", "A red FOX"]
    assert await found("狐狸") == ["re: 我喜欢狐狸", "我喜欢狐狸"]
    assert await found("c++ 100%_") == ["re: 100%_sure C++", "100%_sure C++"]
    assert await found("00%s") == []
    for nonsense in ('fox"', "fox' OR 1", 'NEAR(" *', "\\", "fox:*", "text:fox", "&", "!fox"):
        assert await found(nonsense) == []
    assert await found(" ") == []
    first = await messages.search("ann", "fox", None, 3)
    assert first.items[0].title == "Talk"
    assert await found("fox", first.next) == ["A red FOX"]
    with pytest.raises(StreamForgeError) as caught:
        await found("fox", "fox")
    assert caught.value.code == "malformed_page"


async def test_a_snippet_shows_the_words_around(messages: MessageStore, session_id: str) -> None:
    await talk(messages, session_id, "word " * 100 + "needle\n" + "hay " * 100)
    snippet = (await messages.search("ann", "Needle", None, 10)).items[0].snippet
    assert "word needle hay" in snippet
    assert len(snippet) < 170
    assert snippet[0] == snippet[-1] == "…"


async def test_what_is_removed_is_found_no_more(database: Database, messages: MessageStore, session_id: str) -> None:
    await talk(messages, session_id, "a fox")
    failed = await ask(messages, "ann", session_id, "another fox")
    await messages.withdraw("ann", failed.answer.id)
    assert len((await messages.search("ann", "fox", None, 10)).items) == 2
    await SessionStore(database).clear("ann", session_id)
    assert (await messages.search("ann", "fox", None, 10)).items == []
    await talk(messages, session_id, "a fox")
    await SessionStore(database).delete("ann", session_id)
    assert (await messages.search("ann", "fox", None, 10)).items == []


async def test_a_text_too_long_for_an_index_is_kept_all_the_same(messages: MessageStore, session_id: str) -> None:
    text = " ".join(f"word{number}" for number in range(300_000))
    await talk(messages, session_id, text)
    assert (await texts(messages, session_id))[0] == text
    assert len((await messages.search("ann", "word7", None, 10)).items) == 2


async def test_a_session_is_opened_with_its_first_question_and_named_by_it(
    messages: MessageStore, database: Database
) -> None:
    sessions = SessionStore(database)
    session_id, question = new_id(), Question(new_id(), "Why?", 5)
    begun = await messages.begin(beginning("ann", session_id, question, now=3.0, title="Why?", opening=Opening()))
    assert begun.session == await sessions.get("ann", session_id)
    assert begun.session.title == "Why?"
    assert await sessions.get("eve", session_id) is None
    assert await texts(messages, session_id) == ["Why?", ""]
    assert (await ask(messages, "ann", (await sessions.create("ann", client_id=None, title=None, now=4.0)).id)).session


async def test_a_session_goes_with_the_beginning_that_opened_it_unless_it_is_used(
    messages: MessageStore, database: Database
) -> None:
    sessions = SessionStore(database)

    async def opened() -> Begun:
        question = Question(new_id(), "Why?", 5)
        return await messages.begin(beginning("ann", new_id(), question, now=3.0, opening=Opening()))

    refused, used = await opened(), await opened()
    assert await messages.withdraw("ann", refused.answer.id, opened=True)
    assert await sessions.get("ann", refused.session.id) is None
    assert await messages.get("ann", refused.session.id, refused.question.id) is None
    await messages.finish(used.answer.id, ending("failed", ""), 4.0)
    await ask(messages, "ann", used.session.id, "And?")
    assert not await messages.withdraw("ann", used.answer.id, opened=True)
    assert await texts(messages, used.session.id) == ["Why?", "", "And?", ""]


async def test_a_title_is_taken_once_and_goes_with_what_is_withdrawn(
    messages: MessageStore, database: Database
) -> None:
    sessions = SessionStore(database)
    empty = (await sessions.create("ann", client_id=None, title=None, now=1.0)).id

    async def begin(text: str) -> Begun:
        return await messages.begin(beginning("ann", empty, Question(new_id(), text, 5), now=2.0, title=text))

    async def title() -> str | None:
        found = await sessions.get("ann", empty)
        assert found is not None
        return found.title

    refused = await begin("refused")
    assert await title() == "refused"
    await messages.withdraw("ann", refused.answer.id)
    assert await title() is None
    first = await begin("first")
    await messages.finish(first.answer.id, ending("complete", "so"), 3.0)
    second = await begin("second")
    assert await title() == "first"
    await messages.withdraw("ann", second.answer.id)
    assert await title() == "first"
