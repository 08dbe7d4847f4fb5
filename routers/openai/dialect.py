"""OpenAI's API as one of the dialects."""

from routers.http.dialects import Dialect
from routers.openai import completions, embeddings, files, vector_stores
from routers.openai.completion_response import Completion
from routers.openai.errors import OPENAI_ERROR, OpenAIError

DIALECT = Dialect(
    "/v1",
    [completions.router, embeddings.router, files.router, vector_stores.read_router, vector_stores.router],
    OPENAI_ERROR,
    components=[OpenAIError, Completion],
    uploads=["/v1/files"],
)
