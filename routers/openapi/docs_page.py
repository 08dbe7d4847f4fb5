"""/docs: the page that shows /openapi.json, from files of an installed package, so that it needs no internet."""

import mimetypes
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse

_ASSETS = "/docs/assets"


def add_docs_page(app: FastAPI) -> None:
    """Serve the page and its assets."""
    package = find_spec("fastapi_offline")  # found, not imported: only its files are wanted
    if package is None or package.origin is None:
        raise RuntimeError("the package fastapi-offline is not installed; install requirements.txt")
    static = Path(package.origin).with_name("static")
    # The machine's own table may call a script text/plain. It is read from disk: now, so not while streams run.
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
