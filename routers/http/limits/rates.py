"""The layer that counts requests against the rate of their address, whether there is a route for them or not."""

from starlette.types import ASGIApp, Receive, Scope, Send

from routers.deps import services_of
from routers.http.errors import path_of, problem
from services.access.rate_limits import Quota

UNCOUNTED = ("/", "/health", "/ready", "/chat/health")
"""What a proxy asks every second."""


class AddressRate:
    """Refuses requests from addresses that have used up their rate; for others the quota is in the scope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (limits := services_of(scope).limits) is not None and _counts(scope):
            client = scope.get("client")
            quota = await limits.of_address(client[0] if client else "")
            if quota is not None and not quota.passes:
                await problem("rate_limited", headers=quota_headers(quota), retry_after=quota.reset)(
                    scope, receive, send
                )
                return
            scope["address_quota"] = quota
        await self._app(scope, receive, send)


def _counts(scope: Scope) -> bool:
    return scope["method"] != "GET" or path_of(scope) not in UNCOUNTED


def quota_headers(quota: Quota) -> dict[str, str]:
    """The headers that tell a caller what is left of its rate."""
    return {
        "ratelimit-limit": str(quota.limit),
        "ratelimit-remaining": str(quota.remaining),
        "ratelimit-reset": str(quota.reset),
    }
