"""What a dialect is: one of the APIs that clients speak here, our own or another's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from pydantic import BaseModel

from routers.http.error_shapes import PROBLEM, ErrorShape


@dataclass(frozen=True, slots=True)
class Dialect:
    """An API, on all paths that begin with `prefix`; with an empty one, on those that no other dialect claims.

    `routers` come busiest first. `components` are models that /openapi.json refers to and FastAPI does not know of.
    `uploads` are the paths whose routes read the body themselves, as it arrives.
    """

    prefix: str
    routers: Sequence[APIRouter]
    errors: ErrorShape
    components: Sequence[type[BaseModel]] = ()
    uploads: Sequence[str] = ()

    def claims(self, path: str) -> bool:
        """Whether the path is one of its own."""
        return path == self.prefix or path.startswith(f"{self.prefix}/")


def error_shape(path: str, dialects: Iterable[Dialect]) -> ErrorShape:
    """How clients of this path expect to be refused."""
    claiming = [dialect for dialect in dialects if dialect.claims(path)]
    return max(claiming, key=lambda dialect: len(dialect.prefix)).errors if claiming else PROBLEM
