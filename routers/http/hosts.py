"""Where requests come from, and which host they may name: decided by the connection and headers, never by a URL."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from routers.http.errors import ProblemResponse, problem

MAX_HOPS = 20
"""Entries of X-Forwarded-For that are looked at, from the right."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?", re.ASCII)

_FORWARDING = (b"forwarded", b"via", b"x-real-ip")

Admits = Callable[[Scope], ProblemResponse | None]
"""`None` for a request that may pass, else what refuses it."""


class HostRule:
    """Refuses requests to another host, and those whose target is not a path."""

    def __init__(self, app: ASGIApp, admits: Admits) -> None:
        self._app = app
        self._admits = admits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if not scope["path"].startswith("/"):
                refused = problem("malformed_request", detail="The request's target must be a path that begins with /.")
                await refused(scope, receive, send)
                return
            if (refusal := self._admits(scope)) is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def stays_on_this_machine(scope: Scope) -> ProblemResponse | None:
    """Refuses requests that came over a network, that a proxy may have taken from one, or that name another host.

    Without authentication anything that reaches the port may use it. A page that makes its own name resolve to
    127.0.0.1 (DNS rebinding) reaches the port, but its browser sends the page's name as Host.
    """
    server = scope.get("server")  # a Unix socket has none
    here = server is None or server[1] is None or _is_loopback(server[0])
    if not here or not _host_is(scope, _is_loopback_name):
        return problem("foreign_host")
    for name, _ in scope["headers"]:
        if name in _FORWARDING or name.startswith(b"x-forwarded-"):
            return problem("forwarded_request")
    return None


def names_one_of(hosts: Sequence[str]) -> Admits:
    """Refuses requests that name a host other than these; if there are none, only those that name several."""
    known = {host.lower().encode() for host in hosts}

    def is_known(host: bytes) -> bool:
        match = _HOST.fullmatch(host.decode("latin-1"))
        return match is not None and (not known or match[1].lower().encode() in known)

    def admits(scope: Scope) -> ProblemResponse | None:
        if _host_is(scope, is_known, may_lack=not known):
            return None
        detail = "This server does not accept that host name. Use the name that you were given for it."
        return problem("foreign_host", detail=detail)

    return admits


class ForwardedFor:
    """Replaces a trusted proxy's address with the client's own.

    What a client writes into X-Forwarded-For is left of what proxies add, so its address is the rightmost one that is
    not a trusted proxy's.
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        self._app = app
        self._proxies = [ipaddress.ip_network(proxy) for proxy in proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client") is not None:
            address, port = scope["client"]
            found = self._client(scope, address)
            if found != address:
                scope = {**scope, "client": (found, port)}
        await self._app(scope, receive, send)

    def _client(self, scope: Scope, peer: str) -> str:
        address = peer
        lists = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        hops = b",".join(lists).decode("latin-1").split(",")[-MAX_HOPS:] if lists else []
        for hop in reversed(hops):
            if not self._trusted(address):
                break
            try:
                address = str(ipaddress.ip_address(_without_port(hop.strip())))
            except ValueError:  # not an address: the hop before counts
                break
        return address

    def _trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._proxies)


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _host_is(scope: Scope, accepted: Callable[[bytes], bool], *, may_lack: bool = False) -> bool:
    """Whether there is one Host header, and it is accepted. It may be missing in HTTP/1.0, which no browser speaks."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if not hosts:
        return may_lack or bool(scope["http_version"] == "1.0")
    return len(hosts) == 1 and accepted(hosts[0])


@lru_cache(maxsize=256)
def _is_loopback_name(host: bytes) -> bool:
    match = _HOST.fullmatch(host.decode("latin-1"))
    return match is not None and (match[1].lower() == "localhost" or _is_loopback(match[1].strip("[]")))


@lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
