"""Files from clients and to them: forms, read by their route once the guard knows the caller; and downloads."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from fastapi import Request, Response
from starlette import formparsers
from starlette.datastructures import FormData, Headers, UploadFile

from domain.documents import Document
from domain.errors import StreamForgeError

MAX_FIELDS = 100
"""Fields of a form, including its files."""
_FIELD_BYTES = 1_000


class _Form(formparsers.MultiPartParser):
    """Refuses a truncated form: Starlette accepts it and drops the file that was cut."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], files: int) -> None:
        super().__init__(headers, stream, max_files=files, max_fields=MAX_FIELDS - 1, max_part_size=_FIELD_BYTES)
        self._whole = False

    def on_end(self) -> None:
        self._whole = True

    async def parse(self) -> FormData:
        try:
            form = await super().parse()
            if not self._whole:
                raise formparsers.MultiPartException("It breaks off before its end.")
        except BaseException:  # also when the client leaves
            for file in self._files_to_close_on_error:
                file.close()
            raise
        return form


@asynccontextmanager
async def form_of(request: Request, *, files: int) -> AsyncIterator[FormData]:
    """The form, with at most `files` files, which are closed at the end."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise StreamForgeError("unsupported_media_type", "Send the files as multipart/form-data.")
    if getattr(formparsers, "multipart", None) is None:  # Starlette would fail with an assertion
        raise StreamForgeError("documents_not_installed")
    try:
        form = await _Form(request.headers, request.stream(), files).parse()
    except formparsers.MultiPartException as error:
        raise StreamForgeError("malformed_request", f"The form cannot be read: {error.message}") from None
    except OSError as error:  # larger files are kept on disk
        raise StreamForgeError("storage_full") from error
    try:
        yield form
    finally:
        await form.close()


def filename_of(file: UploadFile) -> str:
    """The file's name. HTML forms escape quotes and line ends (HTML Living Standard, 4.10.22.8)."""
    name = file.filename or ""
    return name.replace("%22", '"').replace("%0D", " ").replace("%0A", " ")


def download(document: Document, content: bytes) -> Response:
    """The file as an attachment: a browser must never render it, because its content is a caller's."""
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(document.name, safe='')}",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    return Response(content, 200, headers, "application/octet-stream")
