"""Which web pages may change something: decided by headers that a page's script cannot set.

A browser sends some requests of any page without asking first: forms, also with files, and whatever fetch sends
without special headers. Sources: WHATWG Fetch, "CORS protocol" and "`Origin` header"; W3C Fetch Metadata.
"""

from collections.abc import Sequence

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from routers.http.errors import problem
from routers.http.request_headers import header_of

log = structlog.get_logger("requests")

_CHANGE_NOTHING = ("GET", "HEAD", "OPTIONS")
_BEARER = b"bearer "


class OriginRule:
    """Refuses requests by which a page of another site would change something.

    `listed` are the origins that may. With `spares_credentials`, a request with a bearer credential passes: no page has
    it that was not given it.
    """

    def __init__(self, app: ASGIApp, listed: Sequence[str], *, spares_credentials: bool) -> None:
        self._app = app
        self._listed = frozenset(origin.encode() for origin in listed)
        self._spares_credentials = spares_credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _CHANGE_NOTHING and not self._passes(scope):
            log.info("a page may not change anything", origin=header_of(scope, b"origin")[:200].decode("latin-1"))
            await problem("foreign_origin")(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _passes(self, scope: Scope) -> bool:
        origins: list[bytes] = []
        sites: list[bytes] = []
        hosts: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"origin":
                origins.append(value)
            elif name == b"sec-fetch-site":
                sites.append(value)
            elif name == b"host":
                hosts.append(value.lower())
            elif name == b"authorization" and self._spares_credentials and value[:7].lower() == _BEARER:
                return True
        # Whatever Sec-Fetch-Site says: other ports are other sites.
        if len(origins) == 1 and origins[0] in self._listed:
            return True
        if sites in ([b"same-origin"], [b"none"]):
            return True
        if not origins and not sites:  # a program
            return True
        return len(origins) == 1 and origins[0].lower().partition(b"://")[2] in hosts
