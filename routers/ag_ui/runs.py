"""AG-UI: a run of an agent in one POST.

A thread is a session under the client's own id, as long as it is all text: a session can store nothing else. A run with
tools or pictures is answered from the messages that the client sends, and not stored.
"""

from dataclasses import replace
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from domain.errors import StreamForgeError
from domain.streams import OnDisconnect, Order, digest
from routers.ag_ui.dialogue import dialogue_of
from routers.ag_ui.run_input import INPUT, ask_in_thread, messages_of, model_of, read_run
from routers.deps import caller_of, services_of
from routers.http.errors import is_json
from routers.http.guard import guarded
from routers.http.request_headers import idempotency_key, wants_to_detach
from routers.openapi.codes import ANSWERS_IN_A_SESSION, GUARDED, STARTS_A_STREAM
from routers.openapi.parameters import DETACH_PARAMETER, IDEMPOTENCY_KEY_PARAMETER
from routers.openapi.plain_text import text_stream
from routers.streams.responses import StreamResponse
from services.chats.alignment import ClientTurn
from wires.ag_ui import AgUiEncoder
from wires.table import WIRES

router = APIRouter(tags=["AG-UI"], route_class=guarded("chat"))


@router.post(
    "/ag-ui",
    summary="Run the agent (AG-UI)",
    response_class=StreamingResponse,
    openapi_extra={
        "parameters": [IDEMPOTENCY_KEY_PARAMETER, DETACH_PARAMETER],
        "requestBody": {"required": True, "content": {"application/json": {"schema": INPUT}}},
    },
    responses=text_stream(*GUARDED, *STARTS_A_STREAM, *ANSWERS_IN_A_SESSION),
)
async def run_agent(request: Request) -> Response:
    """Answers the last message of the thread, as a run.

    The history of a known thread is the one stored here; an unknown thread begins with the client's messages, as in a
    chat of the AI SDK. A run that offers tools, or continues with their results, is answered from the messages that the
    client sends. Hanging up stops the model, because that is how these clients abort a run.
    """
    services, caller = services_of(request), caller_of(request)
    key = idempotency_key(request)
    if not is_json(request.headers.get("content-type", "")):
        raise StreamForgeError("unsupported_media_type")
    body = await request.body()
    run = await read_run(body)
    leave: OnDisconnect = "detach" if wants_to_detach(request) else "cancel"
    about = digest(f"ag_ui {body.decode()}") if key is not None else b""
    dialogue = dialogue_of(run)
    order = Order(dialogue or ask_in_thread(run), model_of(run), leave, idempotency_key=key, digest=about)
    if dialogue is not None:
        opened = await services.streaming.start(caller, order)
    else:
        opened = await services.chats.start(caller, run.thread_id, ClientTurn(messages_of(run)), order)
    wire = replace(WIRES["ag_ui"], encoder=partial(AgUiEncoder, thread_id=run.thread_id, run_id=run.run_id))
    return StreamResponse(services.streaming, opened.tail, wire, replayed=opened.replayed)
