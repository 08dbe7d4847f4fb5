"""A server under attack: every answer is judged, and a victim's things are looked after."""

import contextlib
import http.client
import json
import socket
import struct
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from domain.errors import ERRORS
from routers.api import dialects
from routers.http.dialects import error_shape
from routers.http.error_shapes import PROBLEM
from routers.http.errors import Problem
from routers.openai.errors import OPENAI_ERROR, OpenAIError
from services.access.api_keys import MadeKey
from tests.support.keys import KeyRing, bearer
from tests.support.server import Process, process_server
from tests.support.sse import Parser
from tests.support.uploads import send

SECRET = "the-secret-of-this-server-" + "s" * 32
CANARY = "a-word-of-the-victim-alone"
NEVER_TOLD = (
    "Traceback",
    "site-packages",
    "sqlalchemy",
    "sqlite3",
    "asyncpg",
    "pydantic",
    "streamforge.db",
    SECRET,
    CANARY,
)
DIALECTS = dialects(api_keys=True)
UNLIMITED = {
    f"OWNER_{what}": "unlimited" for what in ("STREAMS", "SEARCHES", "STORED_BYTES", "DOCUMENTS", "SESSIONS", "TOKENS")
}
Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Ask:
    """A request, as it is shown if it fails."""

    method: str
    target: bytes
    body: bytes = b""
    headers: Headers = ()

    def raw(self) -> bytes:
        """The bytes on the wire."""
        lines = [f"{self.method} ".encode() + self.target + b" HTTP/1.1", b"host: 127.0.0.1"]
        lines += [name.encode("latin-1") + b": " + value for name, value in self.headers]
        if self.body or self.method not in ("GET", "HEAD"):
            lines.append(b"content-length: %d" % len(self.body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body

    @property
    def path(self) -> str:
        """The path as the server decodes it."""
        return urllib.parse.unquote_to_bytes(self.target.partition(b"?")[0]).decode("utf-8", "replace")


@dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]


class Connection:
    """A connection that is opened again when it has ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def exchange(self, raw: bytes, method: str, *, seconds: float = 20) -> Answer | None:
        """The answer to these bytes; `None` if the server closes without one."""
        for _ in range(2):
            kept = self._socket is not None
            try:
                answer = self._try(raw, method, seconds)
            except (ConnectionError, http.client.HTTPException):
                answer = None
                self.close()
            if answer is not None or not kept:  # else it may have been closed in between
                return answer
        return None

    def _try(self, raw: bytes, method: str, seconds: float) -> Answer | None:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.settimeout(seconds)
        with contextlib.suppress(ConnectionError):  # it may have refused the head already
            self._socket.sendall(raw)
        response = http.client.HTTPResponse(self._socket, method=method)
        with contextlib.closing(response):
            response.begin()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
            if response.will_close:
                self.close()
        return answer

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@dataclass
class Siege:
    """The server, the attacker's key and things, and the victim's."""

    process: Process
    url: str
    ring: KeyRing
    key: MadeKey
    victim: MadeKey
    connection: Connection
    asked: int = 0
    victims_session: str = ""
    read_log: int = 0
    things: dict[str, str] = field(default_factory=dict)
    """The attacker's own, by what they are."""

    @classmethod
    def begin(cls, process: Process, url: str, ring: KeyRing) -> "Siege":
        """Make the victim's things."""
        port = urllib.parse.urlsplit(url).port
        assert port is not None
        siege = cls(process, url, ring, ring.make("mallory"), ring.make("victim"), Connection(port))
        said = httpx.post(f"{url}/chat", json={"message": CANARY, "new_session": True}, headers=bearer(siege.victim))
        siege.victims_session = said.headers["x-session-id"]
        send(url, f"This is {CANARY}.", name=CANARY, headers=bearer(siege.victim))
        return siege

    def ask(self, ask: Ask) -> Answer:
        """Send it with the attacker's key, and judge the answer."""
        credential = ("authorization", f"Bearer {self.key.text}".encode())
        sent = Ask(ask.method, ask.target, ask.body, (credential, *ask.headers))
        answer = self.connection.exchange(sent.raw(), ask.method)
        assert answer is not None, "the server closed the connection without an answer"
        self.judge(answer, ask.path, ask.method)
        return answer

    def judge(self, answer: Answer, path: str | None, method: str) -> None:
        """What holds for every answer, and of the server after it."""
        self.asked += 1
        if "x-request-id" not in answer.headers:  # no HTTP for uvicorn, and so not for us
            assert answer.status == 400
            return
        judge(answer, path, method)
        self.look_at_the_log()
        if self.asked % 20 == 0:
            self.victim_is_well()

    def look_at_the_log(self) -> None:
        """Nothing has failed that nobody foresaw."""
        lines, self.read_log = self.process.log[self.read_log :], len(self.process.log)
        for line in lines:
            record = json.loads(line)
            assert record.get("exception", "StreamForgeError") == "StreamForgeError", line
            assert record["level"] not in ("error", "critical"), line
            assert SECRET not in line
            assert CANARY not in line
            assert self.key.text.split("_")[2] not in line

    def victim_is_well(self) -> None:
        """Another owner sees what it saw before, and is answered."""
        headers = bearer(self.victim)
        with httpx.Client(base_url=self.url, headers=headers, timeout=20) as client:
            history = client.get(f"/chat/history/{self.victims_session}").json()["items"]
            assert history[0]["text"] == CANARY
            assert [item["name"] for item in client.get("/documents").json()["items"]] == [CANARY]
            assert client.post("/chat", json={"message": "Are you there?"}).status_code == 200
        assert self.process.popen.poll() is None


def judge(answer: Answer, path: str | None, method: str) -> None:
    """No failure of the server's, a refusal in the shape of its path if that is known, and no secret told."""
    text = answer.body.decode("utf-8", "replace")
    assert answer.status < 500, (answer.status, text[:500])
    assert not [word for word in NEVER_TOLD if word in text], text[:500]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]
    if answer.media_type == "text/event-stream":
        stream = Parser()
        stream.feed(answer.body)
        assert not stream.rest
        assert stream.messages or stream.comments
    elif answer.status >= 400 and method != "HEAD" and path is not None:
        _judge_refusal(answer, path, text)
    elif answer.media_type == "application/json" and answer.body:
        json.loads(answer.body)


def _judge_refusal(answer: Answer, path: str, text: str) -> None:
    shape = error_shape(path, DIALECTS)
    assert answer.media_type == shape.media_type, (answer.media_type, text[:300])
    if shape is PROBLEM:
        said = Problem.model_validate_json(answer.body)
        assert said.status == answer.status
        assert said.code in ERRORS
    elif shape is OPENAI_ERROR:
        assert OpenAIError.model_validate_json(answer.body).error.code in ERRORS
    else:
        assert 0 < len(text) <= 500


@contextlib.contextmanager
def siege(folder: Path, **settings: Any) -> Iterator[Siege]:
    """A process of its own, with authentication and without limits that would end the attack early."""
    ring = KeyRing(folder / "data")
    more = {"STREAM_DELAY": 0, "STREAM_COMMIT_DELAY": 0, "SIMULATED_TEXT": "Words"}
    more |= {"AUTH_MODE": "api_key", "DATA_DIR": ring.folder, "STREAM_RETENTION": 20, "DOCUMENTS_AT_ONCE": 1}
    more["PROVIDER_KEYS"] = json.dumps({"openai": SECRET})
    with process_server(**{**more, **UNLIMITED, **settings}) as (process, url):
        begun = Siege.begin(process, url, ring)
        yield begun
        begun.connection.close()
