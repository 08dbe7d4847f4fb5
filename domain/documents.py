"""Documents that owners upload, the pieces they are cut into, and the passages found in them."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from domain.errors import error_kind

DocumentState = Literal["queued", "parsing", "splitting", "embedding", "ready", "failed"]
STATES: tuple[DocumentState, ...] = get_args(DocumentState)
Work = Literal["parsing", "splitting", "embedding"]
"""The states of a document that a worker is processing."""

MAX_NAME = 255
MAX_DETAIL = 300
MAX_COLLECTIONS = 20
"""How many collections one document may be in."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document of `owner`. Times are in seconds since the Unix epoch, `size` in bytes.

    `digest` is the SHA-256 of its bytes, in hexadecimal; an owner has the same bytes only once. `media_type` and
    `title` come from the content and are known once it is parsed. `code` is why it `failed`, a key of `ERRORS`;
    `detail` is a sentence that replaces the table's. `stream_id` is the log of its progress.
    """

    id: str
    owner: str
    name: str
    digest: str
    size: int
    state: DocumentState
    created: float
    updated: float
    collections: tuple[str, ...] = ()
    media_type: str | None = None
    title: str | None = None
    pages: int | None = None
    chunks: int | None = None
    code: str | None = None
    detail: str | None = None
    stream_id: str | None = None

    @property
    def error(self) -> str | None:
        """Why it failed, in a sentence; `None` if it did not."""
        return self.detail or error_kind(self.code).message if self.code else None


@dataclass(frozen=True, slots=True)
class Collection:
    """An owner's named set of documents: how many are ready, failed and still waiting, and their total `size` in bytes.

    `created` is the time of its oldest document, `updated` that of the newest change to one of them.
    """

    name: str
    ready: int = 0
    failed: int = 0
    waiting: int = 0
    size: int = 0
    created: float = 0.0
    updated: float = 0.0

    @property
    def documents(self) -> int:
        """How many documents there are in any state."""
        return self.ready + self.failed + self.waiting


@dataclass(frozen=True, slots=True)
class IngestionJob:
    """A document taken from the queue to be ingested, with its bytes. `attempt` counts from 1."""

    document: Document
    content: bytes
    attempt: int


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document's text that lies on one page (from 1) and under one heading."""

    text: str
    page: int | None = None
    heading: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's content. Its whole text is its sections, in reading order, joined by an empty line."""

    media_type: str
    sections: tuple[Section, ...]
    title: str | None = None
    pages: int | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Piece `number` (from 0) of a document; `start` and `end` are its place in the whole text, in characters."""

    number: int
    text: str
    start: int
    end: int
    page: int | None = None
    heading: str | None = None


class PieceKey(NamedTuple):
    """Identifies a piece: a document and the piece's number in it."""

    document_id: str
    number: int


class Hit(NamedTuple):
    """A piece that is close to a question; `score` is the cosine similarity, -1 to 1."""

    key: PieceKey
    score: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece as it is quoted. `name` and `title` are the document's; one without a title has its name there.

    `score` is as in `Hit`.
    """

    key: PieceKey
    name: str
    title: str
    text: str
    page: int | None = None
    heading: str | None = None
    score: float | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """Vectors of one embedding model, all with `dimension` numbers. Never compare vectors of different indexes."""

    model: str
    dimension: int


Vector = bytes
"""Little-endian float32 numbers, normalised: the dot product of two vectors is their cosine."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Which of an owner's documents to search: those in `collections` or with `ids`, or all if neither is given.

    At most `top_k` passages with a cosine of at least `min_score`; `None` means the server's settings.
    """

    collections: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None
    top_k: int | None = None
    min_score: float | None = None
