"""/openapi.json: what FastAPI makes of the routes, and what it cannot know."""

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from routers.http.dialects import Dialect
from routers.http.guard import GuardedRoute

_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")
"""Components of errors that are never sent: ours have the shape of their dialect."""

TAGS = {
    "Chat": "Send messages, and follow the streams of their answers",
    "Sessions": "Conversations that are stored here, and their history",
    "Documents": "Documents to answer from, and their collections",
    "Models": "The models to choose from",
    "Usage": "Tokens and cost",
    "API keys": "Your own keys",
    "Server": "Health, and probes of the way to it",
    "OpenAI": "OpenAI's API, for its clients: set their base URL to `/v1`",
    "AI SDK": "The routes of `useChat`",
    "AG-UI": "Runs for AG-UI's clients",
}
"""The groups of operations, in the order of the page."""

Schema = dict[str, Any]


def describe_api(app: FastAPI, dialects: Sequence[Dialect], *, authenticated: bool) -> None:
    """Complete the document that `app` serves. If callers are `authenticated`, it says which routes need that."""
    generate = app.openapi

    def openapi() -> Schema:
        if app.openapi_schema is None:
            schema = generate()
            _add_components(schema, dialects)
            for operation in _operations(schema):
                _tidy_responses(operation)
            used = {tag for operation in _operations(schema) for tag in operation["tags"]}
            schema["tags"] = [{"name": tag, "description": text} for tag, text in TAGS.items() if tag in used]
            if authenticated:
                _say_what_is_guarded(app, schema)
        return app.openapi_schema or generate()

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema


def _add_components(schema: Schema, dialects: Sequence[Dialect]) -> None:
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    for component in (component for dialect in dialects for component in dialect.components):
        described = component.model_json_schema(ref_template="#/components/schemas/{model}")
        components.update({**described.pop("$defs", {}), component.__name__: described})
    for unused in _FASTAPIS_OWN:
        components.pop(unused, None)


def _operations(schema: Schema) -> Iterator[Schema]:
    for methods in schema["paths"].values():
        yield from methods.values()


def _tidy_responses(operation: Schema) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    operation["responses"] = dict(sorted(responses.items()))


def _say_what_is_guarded(app: FastAPI, schema: Schema) -> None:
    bearer = {"type": "http", "scheme": "bearer", "description": "An API key or a token"}
    schema["components"]["securitySchemes"] = {"bearer": bearer}
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, GuardedRoute):
            for method in context.original_route.methods or ():
                schema["paths"][context.path_format][method.lower()]["security"] = [{"bearer": []}]
