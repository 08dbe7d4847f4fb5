"""Documents: what an owner has given us to know, the pieces that it is cut into, and what is found in them."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from domain.errors import ERRORS

DocumentState = Literal["queued", "parsing", "splitting", "embedding", "ready", "failed"]
STATES: tuple[DocumentState, ...] = get_args(DocumentState)
Work = Literal["parsing", "splitting", "embedding"]
"""The states of a document that somebody works on."""

MAX_NAME = 255
MAX_DETAIL = 300
MAX_COLLECTIONS = 20
"""Of one document."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document of `owner`. Moments are in seconds since the Unix epoch, `size` in bytes.

    `digest` is the SHA-256 of its bytes, in hexadecimal: an owner has the same bytes once. `media_type` and `title` are
    what the content says, known once it was parsed; `code` is why it `failed`, and `detail` more about that, where
    there is more to say. `stream_id` is the log of its progress.
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
        """Why it failed, in a sentence."""
        return self.detail or ERRORS[self.code].message if self.code in ERRORS else None


@dataclass(frozen=True, slots=True)
class Collection:
    """What an owner has put under a name: how many documents, by what became of them, and of how many bytes in all.

    Moments are those of its oldest document, and of the newest change to one.
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
        """How many there are in all."""
        return self.ready + self.failed + self.waiting


@dataclass(frozen=True, slots=True)
class Job:
    """A document to be read, by whoever has claimed it. `attempt` counts from 1."""

    document: Document
    content: bytes
    attempt: int


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document's text, in reading order, that has one page (from 1) and one heading over it."""

    text: str
    page: int | None = None
    heading: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What is in a document. Its whole text is that of its sections, with an empty line between them."""

    media_type: str
    sections: tuple[Section, ...]
    title: str | None = None
    pages: int | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Piece `number` (from 0) of a document; `start` and `end` are where it stands in the whole text, in characters."""

    number: int
    text: str
    start: int
    end: int
    page: int | None = None
    heading: str | None = None


class Key(NamedTuple):
    """Which piece of which document."""

    document_id: str
    number: int


class Hit(NamedTuple):
    """A piece that is near a question; `score` is the cosine of their angle, -1 to 1."""

    key: Key
    score: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece as it is quoted: `name` is the document's, `title` its own or else its name; `score` as in `Hit`."""

    key: Key
    name: str
    title: str
    text: str
    page: int | None = None
    heading: str | None = None
    score: float | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """Vectors of one model, all of one length. Those of different indexes must never be compared."""

    model: str
    dimension: int


Vector = bytes
"""Float32, little-endian, of length 1 as a vector: the scalar product of two is their cosine."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """In which of an owner's documents an answer is looked for: all of them, where neither is named.

    `top_k` passages at most, of a cosine of at least `min_score`; by default as the server is set.
    """

    collections: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None
    top_k: int | None = None
    min_score: float | None = None
