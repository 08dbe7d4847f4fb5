"""The layer that refuses heads which are too large, for servers that have read them by then."""

from starlette.types import ASGIApp, Receive, Scope, Send

from routers.http.errors import problem
from routers.http.limits.values import BESIDE_A_FIELD, SHIPPED, ConnectionLimits


class HeadLimit:
    """Refuses a request with too many fields, or with too many bytes in its target and fields."""

    def __init__(self, app: ASGIApp, limits: ConnectionLimits = SHIPPED) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._fits(scope):
            await problem("head_too_large", headers={"connection": "close"})(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _fits(self, scope: Scope) -> bool:
        fields = scope["headers"]
        if len(fields) > self._limits.head_fields:
            return False
        size = len(scope["raw_path"]) + len(scope["query_string"]) + len(fields) * BESIDE_A_FIELD
        for name, value in fields:
            size += len(name) + len(value)
        return size <= self._limits.head_bytes
