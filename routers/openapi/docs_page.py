"""/docs: the page that shows /openapi.json, from files of an installed package, so that it needs no internet."""

import base64
import hashlib
import re
from importlib.util import find_spec
from os import PathLike, stat_result
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import NotModifiedResponse
from starlette.types import Scope

_ASSETS = "/docs/assets"
_POLICY = (
    "default-src 'none'; script-src 'self' {script}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load and do. Swagger UI writes styles into its elements; its own logo is a data URL."""


_TYPES = {".js": "text/javascript", ".css": "text/css", ".png": "image/png"}
"""The machine's own table may call a script text/plain, and weighs 0.3 MiB."""


class _Assets(StaticFiles):
    """Files that browsers may keep, and ask for again only with what they know of them."""

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = FileResponse(
            full_path,
            status_code,
            {"cache-control": "no-cache"},
            _TYPES.get(Path(full_path).suffix, "application/octet-stream"),
            stat_result=stat_result,
        )
        unchanged = self.is_not_modified(response.headers, Headers(scope=scope))
        return NotModifiedResponse(response.headers) if unchanged else response


def add_docs_page(app: FastAPI) -> None:
    """Serve the page and its assets, and let `app.docs_url` name it."""
    package = find_spec("fastapi_offline")  # found, not imported: only its files are wanted
    if package is None or package.origin is None:
        raise RuntimeError("the package fastapi-offline is not installed; install requirements.txt")
    static = Path(package.origin).with_name("static")
    app.mount(_ASSETS, _Assets(directory=static), name="docs-assets")
    app.docs_url = "/docs"

    @app.get(app.docs_url, include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        page = get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title} - documentation",
            swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
        )
        page.headers["content-security-policy"] = _POLICY.format(script=_hash_of_script(page.body))
        page.headers["referrer-policy"] = "no-referrer"
        page.headers["cache-control"] = "no-cache"
        return page


def _hash_of_script(page: bytes | memoryview) -> str:
    """The page's one inline script, as a source that the policy allows."""
    [script] = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
