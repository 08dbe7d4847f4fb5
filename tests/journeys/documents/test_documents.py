"""Documents from their upload to their end: read whatever they are, watched, listed, given back, and forgotten.

Shows T16.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.documents import archive, docx, pdf
from tests.support.library import Library, data_of, sources, titles
from tests.support.server import LiveServer, live_server, make_settings
from tests.support.sse import parse

pytestmark = pytest.mark.slow(reason="a process for each document that is read")

HERON = "The lighthouse keeper of Aldermoor kept a tame heron named Osbert."
FILES: dict[str, bytes] = {
    "harbour.pdf": pdf(
        ["The harbour of Aldermoor was built from granite in the year 1872.", HERON, "Nobody dredges it any more."]
    ),
    "garden.docx": docx(
        ("Heading 1", "Vegetables"),
        ("Normal", "Peas like a fence to climb on."),
        ("Heading 2", "Tomatoes"),
        ("Normal", "Tomatoes are watered in the morning, and never on their leaves."),
    ),
    "backup.md": b"# Backups\n\n## Restoring\n\nTo restore a backup, fetch the orange cassette from the vault.\n",
    "ferries.html": b"<html><head><title>Ferries</title></head><body><nav>Home</nav><h1>Timetable</h1>"
    b"<p>The ferry to Nordholm departs at twenty past six.</p></body></html>",
    "capitals.csv": b"country,capital\nFreedonia,Fredville\nSylvania,Sylvagrad\n",
    "planets.json": json.dumps({"planet": "Zorbia", "moons": 17, "discoverer": "Ada Quill"}).encode(),
    "note.txt": b"The spare key of the observatory lies under the third flowerpot.\n",
}
# What is asked, of which file the answer is, and what is known of the passage.
QUESTIONS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("What was the heron of the lighthouse keeper called?", "harbour.pdf", "Osbert", {"page": 2}),
    ("When are tomatoes watered?", "garden.docx", "in the morning", {"heading": "Vegetables > Tomatoes"}),
    ("How is a backup restored?", "backup.md", "orange cassette", {"heading": "Backups > Restoring"}),
    ("When does the ferry to Nordholm depart?", "ferries.html", "twenty past six", {"heading": "Timetable"}),
    ("What is the capital of Freedonia?", "capitals.csv", "Fredville", {}),
    ("How many moons has the planet Zorbia?", "planets.json", "17", {}),
    ("Where is the spare key of the observatory?", "note.txt", "third flowerpot", {}),
]
KINDS = {
    "harbour.pdf": "application/pdf",
    "garden.docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "backup.md": "text/markdown",
    "ferries.html": "text/html",
    "capitals.csv": "text/csv",
    "planets.json": "application/json",
    "note.txt": "text/plain",
}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """One for all who only look, and for documents that nobody else asks about."""
    with live_server(make_settings(STREAM_DELAY=0, RAG_MIN_SCORE=0.3)) as started:
        yield started


@pytest.fixture(scope="module")
def shelf(server: LiveServer) -> dict[str, str]:
    """The files' ids by their names, once all are ready."""
    library = Library(server)
    answer = library.upload(*FILES.items())
    assert answer.status_code == 202, answer.text
    found = {item["name"]: item["id"] for item in answer.json()["items"]}
    for name, document_id in found.items():
        assert library.settled(document_id)["state"] == "ready", name
    return found


@pytest.fixture
def library(server: LiveServer) -> Library:
    return Library(server)


@pytest.mark.parametrize(("question", "name", "answer", "about"), QUESTIONS, ids=[name for _, name, *_ in QUESTIONS])
def test_each_kind_of_document_is_read_and_answers_from_the_right_place(
    library: Library, shelf: dict[str, str], question: str, name: str, answer: str, about: dict[str, Any]
) -> None:
    document = library.get(shelf[name])
    assert document["media_type"] == KINDS[name], "told by the content: all came as octet-stream"
    assert document["chunks"] >= 1
    heard = library.ask(question)
    first, *_ = sources(heard)
    assert first["document_id"] == shelf[name]
    assert answer in first["text"]
    assert {key: first.get(key) for key in about} == about
    assert f"{answer}" in heard.text
    assert "[1]" in heard.text
    assert 1 in heard.last[1]["sources"]
    assert all(-1 <= source["score"] <= 1 for source in sources(heard) if "score" in source)


def test_pages_and_the_title_of_a_document_are_shown(library: Library, shelf: dict[str, str]) -> None:
    assert library.get(shelf["harbour.pdf"])["pages"] == 3
    assert library.get(shelf["ferries.html"])["title"] == "Ferries"


def test_its_way_is_told_from_the_beginning_and_after_any_event(library: Library, shelf: dict[str, str]) -> None:
    told = library.events(shelf["harbour.pdf"])
    names = [message.event for message in told]
    assert names == sorted(names, key=["received", "parsing", "splitting", "embedding", "ready"].index)
    assert (names[0], names[-1]) == ("received", "ready")
    assert {"parsing", "splitting", "embedding"} <= set(names)
    assert {"done": 3, "total": 3} in [data_of(message) for message in told if message.event == "parsing"]
    ids = [message.last_event_id for message in told]
    assert [int(each.rpartition("-")[2]) for each in ids] == list(range(1, len(told) + 1))
    for place in (0, 2, len(told) - 2):
        assert library.events(shelf["harbour.pdf"], ids[place]) == told[place + 1 :]


def test_the_log_of_a_document_is_no_answer_and_cannot_be_stopped_as_one(
    library: Library, shelf: dict[str, str]
) -> None:
    stream = library.events(shelf["harbour.pdf"])[0].last_event_id.partition("-")[0]
    for answer in (
        library.client.get(f"/chat/streams/{stream}"),
        library.client.post(f"/chat/streams/{stream}/cancel"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "stream_not_found")


def test_who_asks_at_once_is_told_all_of_it_live(library: Library) -> None:
    document_id = library.send("live.md", "# Live\n\n" + "\n\n".join(f"Paragraph {n} of many." for n in range(900)))
    told = library.events(document_id)
    assert (told[0].event, told[-1].event) == ("received", "ready")
    counts = [data_of(message) for message in told if message.event == "embedding"]
    assert counts[-1]["done"] == counts[-1]["total"] == library.get(document_id)["chunks"]
    library.client.delete(f"/documents/{document_id}")


def test_the_same_bytes_are_one_document_which_is_said(library: Library) -> None:
    text = b"The same bytes, and the same again."
    first = library.upload(("one.txt", text), collections=["a"]).json()["items"][0]
    library.settled(first["id"])
    again = library.upload(("two.txt", text), ("new.txt", text + b"!"), collections=["b"]).json()["items"]
    assert (first["known"], [each["known"] for each in again]) == (False, [True, False])
    assert again[0]["id"] == first["id"]
    assert (again[0]["name"], again[0]["collections"]) == ("one.txt", ["a", "b"])
    for item in again:
        library.settled(item["id"])
        library.client.delete(f"/documents/{item['id']}")


def test_collections_hold_what_was_put_into_them_and_answers_keep_to_them(library: Library) -> None:
    red = library.add("red.txt", "The password of the cellar is vermilion.", "rooms", "red ones")
    blue = library.add("blue.txt", "The password of the cellar is ultramarine.", "blue ones")
    listed = {item["name"]: item["documents"] for item in library.client.get("/collections").json()["items"]}
    assert {name: listed[name] for name in ("blue ones", "red ones", "rooms")} == {
        "blue ones": 1,
        "red ones": 1,
        "rooms": 1,
    }
    inside = library.client.get("/documents", params={"collection": "red ones"}).json()["items"]
    assert [item["id"] for item in inside] == [red]
    question = "What is the password of the cellar?"
    assert {each["document_id"] for each in sources(library.ask(question, {"collections": ["blue ones"]}))} == {blue}
    assert {each["document_id"] for each in sources(library.ask(question, {"ids": [red]}))} == {red}
    both = library.ask(question, {"ids": [red], "collections": ["blue ones"]})
    assert {each["document_id"] for each in sources(both)} == {red, blue}
    assert sources(library.ask(question, {"collections": ["nobody's"]})) == []
    for document_id in (red, blue):
        library.client.delete(f"/documents/{document_id}")


def test_the_list_comes_in_pages_newest_first(library: Library, shelf: dict[str, str]) -> None:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = library.client.get("/documents", params={"limit": 3, **cursor}).json()
        assert len(page["items"]) <= 3
        found += page["items"]
        if "next" not in page:
            break
        cursor = {"after": page["next"]}
    assert len({item["id"] for item in found}) == len(found)
    assert set(shelf.values()) <= {item["id"] for item in found}
    assert [item["created"] for item in found] == sorted((item["created"] for item in found), reverse=True)


def test_a_document_is_given_back_as_a_file_that_no_browser_shows(library: Library, shelf: dict[str, str]) -> None:
    answer = library.client.get(f"/documents/{shelf['ferries.html']}/content")
    assert answer.content == FILES["ferries.html"]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_text_is_a_document_too(library: Library) -> None:
    given = {"text": "The umbrella stand is haunted by a badger.", "name": "ghosts.txt", "collections": ["ghosts"]}
    added = library.client.post("/documents/text", json=given)
    assert added.status_code == 202
    library.settled(added.json()["id"])
    assert "badger" in library.ask("Who haunts the umbrella stand?", {"collections": ["ghosts"]}).text
    library.client.delete(f"/documents/{added.json()['id']}")


def test_what_is_deleted_is_gone_from_everywhere(library: Library) -> None:
    document_id = library.add("secret.txt", "The combination of the safe is forty-two eleven.")
    question = "What is the combination of the safe?"
    assert "forty-two eleven" in library.ask(question).text
    assert library.client.delete(f"/documents/{document_id}").status_code == 204
    answer = library.ask(question)
    assert document_id not in {each["document_id"] for each in sources(answer)}
    assert "forty-two" not in answer.text
    for path in ("", "/events", "/content"):
        assert library.client.get(f"/documents/{document_id}{path}").status_code == 404, path
    assert library.client.delete(f"/documents/{document_id}").status_code == 404
    refused = library.ask(question, {"ids": [document_id]})
    assert (refused.status, refused.code) == (404, "document_not_found")
    again = library.add("secret.txt", "The combination of the safe is forty-two eleven.")
    assert again != document_id, "the same bytes are new ones by now"
    assert "forty-two eleven" in library.ask(question).text
    library.client.delete(f"/documents/{again}")


def test_unknown_documents_are_not_found(library: Library) -> None:
    for unknown in ("0" * 32, "nothing", "0" * 33):
        for path in ("", "/events", "/content"):
            answer = library.client.get(f"/documents/{unknown}{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "document_not_found"), (unknown, path)
    asked = library.ask("x", {"ids": ["0" * 32]})
    assert (asked.status, asked.code) == (404, "document_not_found")
    assert asked.problem["errors"][0]["pointer"] == "#/documents/ids/0"


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "document_unsupported", "Upload their text."),
        ("table.xlsx", archive(xl__workbook_xml=b"<x/>"), "document_unsupported", "Save it as CSV."),
        ("noise.bin", bytes(range(256)), "document_unsupported", "Send text, Markdown, HTML, PDF, DOCX, CSV or JSON."),
        ("broken.pdf", b"%PDF-1.4\nnothing of the kind", "document_broken", "save it again and upload the new file."),
        ("locked.pdf", pdf(["secret"], password="pass"), "document_encrypted", "without its password."),
        ("scanned.pdf", pdf([""]), "document_empty", "Have the text in them recognised first."),
        ("empty.txt", b"   \n", "document_empty", "There is no text in the document."),
        ("long.pdf", pdf([""] * 2_001), "document_too_complex", "more than 2,000 are not read. Split it."),
    ],
)
def test_what_cannot_be_read_says_what_to_do_wherever_it_is_looked_at(
    library: Library, name: str, content: bytes, code: str, words: str
) -> None:
    document_id = library.send(name, content)
    document = library.settled(document_id)
    assert (document["state"], document["code"]) == ("failed", code)
    assert document["error"].endswith(words)
    last = library.events(document_id)[-1]
    assert (last.event, data_of(last)["code"], data_of(last)["message"]) == ("failed", code, document["error"])
    assert library.client.get(f"/v1/files/{document_id}").json()["status_details"] == document["error"]
    library.client.delete(f"/documents/{document_id}")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "C:\\x\\a.txt", "a\u202etxt.exe", "\u0000", "x" * 300 + ".txt", ""]
)
def test_odd_names_are_tidied_and_are_no_paths(library: Library, name: str) -> None:
    part = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nodd {name!r}\r\n--b--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = library.client.post("/documents/upload", content=part.encode(), headers=headers)
    assert answer.status_code == 202, answer.text
    item = answer.json()["items"][0]
    assert 0 < len(item["name"]) <= 255
    assert not set(item["name"]) & set("/\\:\u202e\x00\r\n")
    library.client.delete(f"/documents/{item['id']}")


@pytest.mark.parametrize("way", ["/documents/upload", "/v1/files"])
def test_a_name_with_quotes_is_the_same_after_its_way_through_a_form(library: Library, way: str) -> None:
    file = {"file": ('the "blue" one.txt', f"Blue, by way of {way}.".encode())}
    answer = library.client.post(way, files=file, data={"purpose": "assistants"} if way == "/v1/files" else {})
    document_id = answer.json()["id"] if way == "/v1/files" else answer.json()["items"][0]["id"]
    assert library.get(document_id)["name"] == 'the "blue" one.txt'
    library.client.delete(f"/documents/{document_id}")


def test_every_wire_carries_the_sources(library: Library, shelf: dict[str, str]) -> None:
    body = {"message": "What was the heron of the lighthouse keeper called?", "documents": {"top_k": 1}}

    def said(wire: str) -> str:
        return library.client.post(f"/chat?format={wire}", json=body).text

    assert "Osbert" in said("text")
    events = parse(said("events").encode())
    assert data_of(next(each for each in events if each.event == "source"))["page"] == 2
    parts = [json.loads(each.data) for each in parse(said("ai_sdk").encode()) if each.data != "[DONE]"]
    assert [each["title"] for each in parts if each["type"] == "source-document"] == ["harbour.pdf"]
    ag_ui = [json.loads(each.data) for each in parse(said("ag_ui").encode())]
    (source,) = [each["value"] for each in ag_ui if each.get("name") == "source"]
    assert source["document_id"] == shelf["harbour.pdf"]
    chunks = [json.loads(each.data) for each in parse(said("openai").encode()) if each.data != "[DONE]"]
    (annotations,) = [
        choice["delta"]["annotations"]
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["delta"].get("annotations")
    ]
    assert shelf["harbour.pdf"] in json.dumps(annotations)


def test_fewer_passages_and_nearer_ones_where_that_is_asked_for(library: Library, shelf: dict[str, str]) -> None:
    question = QUESTIONS[0][0]
    assert len(sources(library.ask(question, {"min_score": -1, "top_k": 5}))) == 5
    assert len(sources(library.ask(question, {"min_score": -1, "top_k": 2}))) == 2
    near = sources(library.ask(question, {"min_score": 0.4}))
    assert near
    assert all(source["score"] >= 0.4 for source in near)
    assert sources(library.ask(question, {"min_score": 1})) == []
    for wrong in ({"top_k": 0}, {"top_k": 51}, {"min_score": 2}, {"ids": ["x"]}, {"other": 1}):
        refused = library.ask(question, wrong)
        assert (refused.status, refused.code) == (422, "invalid_request"), wrong


def test_nothing_found_is_said_without_an_answer(library: Library, shelf: dict[str, str]) -> None:
    answer = library.ask("Quantum chromodynamics of gluons?", {"min_score": 0.9})
    assert sources(answer) == []
    assert answer.last[1]["sources"] == []
    assert "found nothing" in answer.text


def test_answers_lean_on_documents_by_default_where_the_server_is_set_so(serve: Callable[..., LiveServer]) -> None:
    library = Library(serve(ENABLE_RAG="true", SIMULATED_TEXT="plain words"))
    library.add("bees.txt", "The queen bee of hive nine is called Wilhelmina.")
    question = {"message": "What is the queen bee of hive nine called?"}
    by_default = library.client.post("/chat", json=question)
    assert "Wilhelmina" in by_default.text
    openai = library.client.post(
        "/v1/chat/completions",
        json={"model": "simulated", "messages": [{"role": "user", "content": question["message"]}]},
    )
    assert "Wilhelmina" in openai.json()["choices"][0]["message"]["content"]
    without = library.client.post("/chat?format=events", json={**question, "documents": False})
    assert b"Wilhelmina" not in without.content
    assert b"source" not in without.content


def test_a_server_without_documents_says_so_where_it_is_asked(serve: Callable[..., LiveServer]) -> None:
    library = Library(serve())
    assert library.client.get("/documents").json() == {"items": []}
    assert library.client.get("/collections").json() == {"items": []}
    answer = library.ask("anything?")
    assert "found nothing" in answer.text
    assert titles(answer) == set()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_sources_are_kept_with_the_message_also_when_the_document_goes(
    serve: Callable[..., LiveServer], request: pytest.FixtureRequest, database: str
) -> None:
    kept = {"DATABASE_URL": request.getfixturevalue("postgres_url")} if database == "postgresql" else {}
    server = serve(**kept, VECTOR_STORE_TYPE="pgvector" if kept else "sqlite")
    library = Library(server)
    document_id = library.add("ravens.txt", "The raven of the tower is called Grip.")
    answer = library.ask("What is the raven of the tower called?", new_session=True)
    session = answer.headers["x-session-id"]
    library.client.delete(f"/documents/{document_id}")
    with live_server(server.settings) as restarted:  # another process's memory, and the same database
        history = httpx.get(f"{restarted.url}/chat/history/{session}").json()["items"]
        export = httpx.get(f"{restarted.url}/sessions/{session}/export").json()["messages"]
        markdown = httpx.get(f"{restarted.url}/sessions/{session}/export?format=markdown").text
    (source,) = history[-1]["sources"]
    assert source == {**sources(answer)[0], "cited": True}
    assert source["document_id"] == document_id
    assert export[-1]["sources"] == history[-1]["sources"]
    assert "sources" not in history[0]
    assert "- [1] ravens.txt" in markdown
