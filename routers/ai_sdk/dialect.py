"""The AI SDK as one of the dialects."""

from routers.ai_sdk import chat
from routers.http.dialects import Dialect
from routers.http.error_shapes import PLAIN_TEXT

DIALECT = Dialect("/api/chat", [chat.router], PLAIN_TEXT)
