"""Answers of real models from documents: what they are told, what is told of them, and what is kept (T40)."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import Heard, heard
from tests.support.catalogue import row
from tests.support.library import Library, sources
from tests.support.provider import Answer, Provider
from tests.support.server import LiveServer, wait_for

HERON = "The lighthouse keeper of Aldermoor kept a tame heron named Osbert."
QUESTION = "What was the heron of the lighthouse keeper called?"
RESULT = "Osbert [1], as all agree [1, 7]; others say [2]."


def prompt(answer: Answer) -> str:
    """The user's message that the model is asked with."""
    return str(answer.request["messages"][-1]["content"])


def is_rewriting(text: str) -> bool:
    return "Write that question" in text


def is_grounded(text: str) -> bool:
    return "passage [1]" in text


def says(answer: Answer) -> None:
    """The question made whole, the answer, or a title."""
    if is_rewriting(prompt(answer)):
        answer.say("What was the heron of the lighthouse keeper of Aldermoor called?")
    elif is_grounded(prompt(answer)):
        answer.say(*RESULT.split(" "))
    else:
        answer.say("words")


def asked(model: Provider, which: Callable[[str], bool]) -> list[dict[str, Any]]:
    """The requests whose last message is such a one."""
    bodies = [request["body"] for request in model.seen.requests]
    return [body for body in bodies if which(str(body["messages"][-1]["content"]))]


@pytest.fixture
def model(play: Play) -> Provider:
    return play(says)


@pytest.fixture
def library(serve_models: ServeModels, model: Provider) -> Library:
    found = Library(serve_models(row("openai_compatible", model.url)))
    found.add("keeper.txt", HERON)
    return found


def test_the_sources_that_are_cited_are_told_and_marks_of_nothing_counted(library: Library) -> None:
    answer = library.ask(QUESTION)
    assert len(sources(answer)) == 1
    name, done = answer.last
    assert name == "done"
    assert (done["sources"], done["unknown_marks"]) == ([1], 2)
    places = [name for name, _ in answer.events]
    assert places.index("source") < places.index("delta")


def test_a_question_that_goes_on_is_made_whole_by_the_model_and_both_calls_are_accounted(
    library: Library, model: Provider
) -> None:
    first = library.ask(QUESTION, new_session=True)
    assert first.told("retrieving") == [{"phase": "retrieving"}], "nothing came before it: no model is asked for that"
    assert "attempts" not in first.last[1]
    second = library.ask("And what did they call it?", session_id=first.headers["x-session-id"])
    whole = "What was the heron of the lighthouse keeper of Aldermoor called?"
    assert second.told("retrieving") == [{"phase": "retrieving", "question": whole}]
    assert [source["text"] for source in sources(second)] == [HERON]
    (rewriting,) = asked(model, is_rewriting)
    assert QUESTION in rewriting["messages"][-1]["content"]
    assert "And what did they call it?" in asked(model, is_grounded)[-1]["messages"][-1]["content"]
    done = second.last[1]
    assert [attempt["model"] for attempt in done["attempts"]] == ["m", "m"]
    assert done["usage"]["input_tokens"] == sum(each["usage"]["input_tokens"] for each in done["attempts"]) == 22
    assert done["usage"]["exact"]


def test_a_question_that_cannot_be_made_whole_is_looked_for_as_it_is(play: Play, serve_models: ServeModels) -> None:
    def script(answer: Answer) -> None:
        if is_rewriting(prompt(answer)):
            answer.status(500)
        else:
            says(answer)

    library = Library(serve_models(row("openai_compatible", play(script).url)))
    library.add("keeper.txt", HERON)
    first = library.ask(QUESTION, new_session=True)
    second = library.ask("The heron of the lighthouse keeper?", session_id=first.headers["x-session-id"])
    assert second.told("retrieving") == [{"phase": "retrieving"}]
    assert [source["text"] for source in sources(second)] == [HERON]
    assert second.last[0] == "done"


def test_another_model_is_given_the_same_passages_which_are_told_once(play: Play, serve_models: ServeModels) -> None:
    refusing, other = play(lambda answer: answer.status(503)), play(says)
    library = Library(
        serve_models(
            row("openai_compatible", refusing.url, fallbacks=["other"]), row("openai_compatible", other.url, id="other")
        )
    )
    library.add("keeper.txt", HERON)
    answer = library.ask(QUESTION)
    assert answer.phases == ["retrieving", "model_switched"]
    assert len(sources(answer)) == 1
    assert (answer.last[1]["model"], answer.last[1]["sources"]) == ("other", [1])
    told = [str(provider.seen.requests[0]["body"]["messages"][-1]["content"]) for provider in (refusing, other)]
    assert all(HERON in each for each in told)


def test_an_answer_is_given_anew_from_documents_and_both_keep_their_sources(library: Library, model: Provider) -> None:
    first = library.ask(QUESTION, new_session=True)
    session = first.headers["x-session-id"]
    history = library.client.get(f"/chat/history/{session}").json()["items"]
    again = library.client.post(
        "/chat?format=events", json={"session_id": session, "regenerate": history[-1]["id"], "documents": {}}
    )
    assert heard(again).last[1]["sources"] == [1]
    assert all(QUESTION in body["messages"][-1]["content"] for body in asked(model, is_grounded))
    answers = library.client.get(f"/chat/history/{session}", params={"all": True}).json()["items"][1:]
    assert [[source["cited"] for source in each["sources"]] for each in answers] == [[True], [True]]


@pytest.mark.parametrize("strict", [True, False])
def test_where_nothing_is_found_a_strict_server_asks_no_model(
    serve_models: ServeModels, model: Provider, strict: bool
) -> None:
    library = Library(serve_models(row("openai_compatible", model.url), RAG_STRICT=strict))
    library.add("keeper.txt", HERON)
    answer = library.ask("Quantum chromodynamics of gluons?", {"min_score": 0.95})
    assert answer.text.startswith("I found nothing about this in the documents.")
    assert answer.last[1]["sources"] == []
    assert answer.text.endswith("words") is not strict
    assert len(model.seen.requests) == (0 if strict else 1)
    if strict:
        assert answer.last[1]["usage"]["output_tokens"] <= 12


class Held:
    """A model that waits for its last word."""

    def __init__(self) -> None:
        self.left = 0

    def script(self, answer: Answer) -> None:
        answer.chunk("Osbert [1] ")
        if answer.until_client_leaves(20):
            self.left += 1


def test_an_answer_from_documents_is_read_on_and_stopped_in_the_middle(play: Play, serve_models: ServeModels) -> None:
    held = Held()
    library = Library(serve_models(row("openai_compatible", play(held.script).url)))
    library.add("keeper.txt", HERON)
    body = {"message": QUESTION, "documents": {}, "new_session": True}
    with httpx.stream("POST", f"{library.url}/chat?format=events", json=body, timeout=30) as response:
        stream, session = response.headers["x-stream-id"], response.headers["x-session-id"]
    path = f"/chat/streams/{stream}"
    wait_for(lambda: library.client.get(path, headers={"accept": "application/json"}).json()["text"] == "Osbert [1] ")
    with httpx.stream("GET", f"{library.url}{path}?after=1", timeout=30) as response:
        library.client.post(f"{path}/cancel")
        response.read()
    answer: Heard = heard(response)
    assert [name for name, _ in answer.events] == ["status", "source", "delta", "cancelled"]
    wait_for(lambda: held.left == 1)
    wait_for(lambda: library.client.get(f"/chat/history/{session}").json()["items"][-1]["state"] == "cancelled")
    (source,) = library.client.get(f"/chat/history/{session}").json()["items"][-1]["sources"]
    assert (source["text"], source["cited"]) == (HERON, True)


def test_another_index_is_refused_and_the_command_named(serve: Callable[..., LiveServer]) -> None:
    server = serve()

    async def use() -> None:
        from domain.documents import Index

        await server.services.documents._documents.use(Index("another-model", 3), 1.0)

    server.call(use)
    answer = Library(server).ask(QUESTION)
    assert answer.code == "index_mismatch"
    told = answer.problem.get("detail") or answer.last[1]["message"]
    assert "reindex" in told
