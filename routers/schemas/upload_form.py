"""The form in which documents are uploaded."""

from typing import Any

from starlette.datastructures import FormData, UploadFile

from domain.documents import MAX_COLLECTIONS
from domain.errors import StreamForgeError
from routers.http.errors import escaped
from routers.schemas.base import fault_of_name
from routers.schemas.documents import MAX_COLLECTION_NAME, MAX_FILES

UPLOAD_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {
            "type": "array",
            "maxItems": MAX_FILES,
            "items": {
                "type": "string",
                "contentMediaType": "application/octet-stream",
                "format": "binary",
                "maxLength": 2**30,
            },
            "description": "Text, Markdown, HTML, PDF, DOCX, CSV or JSON",
        },
        "collection": {
            "type": "array",
            "maxItems": MAX_COLLECTIONS,
            "items": {"type": "string", "minLength": 1, "maxLength": 100},
            "description": "Collections to put all of them into",
        },
    },
}


def files_in(form: FormData) -> list[UploadFile]:
    """The files of the form; refuses a form with anything that would be ignored."""
    other = next((name for name in form if name not in UPLOAD_FORM["properties"]), None)
    if other is not None:
        detail = "The form takes `file` and `collection`, each any number of times, and nothing else."
        raise StreamForgeError("invalid_request", detail, pointer=f"#/{escaped(other)}")
    sent = form.getlist("file")
    files = [each for each in sent if isinstance(each, UploadFile)]
    if not files or len(files) < len(sent):
        detail = "Send at least one `file`, each with a filename: curl takes -F file=@notes.txt."
        raise StreamForgeError("invalid_request", detail, pointer="#/file")
    return files


def collections_in(form: FormData) -> list[str]:
    """The names of collections, each once."""
    sent = form.getlist("collection")
    names = [name for name in sent if isinstance(name, str)]
    unfit = any(len(name) > MAX_COLLECTION_NAME or fault_of_name(name) for name in names)
    if unfit or len(names) < len(sent) or len(names) > MAX_COLLECTIONS:
        detail = (
            f"A collection has a name of 1 to {MAX_COLLECTION_NAME} characters; "
            f"a document is in at most {MAX_COLLECTIONS}."
        )
        raise StreamForgeError("invalid_request", detail, pointer="#/collection")
    return list(dict.fromkeys(names))
