"""What /openapi.json promises, and whether the server keeps it: schemathesis asks every route it names (T10)."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import jsonschema_rs
import pytest
from hypothesis import assume

from main import create_app
from tests.support.effort import examples
from tests.support.operations import Operations
from tests.support.server import LiveServer, live_server, make_settings
from tests.support.sse import Message, parse

if TYPE_CHECKING:
    from schemathesis import Case

pytestmark = pytest.mark.slow(reason="some fifty requests to every operation")
OPERATIONS = Operations(create_app(make_settings()))
EXAMPLES = examples(60, dear=True)

PROBES = "/chat/doctor"
"""A probe takes seconds, so it has a test of its own, in which it is short."""

STREAMING = [("post", "/chat"), ("get", "/chat/streams/{stream_id}")]
KINDS = {"string": "maxLength", "array": "maxItems", "integer": "maximum", "number": "maximum"}


# For the session, that is for each process of the tests: then the processes share this file's tests.
@pytest.fixture(scope="session")
def server() -> Iterator[LiveServer]:
    with live_server(make_settings(STREAM_DELAY=0, MAX_BODY_BYTES=10_000, STREAM_HEARTBEAT=0.05)) as started:
        yield started


@pytest.fixture(scope="session")
def document(server: LiveServer) -> dict[str, Any]:
    return httpx.get(f"{server.url}/openapi.json").json()  # type: ignore[no-any-return]


@pytest.fixture
def ended_stream(server: LiveServer) -> str:
    return httpx.post(f"{server.url}/chat", json={"message": "Hi"}).headers["x-stream-id"]


def test_nothing_refers_to_what_is_not_there(document: dict[str, Any]) -> None:
    referred = set(re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert referred <= set(document["components"]["schemas"])


def check(case: "Case[Any]", server: LiveServer) -> None:
    """All checks but the one for which a request is right when the schema says so.

    What a schema cannot say (a blank message, the cursor of another stream) is refused, in documented ways.
    """
    from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

    answer = case.call(base_url=server.url, timeout=10)
    # Too many items may be too many bytes before anybody counts them; and in a form a list of one is that one.
    unsure = answer.status_code == 413 or case.media_type == "multipart/form-data"
    case.validate_response(answer, excluded_checks=[positive_data_acceptance, *[negative_data_rejection][:unsure]])


@OPERATIONS.each(lambda path: path != PROBES)
def test_every_route_answers_as_documented_whatever_it_is_sent(operation: str, server: LiveServer) -> None:
    OPERATIONS.ask(operation, EXAMPLES, lambda case: check(case, server))


@OPERATIONS.each(lambda path: "{stream_id}" in path)
def test_the_routes_of_a_stream_that_exists_answer_as_documented(
    operation: str, server: LiveServer, ended_stream: str
) -> None:
    from schemathesis.core.parameters import ParameterLocation

    def check_stream(case: "Case[Any]") -> None:
        path = case.meta.components.get(ParameterLocation.PATH) if case.meta else None
        assume(path is None or not path.mode.is_negative)  # what was wrong with the request is replaced here
        case.path_parameters["stream_id"] = ended_stream
        check(case, server)

    OPERATIONS.ask(operation, EXAMPLES, check_stream)


@OPERATIONS.each(lambda path: path == PROBES)
def test_probes_answer_as_documented_whatever_they_are_asked_for(operation: str, server: LiveServer) -> None:
    from schemathesis.core.parameters import ParameterLocation

    def check_probe(case: "Case[Any]") -> None:
        query = case.meta.components.get(ParameterLocation.QUERY) if case.meta else None
        if query is None or query.mode.is_positive:
            case.query["frames"] = 1
        check(case, server)

    OPERATIONS.ask(operation, EXAMPLES, check_probe)


def test_the_served_document_is_the_one_that_was_checked(document: dict[str, Any]) -> None:
    assert document == OPERATIONS.document
    assert set(OPERATIONS.labels) == {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }


@pytest.mark.parametrize(("method", "path"), STREAMING)
def test_a_route_that_streams_names_its_media_type_items_and_examples(
    document: dict[str, Any], method: str, path: str
) -> None:
    media = document["paths"][path][method]["responses"]["200"]["content"]["text/event-stream"]
    assert {"text", "events"} <= media["examples"].keys()
    item = jsonschema_rs.validator_for(media["itemSchema"])
    for name, example in media["examples"].items():
        messages = parse(example["value"].encode())
        assert len(messages) == example["value"].count("\n\n"), f"{name} holds a block that no browser would see"
        for message in messages:
            item.validate({"event": message.event, "data": message.data, "id": message.last_event_id})


def test_the_examples_show_what_the_server_sends(document: dict[str, Any], server: LiveServer) -> None:
    media = document["paths"]["/chat"]["post"]["responses"]["200"]["content"]["text/event-stream"]
    examples = {name: example["value"] for name, example in media["examples"].items()}
    question = {"message": "Hi"}
    assert httpx.post(f"{server.url}/chat", json=question).text == examples["text"]
    done = httpx.post(f"{server.url}/chat?format=events", json=question).content
    silent = {"STREAM_DELAY": 60, "DRAIN_TIMEOUT": 0}
    with live_server(make_settings(STREAM_MAX_SECONDS=0.2, **silent)) as impatient:
        failed = httpx.post(f"{impatient.url}/chat", json=question).content
    with (
        live_server(make_settings(**silent)) as patient,
        httpx.stream("POST", f"{patient.url}/chat?format=events", json=question) as stream,
    ):
        httpx.post(f"{patient.url}/chat/streams/{stream.headers['x-stream-id']}/cancel")
        cancelled = stream.read()
    for name, body in {"events": done, "text_failed": failed, "events_cancelled": cancelled}.items():
        assert shape(parse(examples[name].encode())) == shape(parse(body)), name


def shape(messages: list[Message]) -> dict[str, list[str]]:
    """The names of the events, in order, with the names of the fields of each."""
    return {message.event: [] if message.event == "message" else list(json.loads(message.data)) for message in messages}


def test_everything_a_client_may_send_has_a_maximum(document: dict[str, Any]) -> None:
    sent: dict[str, Any] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", []):
                if parameter["in"] != "path":
                    sent[f"{method} {path} {parameter['name']}"] = parameter["schema"]
            for media in operation.get("requestBody", {}).get("content", {}).values():
                sent[f"{method} {path}"] = media["schema"]
    assert "post /chat" in sent
    unbounded = [where for name, part in sent.items() for where in without_maximum(part, name, document)]
    assert not unbounded


def without_maximum(part: dict[str, Any], where: str, document: dict[str, Any]) -> Iterator[str]:
    """Where the schema takes a text, list, number or object of any size."""
    if "$ref" in part:
        part = document["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    for choice in part.get("anyOf", []):
        yield from without_maximum(choice, where, document)
    if "enum" in part or "const" in part or "anyOf" in part:
        return
    kind = part.get("type")
    if kind is None or (kind in KINDS and KINDS[kind] not in part):
        yield where
    if kind == "array":
        yield from without_maximum(part["items"], f"{where}[]", document)
    if kind == "object":
        if part.get("additionalProperties", True) is not False and "maxProperties" not in part:
            yield where
        for name, field in part.get("properties", {}).items():
            yield from without_maximum(field, f"{where}.{name}", document)


JSON = {"content-type": "application/json"}
REFUSALS: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "a body that is no JSON": (400, "POST", "/chat", {"content": b"{", "headers": JSON}),
    "a body that is no UTF-8": (400, "POST", "/chat", {"content": b'{"message": "\xff"}', "headers": JSON}),
    "a stream id that is none": (400, "GET", "/chat/streams/1", {}),
    "another host": (403, "GET", "/health", {"headers": {"host": "example.org"}}),
    "an unknown path": (404, "GET", "/nowhere", {}),
    "an unknown stream": (404, "GET", f"/chat/streams/{'0' * 32}", {}),
    "stopping an unknown stream": (404, "POST", f"/chat/streams/{'0' * 32}/cancel", {}),
    "another method": (405, "DELETE", "/chat", {}),
    "a cursor ahead": (409, "GET", "/chat/streams/{stream_id}?after=100", {}),
    "a body too large": (413, "POST", "/chat", {"json": {"message": "x" * 20_000}}),
    "a form": (415, "POST", "/chat", {"data": {"message": "Hi"}}),
    "a blank message": (422, "POST", "/chat", {"json": {"message": " "}}),
    "an unknown field": (422, "POST", "/chat", {"json": {"message": "Hi", "model/x~y": 1}}),
    "an unknown format": (422, "POST", "/chat?format=xml", {"json": {"message": "Hi"}}),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_refusal_is_the_documented_problem(
    document: dict[str, Any], server: LiveServer, ended_stream: str, what: str
) -> None:
    status, method, path, request = REFUSALS[what]
    answer = httpx.request(method, server.url + path.format(stream_id=ended_stream), **request)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    components = document["components"]
    jsonschema_rs.validate({"$ref": "#/components/schemas/Problem", "components": components}, problem)
    assert problem["status"] == status
    assert problem.keys() <= components["schemas"]["Problem"]["properties"].keys()
    for error in problem.get("errors", []):
        assert error.keys() <= components["schemas"]["FieldProblem"]["properties"].keys()
