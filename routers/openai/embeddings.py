"""OpenAI's embeddings: the vectors by which documents are found here."""

import asyncio
import base64
from collections.abc import Sequence
from struct import unpack
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Response
from pydantic import Field

from domain.documents import Vector
from domain.errors import StreamForgeError
from domain.text import writable
from domain.usage import pieces
from routers.deps import EmbeddingDep
from routers.http.guard import guarded
from routers.openai.errors import OPENAI_ERROR
from routers.openapi.codes import ASKS_A_MODEL, GUARDED, READS_A_BODY, responses
from routers.schemas.base import Count, LenientModel, ListOf, ResponseModel

MAX_TEXTS = 2_048
_AT_ONCE = 64

router = APIRouter(prefix="/v1", tags=["OpenAI"], route_class=guarded("documents"))

InputText = Annotated[str, Field(min_length=1, max_length=100_000)]


class EmbeddingsIn(LenientModel):
    """Texts, and the model to embed them. Lists of tokens are refused: they belong to another model."""

    input: InputText | Annotated[ListOf[InputText], Field(min_length=1, max_length=MAX_TEXTS)]
    model: str = Field(min_length=1, max_length=250, description="The server's embedding model, like `local:wordllama`")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(
        None, ge=1, le=100_000, description="The length of the model's vectors, which is the only one"
    )


class EmbeddingOut(ResponseModel):
    """The vector of a text, normalized: as numbers, or as little-endian float32 in base64."""

    object: Literal["embedding"]
    index: int = Field(ge=0, lt=MAX_TEXTS)
    embedding: list[float] | str = Field(max_length=1_000_000)


class EmbeddingUsage(ResponseModel):
    """Tokens, estimated."""

    prompt_tokens: Count
    total_tokens: Count


class Embeddings(ResponseModel):
    """One vector for each text, in order."""

    object: Literal["list"]
    data: list[EmbeddingOut] = Field(max_length=MAX_TEXTS)
    model: str = Field(max_length=250)
    usage: EmbeddingUsage


@router.post(
    "/embeddings",
    summary="Create embeddings",
    response_class=Response,
    responses={
        200: {"model": Embeddings, "description": "The vectors"},
        **responses(
            *GUARDED, *READS_A_BODY, *ASKS_A_MODEL, "unsupported_parameter", "model_not_found",
            "documents_not_installed", shape=OPENAI_ERROR,
        ),
    },
)  # fmt: skip
async def create_embeddings(wanted: EmbeddingsIn, embedding: EmbeddingDep) -> Response:
    """Embeds texts with the one embedding model of this server. Text beyond its window is left out."""
    model = embedding.require().model
    if wanted.model not in (model, model.partition(":")[2]):
        detail = f"The embedding model of this server is {model!r}."
        raise StreamForgeError("model_not_found", detail, pointer="#/model")
    length = (await embedding.index()).dimension
    if wanted.dimensions not in (None, length):
        detail = f"The vectors of {model!r} have {length} numbers. Leave `dimensions` out."
        raise StreamForgeError("unsupported_parameter", detail, pointer="#/dimensions")
    texts = [writable(text) for text in ([wanted.input] if isinstance(wanted.input, str) else wanted.input)]
    vectors = await embedding.embed(texts)
    head = orjson.dumps({"object": "list", "model": model, "usage": _usage(texts)})
    data = await _encoded(vectors, wanted.encoding_format)
    return Response(head[:-1] + b',"data":[' + data + b"]}", media_type="application/json")


def _usage(texts: Sequence[str]) -> dict[str, int]:
    tokens = sum(pieces(text) for text in texts)
    return {"prompt_tokens": tokens, "total_tokens": tokens}


async def _encoded(vectors: Sequence[Vector], form: str) -> bytes:
    """The vectors as JSON, a few at a time: a million numbers would hold up all streams."""
    parts: list[bytes] = []
    for first in range(0, len(vectors), _AT_ONCE):
        rows = [_row(number, vector, form) for number, vector in enumerate(vectors[first : first + _AT_ONCE], first)]
        parts.append(orjson.dumps(rows)[1:-1])
        await asyncio.sleep(0)
    return b",".join(parts)


def _row(number: int, vector: Vector, form: str) -> dict[str, object]:
    shown: object = (
        list(unpack(f"<{len(vector) // 4}f", vector)) if form == "float" else base64.b64encode(vector).decode()
    )
    return {"object": "embedding", "index": number, "embedding": shown}
