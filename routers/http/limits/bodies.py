"""The layer that limits bodies while their routes read them: how many bytes, and in how many seconds.

Nothing is read here before a route asks for it, which it does once the guard knows the caller.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import StreamForgeError
from domain.streams import RETRY_AFTER
from routers.http.errors import problem
from routers.http.limits.values import SHIPPED, ConnectionLimits
from routers.http.request_headers import header_of


class BodyLimit:
    """Stands between a body and its route.

    `uploads` are the paths of files, with the most bytes for each; the others have JSON of at most `max_bytes`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        uploads: Mapping[str, int] = MappingProxyType({}),
        limits: ConnectionLimits = SHIPPED,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._uploads = uploads
        self._limits = limits
        self._unguarded = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not announces_body(scope):
            await self._app(scope, receive, send)
            return
        size = announced(scope)
        ahead = min(size if size is not None else self._limits.read_ahead, self._limits.read_ahead)
        if self._unguarded + ahead > self._limits.unguarded_bytes:
            await problem("too_many_bodies", retry_after=RETRY_AFTER)(scope, receive, send)
            return
        most = self._uploads.get(scope["path"])
        guarded = self._hold(ahead)
        body = _Body(receive, size or 0, most or self._max_bytes, self._limits, guarded, upload=most is not None)
        answer = _Answer(body, scope, send)
        try:
            await self._app(scope, body.receive, answer.send)
        except ClientDisconnect:
            if not body.left:
                raise
        except StreamForgeError as error:
            if error is not body.refusal or answer.begun:
                raise
            await answer.refuse(error)
        finally:
            guarded()

    def _hold(self, ahead: int) -> Callable[[], None]:
        """Count what the server reads ahead, until the guard has let the request pass or refused it."""
        self._unguarded += ahead

        def guarded() -> None:
            nonlocal ahead
            self._unguarded -= ahead
            ahead = 0

        return guarded


class _Body:
    """One body on its way to the route that asks for it. `on_read` is called before the first byte is handed on."""

    def __init__(
        self,
        receive: Receive,
        size: int,
        most: int,
        limits: ConnectionLimits,
        on_read: Callable[[], None],
        *,
        upload: bool,
    ) -> None:
        self._receive = receive
        self._size = size
        self._most = most
        self._limits = limits
        self._on_read = on_read
        self._upload = upload
        self._loop = asyncio.get_running_loop()
        self._begun: float | None = None
        self._arrived = 0
        self._whole = False
        self.left = False
        """Whether the client hung up before the end."""
        self.refusal: StreamForgeError | None = None

    async def receive(self) -> Message:
        """The next part; raises `body_too_large` or `request_timeout`."""
        if self._whole:
            return await self._receive()
        if self._begun is None:
            self._begun = self._loop.time()
            self._on_read()
        self._check()
        try:
            async with asyncio.timeout_at(self._deadline(self._begun)):
                message = await self._receive()
        except TimeoutError:
            raise self._refused(StreamForgeError("request_timeout")) from None
        self._arrived += len(message.get("body", b""))
        self._check()
        self.left = message["type"] == "http.disconnect"
        self._whole = self.left or not message.get("more_body", False)
        return message

    def _deadline(self, begun: float) -> float:
        """Until when the next part is waited for."""
        limits = self._limits
        if not self._upload:
            return begun + limits.body_seconds
        earned = begun + min(limits.body_seconds + self._arrived / limits.upload_rate, limits.upload_seconds)
        return min(earned, self._loop.time() + limits.body_seconds)

    def _check(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        if max(self._size, self._arrived) > self._most:
            what = "An upload" if self._upload else "The body"
            raise self._refused(StreamForgeError("body_too_large", f"{what} may have at most {self._most} bytes."))

    def _refused(self, error: StreamForgeError) -> StreamForgeError:
        self.refusal = error
        return error


class _Answer:
    """The response to a request with a body; if that is refused, the refusal: FastAPI would call it malformed."""

    def __init__(self, body: _Body, scope: Scope, send: Send) -> None:
        self._body = body
        self._scope = scope
        self._send = send
        self._replaced = False
        self.begun = False

    async def send(self, message: Message) -> None:
        """Send it on, unless the body was refused, or its client has left."""
        if self._replaced or (self._body.left and not self.begun):
            return
        if not self.begun and self._body.refusal is not None:
            await self.refuse(self._body.refusal)
            return
        self.begun = True
        await self._send(message)

    async def refuse(self, error: StreamForgeError) -> None:
        """Send the refusal in place of any other response."""
        self.begun = self._replaced = True
        await problem(error.code, detail=error.detail)(self._scope, self._body.receive, self._send)


def announces_body(scope: Scope) -> bool:
    """Whether the head says that a body follows."""
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False


def announced(scope: Scope) -> int | None:
    """How many bytes the body has, if the head says it."""
    length = header_of(scope, b"content-length")
    return int(length[:20]) if length.isdigit() else None
