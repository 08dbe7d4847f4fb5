"""Parameters that routes read from the request themselves, as /openapi.json describes them.

If FastAPI read them, that would cost a request that starts a stream more than sending a word does.
"""

from routers.http.request_headers import LAST_EVENT_ID
from wires.table import WIRES

FORMAT = (
    "`text`: plain `data:` blocks; `events`: everything, with ids; `openai`, `ai_sdk`, `ag_ui`: as clients of OpenAI, "
    "the AI SDK and AG-UI read it"
)
FORMAT_PARAMETER = {
    "name": "format",
    "in": "query",
    "required": False,
    "description": FORMAT,
    "schema": {"type": "string", "enum": list(WIRES), "default": "text"},
}
SESSION_ID_PARAMETER = {
    "name": "session_id",
    "in": "query",
    "required": False,
    "description": "The session to answer in, as in the body",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$", "maxLength": 32},
}
IDEMPOTENCY_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A key of your own: the same request with the same key never starts a second stream",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]{1,255}$"},
}
LAST_EVENT_ID_PARAMETER = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": LAST_EVENT_ID,
    "schema": {"type": "string", "maxLength": 50},
}
DETACH_PARAMETER = {
    "name": "X-Stream-Detach",
    "in": "header",
    "required": False,
    "description": "`true`: the answer continues when its last reader leaves, and can be resumed by its `X-Stream-Id`",
    "schema": {"type": "string", "enum": ["true", "false"]},
}
