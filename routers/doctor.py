"""Probes for `python main.py doctor`: frames at known times, sent the way that streams are sent.

No model is asked and nothing is stored, so no key is needed. A probe follows from its parameters alone, and one that
was cut can be resumed; only the times in its frames are the server's own.
"""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.types import Receive, Scope, Send

from domain.errors import StreamForgeError
from domain.streams import parse_event_id
from routers.deps import ProbesDep
from routers.http.guard import CountedRoute
from routers.http.leaving import ClientLeft, unless_left
from routers.http.request_headers import LastEventId, LastEventIdQuery
from routers.openapi.codes import PUBLIC, responses
from routers.openapi.streams import EXAMPLE_ID, STREAM_HEADERS
from routers.schemas.base import ResponseModel
from routers.streams.responses import HEADERS, keep_alive
from services.upkeep.probes import Probes, State
from wires.events import HEARTBEAT
from wires.frames import frame

MAX_FRAMES = 50
MAX_INTERVAL = 0.5
"""Seconds. So a probe takes at most 25, and a silent one a heartbeat longer."""

_ASKED_FOR = (b"authorization", b"idempotency-key", b"last-event-id")  # which of the doctor's headers have come through

public = APIRouter(prefix="/chat/doctor", tags=["Server"], route_class=CountedRoute)

_COUNTED = (*PUBLIC, "rate_limited")
_PATTERN = "^[0-9a-f]{32}$"
_EXAMPLE = (
    f'event: start\ndata: {{"probe":"{EXAMPLE_ID}","frames":2,"interval":0.1,"heartbeat":15.0,"silence":16.5,'
    '"http_version":"1.1","received":[]}\n\n'
    f'event: frame\ndata: {{"number":1,"at":0.0002}}\nid: {EXAMPLE_ID}-1\n\n'
    f'event: frame\ndata: {{"number":2,"at":0.1004}}\nid: {EXAMPLE_ID}-2\n\n'
    'event: done\ndata: {"frames":2}\n\n'
)
_STREAM: dict[str, Any] = {
    "description": "The frames",
    "content": {
        "text/event-stream": {
            "itemSchema": {
                "type": "object",
                "required": ["event", "data"],
                "properties": {
                    "event": {"type": "string", "enum": ["start", "frame", "done"]},
                    "data": {"type": "string", "description": "A JSON object"},
                    "id": {"type": "string", "description": "Of a frame: what to send as `Last-Event-ID`"},
                },
            },
            "examples": {"events": {"summary": "Two frames", "value": _EXAMPLE}},
        }
    },
    "headers": {name: STREAM_HEADERS[name] for name in ("X-Stream-Id", "X-Request-Id")},
}


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """What a probe sends, after which frame it begins, and whether it is silent after the first. Seconds."""

    probe_id: str
    frames: int
    interval: float
    silent: bool
    after: int


class ProbeState(ResponseModel):
    """What became of a probe: `left` if the server saw its client hang up."""

    probe: str = Field(pattern=_PATTERN, max_length=32)
    state: State


class ProbeResponse(Response):
    """Sends the frames, each at its time, until the client leaves."""

    def __init__(self, probes: Probes, plan: ProbePlan, received: list[str]) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = [*HEADERS, (b"x-stream-id", plan.probe_id.encode())]
        self._probes = probes
        self._plan = plan
        self._received = received

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        probe = self._probes.begin(self._plan.probe_id, client[0] if client else "")  # a refusal is still a status
        left = True
        try:
            await unless_left(receive, self._pump(scope, send))
            left = False
        except ClientLeft:
            pass
        finally:
            self._probes.end(probe, left=left)

    async def _pump(self, scope: Scope, send: Send) -> None:
        keep_alive(scope, self.raw_headers)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        plan, loop = self._plan, asyncio.get_running_loop()
        begun = due = loop.time()
        await self._send(send, self._start(scope))
        for number in range(plan.after + 1, plan.frames + 1):
            await asyncio.sleep(due - loop.time())
            data = {"number": number, "at": round(loop.time() - begun, 4)}
            await self._send(send, frame("frame", data, f"{plan.probe_id}-{number}"))
            if number == 1 and plan.silent:
                await asyncio.sleep(self._probes.silence)
                await self._send(send, HEARTBEAT)
                due = loop.time()
            due += plan.interval
        await self._send(send, frame("done", {"frames": plan.frames}), last=True)

    async def _send(self, send: Send, body: bytes, *, last: bool = False) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": not last})

    def _start(self, scope: Scope) -> bytes:
        plan = self._plan
        data = {
            "probe": plan.probe_id,
            "frames": plan.frames,
            "interval": plan.interval,
            "heartbeat": self._probes.heartbeat,
            "silence": self._probes.silence,
            "http_version": scope["http_version"],
            "received": self._received,
        }
        return frame("start", data)


@public.get(
    "",
    summary="Start a probe",
    response_class=StreamingResponse,
    responses={
        200: _STREAM,
        204: {"description": "The last frame was already read"},
        **responses(
            *_COUNTED, "malformed_cursor", "cursor_ahead", "invalid_request", "too_many_probes", "server_draining"
        ),
    },
)
async def start_probe(
    request: Request,
    probes: ProbesDep,
    probe: Annotated[str | None, Query(pattern=_PATTERN, max_length=32, description="An id of your own")] = None,
    frames: Annotated[int, Query(ge=1, le=MAX_FRAMES)] = 20,
    interval: Annotated[float, Query(ge=0.01, le=MAX_INTERVAL, description="Seconds between frames")] = 0.1,
    silent: Annotated[
        bool, Query(description="Send nothing after the first frame for a little longer than `STREAM_HEARTBEAT`")
    ] = False,
    last_event_id_query: LastEventIdQuery = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Frames at known times. `python main.py doctor` reads them to see what happens to a stream on its way.

    With the id of a probe's last frame it sends the frames after that one.
    """
    cursor = last_event_id if last_event_id is not None else last_event_id_query
    probe_id, after = _resumed(probe, cursor) if cursor is not None else (probe or secrets.token_hex(16), 0)
    if after > frames:
        raise StreamForgeError("cursor_ahead")
    if after == frames:
        return Response(status_code=204)
    plan = ProbePlan(probe_id, frames, interval, silent and not after, after)
    names = {name for name, _ in request.scope["headers"]}
    return ProbeResponse(probes, plan, [name.decode() for name in _ASKED_FOR if name in names])


@public.get(
    "/{probe}",
    summary="Get a probe's state",
    responses=responses(*_COUNTED, "invalid_request", "probe_not_found"),
)
async def get_probe_state(
    probe: Annotated[str, Path(pattern=_PATTERN, max_length=32)], probes: ProbesDep
) -> ProbeState:
    """Whether the server saw the probe's client hang up; known for a minute or two.

    Only the process that sent the probe knows: with several, ask until you reach it.
    """
    return ProbeState(probe=probe, state=probes.state(probe))


def _resumed(probe: str | None, cursor: str) -> tuple[str, int]:
    """The probe that the cursor names, and the number of the last frame that was read."""
    probe_id, after = parse_event_id(cursor)
    if probe not in (None, probe_id):
        raise StreamForgeError("malformed_cursor")
    return probe_id, after
