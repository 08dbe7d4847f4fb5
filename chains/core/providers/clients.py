"""The HTTP clients that are passed to the providers' packages, instead of those they would make themselves.

Theirs follow redirects with the prompt and the key, and use the environment's proxies. Only the time-out for connecting
is set here, since only the client sees that moment; `services/answering/watch.py` has the other clocks.
"""

from typing import Any

import httpx
import httpx2

from chains.core.providers.line_transport import BoundedTransport, LineTransport

_KEPT_ALIVE = 100


def httpx2_client(*, connect: float, proxy: str | None) -> httpx2.AsyncClient:
    """For OpenAI's and Anthropic's packages. `connect` is in seconds."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=_KEPT_ALIVE)  # MAX_STREAMS is the limit
    transport = httpx2.AsyncHTTPTransport(trust_env=False, limits=limits, proxy=proxy)
    return httpx2.AsyncClient(
        transport=BoundedTransport(transport),
        timeout=httpx2.Timeout(None, connect=connect),
        trust_env=False,
        follow_redirects=False,
    )


def httpx_client(*, connect: float, proxy: str | None, verify: bool = False) -> httpx.AsyncClient:
    """For Cohere's package, whose lines need verifying."""
    return httpx.AsyncClient(**httpx_options(connect=connect, proxy=proxy, verify=verify))


def httpx_options(*, connect: float, proxy: str | None, verify: bool = False) -> dict[str, Any]:
    """The same, as keyword arguments for Ollama's package, which makes its client itself."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_ALIVE)
    transport = httpx.AsyncHTTPTransport(trust_env=False, limits=limits, proxy=proxy)
    return {
        "transport": LineTransport(transport, verify=verify),
        "timeout": httpx.Timeout(None, connect=connect),
        "trust_env": False,
        "follow_redirects": False,
        "headers": {"accept-encoding": "identity"},  # lines are checked before anything would decompress them
    }
