"""The table of errors: for each code, the HTTP status, whether the client may retry, a sentence for the client, and
the state of an answer that ends with it.

The same code is used before the first byte (an RFC 9457 body with that status) and after it (the
`error` event that ends a stream). The sentences tell the client what to do, and never contain
a key, a prompt, an address or a provider's own words.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from domain.callers import Share


class ErrorKind(NamedTuple):
    """One row of the table. `message_state` is the state of an answer that ends with this error."""

    status: int
    retryable: bool
    message: str
    message_state: Literal["failed", "interrupted"] = "failed"


ERRORS: dict[str, ErrorKind] = {
    # The request
    "malformed_request": ErrorKind(400, False, "The body is not valid JSON. Send one JSON object in UTF-8."),
    "malformed_cursor": ErrorKind(400, False, "The cursor must be an event id of this stream, as in the `id:` lines."),
    "malformed_page": ErrorKind(400, False, "The cursor must be the `next` of the previous page of the same list."),
    "malformed_stream_id": ErrorKind(400, False, "A stream id is 32 lower-case hexadecimal characters."),
    "foreign_host": ErrorKind(
        403,
        False,
        "This server answers on this machine's loopback address only. Call it as http://127.0.0.1 or http://localhost.",
    ),
    "forwarded_request": ErrorKind(
        403,
        False,
        "The request came through a proxy, and this server asks nobody for a key. Its operator sets AUTH_MODE, or "
        "ALLOW_UNAUTHENTICATED if all who reach the proxy may do everything.",
    ),
    "foreign_origin": ErrorKind(
        403, False, "Pages of this origin may change nothing here. The operator can list it in CORS_ORIGINS."
    ),
    "unauthenticated": ErrorKind(401, False, "Send an API key or a token as `Authorization: Bearer ...`."),
    "insufficient_scope": ErrorKind(403, False, "The key does not have the scope that this needs."),
    "not_found": ErrorKind(404, False, "There is nothing at this path. GET / lists the endpoints."),
    "stream_not_found": ErrorKind(404, False, "No such stream: its id is unknown, or it has expired."),
    "session_not_found": ErrorKind(404, False, "No such session. GET /sessions lists yours."),
    "message_not_found": ErrorKind(404, False, "No such message in this session. GET /chat/history lists them."),
    "key_not_found": ErrorKind(
        404, False, "There is no such key that this one may revoke: itself, or one made with it. GET /keys lists yours."
    ),
    "probe_not_found": ErrorKind(404, True, "No such probe: it has expired, or another server has it. Try again."),
    "document_not_found": ErrorKind(404, False, "No such document. GET /documents lists yours."),
    "method_not_allowed": ErrorKind(405, False, "This path does not take that method. See /openapi.json."),
    "request_timeout": ErrorKind(408, True, "The request did not arrive in time. Send it again."),
    "cursor_ahead": ErrorKind(409, False, "The cursor lies beyond the stream's newest event."),
    "session_busy": ErrorKind(
        409, True, "An answer is running in this session. Wait for it, stop it, or send on_busy: cancel_previous."
    ),
    "client_id_taken": ErrorKind(409, False, "That client id is already used. Choose another one, or leave it out."),
    "body_too_large": ErrorKind(413, False, "The body is larger than this server accepts."),
    "unsupported_media_type": ErrorKind(415, False, "Send the body as Content-Type: application/json."),
    "invalid_request": ErrorKind(422, False, "The request is not valid. `errors` lists what is wrong, field by field."),
    "message_too_long": ErrorKind(422, False, "The message is longer than this server takes. Send a shorter one."),
    "message_mismatch": ErrorKind(
        422, False, "Last-Event-ID names a stream that answers another message. Leave it out to start a new one."
    ),
    "idempotency_mismatch": ErrorKind(
        422, False, "The Idempotency-Key was used with another request. Use a new key for a new request."
    ),
    "idempotency_gone": ErrorKind(
        409,
        False,
        "The request with this Idempotency-Key was carried out, and its stream is no longer kept. If it had a session, "
        "the answer is there; to have it answered again, use a new key.",
    ),
    "model_not_found": ErrorKind(404, False, "There is no model with that name. GET /models lists the available ones."),
    "unsupported_parameter": ErrorKind(422, False, "The model does not take this parameter. `errors` names it."),
    "head_too_large": ErrorKind(
        431, False, "The request has more than 100 header fields, or they are larger than 64 KiB together."
    ),
    "rate_limited": ErrorKind(429, True, "Too many requests. Wait as long as Retry-After says."),
    "too_many_documents": ErrorKind(
        429, True, "Too many of your documents are waiting to be read. Send more when some of them are done."
    ),
    "quota_exceeded": ErrorKind(
        429, False, "This needs more than is left of your share. `quota` says of what; GET /usage lists all of them."
    ),
    # The server
    "internal_error": ErrorKind(500, True, "The server failed. Quote the X-Request-Id when you report it."),
    "too_many_streams": ErrorKind(503, True, "The server is at its limit of live streams. Try again shortly."),
    "too_many_readers": ErrorKind(
        503, True, "This stream has as many readers as the server allows. Try again shortly."
    ),
    "too_many_bodies": ErrorKind(503, True, "The server is taking in as much as it can. Try again shortly."),
    "too_many_probes": ErrorKind(503, True, "The server is at its limit of running probes. Try again shortly."),
    "server_draining": ErrorKind(
        503, True, "The server is shutting down. Send the message again in a moment.", "interrupted"
    ),
    "auth_unavailable": ErrorKind(503, True, "The server cannot check your credentials now. Try again shortly."),
    "log_unavailable": ErrorKind(503, True, "The stream cannot be reached from here now. Try again shortly."),
    "storage_unavailable": ErrorKind(503, True, "The server's database does not answer. Try again shortly."),
    "storage_full": ErrorKind(507, True, "The server has no room to store this. Try again later."),
    # Documents
    "index_mismatch": ErrorKind(
        503,
        False,
        "The documents were indexed with another model. The operator runs `python main.py reindex`.",
    ),
    # The stream
    "stream_cancelled": ErrorKind(409, False, "The answer was stopped before it was complete."),
    "stream_gone": ErrorKind(404, False, "The stream can no longer be resumed. Send the message again without its id."),
    "stream_timeout": ErrorKind(
        504, True, "The answer took longer than this server allows, and was stopped.", "interrupted"
    ),
    "log_limit": ErrorKind(
        507, False, "The answer grew larger than this server keeps, and was stopped.", "interrupted"
    ),
    "producer_lost": ErrorKind(
        502,
        True,
        "The server that was answering is gone. The text so far is kept; send the message again.",
        "interrupted",
    ),
    "not_saved": ErrorKind(503, True, "The answer could not be stored. Send the message again.", "interrupted"),
    # The document
    "document_unsupported": ErrorKind(
        415, False, "Documents of this kind cannot be read. Send text, Markdown, HTML, PDF, DOCX, CSV or JSON."
    ),
    "document_broken": ErrorKind(
        422, False, "The document is damaged. Open it, save it again and upload the new file."
    ),
    "document_encrypted": ErrorKind(422, False, "The document is encrypted. Upload it without its password."),
    "document_too_complex": ErrorKind(
        422, False, "Reading the document takes more than this server allows. Split it, or save it in a simpler format."
    ),
    "document_empty": ErrorKind(422, False, "There is no text in the document."),
    "document_crashed": ErrorKind(
        500,
        False,
        "The document could not be read to its end: it is damaged or takes too much memory. Save it in another format.",
    ),
    "documents_not_installed": ErrorKind(
        503, False, "This server cannot read such documents. Its operator must install requirements.txt."
    ),
    "documents_unconfined": ErrorKind(
        503,
        False,
        "This server reads no documents: its system cannot confine what reads them. Its log says what lacks.",
    ),
    # The model
    "provider_not_configured": ErrorKind(
        503, False, "The model cannot be reached with this server's settings. Its operator finds the reason in the log."
    ),
    "provider_unreachable": ErrorKind(502, True, "The model's server cannot be reached. Try again shortly."),
    "provider_connect_timeout": ErrorKind(
        504, True, "The model's server did not accept the connection in time. Try again shortly."
    ),
    "provider_timeout": ErrorKind(504, True, "The model's server did not answer in time. Try again shortly."),
    "provider_stalled": ErrorKind(
        504, True, "The model fell silent in the middle of the answer. Send the message again.", "interrupted"
    ),
    "provider_overloaded": ErrorKind(503, True, "The model's server is overloaded. Try again shortly."),
    "provider_rate_limited": ErrorKind(429, True, "The model's server takes no more requests now. Try again later."),
    "provider_auth": ErrorKind(
        502, False, "The model's server refused this server's key. Its operator must set another."
    ),
    "provider_model": ErrorKind(
        502, False, "The model's server does not know the model. The operator must set another."
    ),
    "provider_refused": ErrorKind(502, False, "The model's server refused the request. Change the message."),
    "context_overflow": ErrorKind(422, False, "The message is too long for the model. Send a shorter one."),
    "provider_incomplete": ErrorKind(
        502, True, "The model stopped in the middle of the answer. Send it again.", "interrupted"
    ),
    "provider_error": ErrorKind(502, True, "The model's server failed. Send the message again."),
}


_FROM_A_NEWER_VERSION = ErrorKind(
    500, False, "It failed for a reason that this server is too old to know. The code names it."
)


def error_kind(code: str) -> ErrorKind:
    """The row of `code`. A log or a database may hold a code from a newer version; that gets a row of its own."""
    return ERRORS.get(code, _FROM_A_NEWER_VERSION)


class StreamForgeError(Exception):
    """A failure whose `code` is in the table.

    `detail` replaces the table's sentence with a more specific one for the client. `retry_after` is in whole
    seconds; `pointer` is a JSON pointer to the field of the body that caused it; `stream_id` names the stream that
    ended with it, and `spent` says whether a model has already used tokens for that stream. `share` is what is used up.
    """

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        retry_after: int | None = None,
        pointer: str | None = None,
        stream_id: str | None = None,
        spent: bool = False,
        share: "Share | None" = None,
    ) -> None:
        kind = error_kind(code)
        super().__init__(detail or kind.message)
        self.code = code
        self.status = kind.status
        self.detail = detail or kind.message
        self.retry_after = retry_after
        self.pointer = pointer
        self.stream_id = stream_id
        self.spent = spent
        self.share = share
