"""What /openapi.json says of event streams, and the page that shows it without the internet."""

import mimetypes
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import iter_route_contexts
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse

from routers.http.dialects import Dialect
from routers.http.guard import GuardedRoute
from routers.http.request_headers import LAST_EVENT_ID
from routers.openapi.codes import responses
from wires.table import WIRES

_ASSETS = "/docs/assets"

EXAMPLE_ID = "9f0c5d1e7a3b4c6d8e9f0a1b2c3d4e5f"
_ITEM = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "event": {
            "type": "string",
            "enum": ["message", "start", "delta", "reasoning", "tool_call", "status", "done", "error", "cancelled"],
            "description": "`message` is what a block without a name amounts to: a piece of text in `format=text`, "
            "and every block of `format=openai`",
        },
        "data": {
            "type": "string",
            "description": "A piece of the text in `format=text`; else a JSON object, or `[DONE]` with `format=openai`",
        },
        "id": {"type": "string", "description": "`format=events` only: what to send as `Last-Event-ID`"},
        "retry": {"type": "integer", "description": "Milliseconds to wait before coming back"},
    },
}
_START = (
    f'event: start\ndata: {{"stream_id":"{EXAMPLE_ID}","model":"simulated","created":1763800000,'
    f'"resume":"/chat/streams/{EXAMPLE_ID}","cancel":"/chat/streams/{EXAMPLE_ID}/cancel"}}\n'
    f"retry: 1731\nid: {EXAMPLE_ID}-1\n\n"
    f'event: delta\ndata: {{"text":"Hello"}}\nid: {EXAMPLE_ID}-2\n\n'
)
_USAGE = '"usage":{"input_tokens":4,"output_tokens":1,"exact":false},"cost":null'
_EXAMPLES = {
    "text": {
        "summary": "format=text",
        "value": "data: This \n\ndata: is \n\ndata: a \n\ndata: simulated \n\ndata: streaming \n\ndata: response\n\n",
    },
    "events": {
        "summary": "format=events",
        "value": f'{_START}event: done\ndata: {{"finish_reason":"stop","model":"simulated",{_USAGE}}}\n'
        f"id: {EXAMPLE_ID}-3\n\n",
    },
    "events_cancelled": {
        "summary": "format=events, stopped on request",
        "value": f'{_START}event: cancelled\ndata: {{"reason":"requested",{_USAGE}}}\nid: {EXAMPLE_ID}-3\n\n',
    },
    "events_switched": {
        "summary": "format=events, answered by a fallback",
        "value": 'event: status\ndata: {"phase":"retrying","reason":"provider_overloaded","attempt":2,"delay":0.412}\n'
        f"id: {EXAMPLE_ID}-2\n\n"
        'event: status\ndata: {"phase":"model_switched","from":"gpt-5-mini","to":"local",'
        f'"reason":"provider_overloaded"}}\nid: {EXAMPLE_ID}-3\n\n',
    },
    "text_failed": {
        "summary": "format=text, failed on the way",
        "value": 'data: Hello\n\nevent: error\ndata: {"code":"stream_timeout",'
        '"message":"The answer took longer than this server allows, and was stopped.",'
        f'"retryable":true,"status":504,{_USAGE}}}\n\n',
    },
}
STREAM_HEADERS = {
    "X-Stream-Id": {"description": "The stream's id, to resume or cancel it", "schema": {"type": "string"}},
    "X-Session-Id": {"description": "The session that it answers in, if it does", "schema": {"type": "string"}},
    "X-Request-Id": {"description": "The request's id, as in the server's log", "schema": {"type": "string"}},
}

FORMAT = (
    "`text`: plain `data:` blocks; `events`: everything, with ids; `openai`, `ai_sdk`, `ag_ui`: as clients of OpenAI, "
    "of the AI SDK and of AG-UI read it"
)
FORMAT_PARAMETER = {
    "name": "format",
    "in": "query",
    "required": False,
    "description": FORMAT,
    "schema": {"type": "string", "enum": list(WIRES), "default": "text"},
}
SESSION_ID_PARAMETER = {
    "name": "session_id",
    "in": "query",
    "required": False,
    "description": "The session to answer in, as in the body",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$", "maxLength": 32},
}
IDEMPOTENCY_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A key of your own: the same request with the same key never starts a second stream",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]{1,255}$"},
}
LAST_EVENT_ID_PARAMETER = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": LAST_EVENT_ID,
    "schema": {"type": "string", "maxLength": 50},
}


def stream_responses(*codes: str, extra: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that streams, or refuses with one of `codes`."""
    content = {"text/event-stream": {"itemSchema": _ITEM, "examples": _EXAMPLES}, **(extra or {})}
    return {
        200: {"description": "The answer, event by event", "content": content, "headers": STREAM_HEADERS},
        **responses(*codes),
    }


def add_docs(app: FastAPI, dialects: Sequence[Dialect], *, authenticated: bool) -> None:
    """Serve /docs from an installed package, and put what is described by hand among the schema's components.

    Where callers are `authenticated` the schema says which routes take a credential.
    """
    package = find_spec("fastapi_offline")  # found, not imported: only its files are wanted
    if package is None or package.origin is None:
        raise RuntimeError("the package fastapi-offline is not installed; install requirements.txt")
    static = Path(package.origin).with_name("static")
    # The machine's own table may call a script text/plain, and is read from disk: now, not while streams run.
    mimetypes.add_type("text/javascript", ".js")
    app.mount(_ASSETS, StaticFiles(directory=static), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title} - documentation",
            swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
        )

    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            for described in (component for dialect in dialects for component in dialect.components):
                parts = described.model_json_schema(ref_template="#/components/schemas/{model}")
                nested = parts.pop("$defs")
                components = schema.setdefault("components", {}).setdefault("schemas", {})
                components.update({**nested, described.__name__: parts})
            for unused in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(unused, None)
            if authenticated:
                _say_what_is_guarded(app, schema)
            for operation in [each for methods in schema["paths"].values() for each in methods.values()]:
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]  # FastAPI's own; ours are documented by their codes
                operation["responses"] = dict(sorted(operation["responses"].items()))
        return app.openapi_schema or generate()

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema


def _say_what_is_guarded(app: FastAPI, schema: dict[str, Any]) -> None:
    bearer = {"type": "http", "scheme": "bearer", "description": "An API key or a token"}
    schema["components"]["securitySchemes"] = {"bearer": bearer}
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, GuardedRoute):
            for method in context.original_route.methods or ():
                schema["paths"][context.path_format][method.lower()]["security"] = [{"bearer": []}]
