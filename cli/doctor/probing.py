"""The doctor's HTTP requests. Each returns a recording; none raises."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from socket import gaierror
from typing import Any

import httpx2

from cli.doctor.recordings import MAX_BYTES, EventParser, Recording, json_object, printable

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 15.0
"""Seconds to wait for a response, on top of the time that the server itself takes for it."""

BROWSERS = "gzip, deflate, br, zstd"
READABLE = "gzip, deflate"
"""The encodings to accept if the body is to be read."""

Enough = Callable[[Recording], bool]


@dataclass(frozen=True, slots=True)
class Target:
    """Where the deployment is. `url` has no slash at its end; `context` is for https only."""

    url: str
    key: str | None
    context: ssl.SSLContext | None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        url = httpx2.URL(self.url)
        return url.host, url.port or (443 if url.scheme == "https" else 80)


class ProbeClient:
    """Sends requests to one deployment, each on a new connection, so that several servers get their turn."""

    def __init__(self, client: httpx2.AsyncClient, target: Target) -> None:
        self._client = client
        self._target = target

    async def probe(
        self,
        parameters: dict[str, Any],
        *,
        seconds: float,
        patience: float = ANSWER_SECONDS,
        enough: Enough | None = None,
        headers: dict[str, str] | None = None,
        encodings: str = READABLE,
    ) -> Recording:
        """Read a probe that takes the server `seconds`, until it is `enough` or `patience` seconds more have passed."""
        given = {"accept": "text/event-stream", "accept-encoding": encodings, **(headers or {})}
        request = self._client.build_request("GET", self._url("/chat/doctor"), params=parameters, headers=given)
        return await self._ask(request, seconds + patience, enough)

    async def state_of(self, probe_id: str) -> Recording:
        """Ask for the state of a probe; the recording's `refusal` holds the response, whatever it is."""
        request = self._client.build_request("GET", self._url(f"/chat/doctor/{probe_id}"))
        return await self._ask(request, ANSWER_SECONDS, None)

    async def resume_nothing(self, stream_id: str) -> Recording:
        """Post a message as a client that resumes a stream that never existed, so that no model is asked.

        If the header does not get through, a real stream begins; the doctor hangs up on it, which ends it.
        """
        headers = {"accept": "text/event-stream", "last-event-id": f"{stream_id}-1"}
        if self._target.key:
            headers["authorization"] = f"Bearer {self._target.key}"
        body = {"message": "This is the stream doctor. There is nothing to answer.", "on_disconnect": "cancel"}
        request = self._client.build_request("POST", self._url("/chat?format=events"), json=body, headers=headers)
        return await self._ask(request, ANSWER_SECONDS, lambda recording: bool(recording.blocks))

    async def offers_http2(self) -> bool | None:
        """Whether HTTP/2 is offered to browsers; `None` if that cannot be found out."""
        context = self._target.context
        if context is None:
            return None
        context.set_alpn_protocols(["h2", "http/1.1"])  # the client's own connections set theirs again
        host, port = self._target.address
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(host, port, ssl=context)
        except (OSError, TimeoutError):
            return None
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.transport.abort()
        return bool(chosen == "h2")

    def _url(self, path: str) -> str:
        return f"{self._target.url}{path}"

    async def _ask(self, request: httpx2.Request, seconds: float, enough: Enough | None) -> Recording:
        recording = Recording()
        begun = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await self._read(request, recording, begun, enough)
        except TimeoutError:
            recording.ending = "late"
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            recording.ending = "cut"
            if not recording.status:
                recording.failure = self._why(error)
        recording.ended = time.monotonic() - begun
        if not recording.status and not recording.failure:
            recording.failure = f"{self._host} accepted the connection, but did not respond within {seconds:.0f} s."
        return recording

    async def _read(self, request: httpx2.Request, recording: Recording, begun: float, enough: Enough | None) -> None:
        parser = EventParser(recording)
        body = b""
        answer = await self._client.send(request, stream=True)
        try:
            recording.opened = time.monotonic() - begun
            recording.status = answer.status_code
            recording.http_version = answer.http_version
            recording.headers = {name.lower(): printable(value) for name, value in answer.headers.items()}
            pieces = answer.aiter_raw() if _unreadable(recording) else answer.aiter_bytes()
            async for piece in pieces:
                parser.feed(piece, time.monotonic() - begun)
                body = (body + piece)[:MAX_BYTES]
                if len(body) == MAX_BYTES or (enough is not None and enough(recording)):
                    recording.ending = "left"
                    return
            recording.ending = "whole"
            if not recording.blocks:
                recording.refusal = json_object(body)
        finally:
            await answer.aclose()

    @property
    def _host(self) -> str:
        host, port = self._target.address
        return f"{host}:{port}"

    def _why(self, error: BaseException) -> str:
        """Why there was no response, in a sentence."""
        for cause in _causes(error):
            for kind, said in _REASONS:
                if isinstance(cause, kind):
                    reason = printable(getattr(cause, "verify_message", "")).rstrip(".")
                    return said.format(host=self._target.address[0], address=self._host, reason=reason)
        return f"{self._host} closed the connection without a response. Is it https:// instead of http://?"


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (gaierror, "{host} cannot be found in DNS. Is it spelled correctly?"),
    (
        ssl.SSLCertVerificationError,
        "The certificate of {address} cannot be trusted: {reason}. Name its authority with --ca.",
    ),
    (ssl.SSLError, "{address} does not speak TLS. Is it http:// instead of https://?"),
    (ConnectionRefusedError, "Nothing is listening at {address}. Is the proxy, or the server, running there?"),
    (httpx2.ConnectTimeout, "{address} did not accept the connection in time. Is there a firewall?"),
)
"""Why there was no response, by the cause of the exception; the most specific first."""


@asynccontextmanager
async def open_client(target: Target) -> AsyncIterator[ProbeClient]:
    """A client for the deployment itself, which ignores the environment's proxies: its clients do not use them."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs every request
    async with httpx2.AsyncClient(
        verify=target.context or False,
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),  # each request has a limit for all of it, too
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
        headers={"user-agent": "streamforge-doctor"},
        trust_env=False,
    ) as client:
        yield ProbeClient(client, target)


def trust(ca: str | None) -> ssl.SSLContext:
    """Trusts the usual authorities, and those in the file `ca`."""
    context = httpx2.create_ssl_context(trust_env=False)
    if ca is not None:
        context.load_verify_locations(ca)
    return context


def _unreadable(recording: Recording) -> bool:
    encoding = recording.headers.get("content-encoding", "identity")
    return encoding not in ("identity", "gzip", "deflate")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and its causes; at most fifty, because causes may form a circle."""
    left: list[BaseException] = [error]
    for _ in range(50):
        if not left:
            return
        found = left.pop(0)
        yield found
        if isinstance(found, BaseExceptionGroup):
            left += found.exceptions
        left += [cause for cause in (found.__cause__, found.__context__) if cause is not None]
