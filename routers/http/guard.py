"""The guard: who may reach a route, decided before the body is looked at.

The address's rate is counted by then. The order is: the caller, the caller's rate, the scope; then FastAPI parses and
validates, and the route acts. This is a class of route and not a FastAPI dependency, because FastAPI parses the body
before it calls dependencies, and each of them costs a request as much as a word.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from domain.callers import LOCAL
from routers.deps import services_of
from routers.http.errors import problem
from routers.http.limits.json_values import check_values
from routers.http.limits.rates import quota_headers
from services.access.rate_limits import Quota
from services.container import Services

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class GuardedRoute(APIRoute):
    """A route for known callers. GET needs the scope `read`, every other method the one in `changes`."""

    changes = "admin"

    @property
    def needs(self) -> str:
        return "read" if self.methods and self.methods <= {"GET", "HEAD"} else self.changes

    def get_route_handler(self) -> Handler:
        """FastAPI's own handler, behind the guard."""
        handler = super().get_route_handler()
        if self.body_field is not None:
            handler = _of_bounded_json(handler)
        needs = self.needs

        async def guarded(request: Request) -> Response:
            services = services_of(request)
            if services.auth is None and services.limits is None:
                request.scope["caller"] = LOCAL
                return await handler(request)
            return await _within(await _admit(request, services, needs), handler, request)

        return guarded


class CountedRoute(APIRoute):
    """A public route that says what is left of the rate of its address."""

    def get_route_handler(self) -> Handler:
        """FastAPI's own handler, and the quota."""
        handler = super().get_route_handler()

        async def counted(request: Request) -> Response:
            return await _within(request.scope.get("address_quota"), handler, request)

        return counted


class OwnPathRoute(GuardedRoute):
    """A route that takes every method of its path, to refuse all but its own.

    Without it `GET /documents/upload` would be the document `upload`, whose route comes later.
    """

    owns_path = True

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """A match of the path alone counts as a whole one."""
        match, child_scope = super().matches(scope)
        return (Match.FULL if match is Match.PARTIAL else match), child_scope


def _of_bounded_json(handler: Handler) -> Handler:
    """The handler, for bodies whose values take no more than a moment and some memory to parse."""

    async def bounded(request: Request) -> Response:
        check_values(await request.body())
        return await handler(request)

    return bounded


def guarded(changes: str, base: type[GuardedRoute] = GuardedRoute) -> type[GuardedRoute]:
    """The class of a router's routes; to change something a caller needs the scope `changes`."""
    return type(base.__name__, (base,), {"changes": changes})


async def _admit(request: Request, services: Services, needs: str) -> Quota | None:
    """Find the caller and check the scope. The quota that this returns does not pass if a rate is used up."""
    limits = services.limits
    quota: Quota | None = request.scope.get("address_quota")
    caller = LOCAL
    if services.auth is not None:
        credentials = [value for name, value in request.scope["headers"] if name == b"authorization"]
        caller = await services.auth.identify(credentials)
    if limits is not None:
        quota = await limits.of_caller(caller.id) or quota
        if quota is not None and not quota.passes:
            return quota
    caller.require(needs)
    request.scope["caller"] = caller
    return quota


async def _within(quota: Quota | None, handler: Handler, request: Request) -> Response:
    """The handler's response with the quota in its headers, or a refusal."""
    if quota is None:
        return await handler(request)
    if not quota.passes:
        return problem("rate_limited", headers=quota_headers(quota), retry_after=quota.reset)
    response = await handler(request)
    for name, value in quota_headers(quota).items():
        response.raw_headers.append((name.encode(), value.encode()))
    return response
