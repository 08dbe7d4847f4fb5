"""The Redis commands about streams, packed for sending."""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass

from domain.events import Event, Terminal
from domain.streams import StreamInfo, started
from stores.streams.base import Binding
from stores.streams.codec import encode, encode_info, encode_outcome
from stores.streams.shared import scripts

_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Spans:
    """Seconds that a lease lasts and that a finished stream is kept, the most bytes of finished streams, and the most
    idempotency keys of one owner that are remembered for streams whose logs are gone."""

    lease: float
    retention: float
    retained_bytes: int
    claims: int = 10_000


class Commands:
    """Packs the commands of one process, all under one prefix. Redis gets seconds as milliseconds.

    In the docstrings, `->` introduces the reply; a code is one of those in `scripts`.
    """

    def __init__(self, prefix: str, process: str, spans: Spans) -> None:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError("REDIS_PREFIX may have letters, digits and ._:- (100 at most)")
        self._prefix = prefix.encode()
        self._process = process.encode()
        self._lease = _ms(spans.lease)
        # A running stream is kept for much longer than its lease, so that another process can find it and end it.
        self._ttl = _ms(spans.retention + 10 * spans.lease)
        self._retention = _ms(spans.retention)
        self._most = b"%d" % spans.retained_bytes
        self._most_claims = b"%d" % spans.claims
        self._held = (self._process, self._lease, self._ttl)
        self._live = self._prefix + b":live"
        self._finished = [self._prefix + name for name in (b":finished", b":retained", b":owners", b":held")]

    def log_key(self, stream_id: str) -> bytes:
        """The key of a stream's log."""
        return self._stem(stream_id) + b"log"

    def inbox(self, number: int = 0) -> bytes:
        """The key of an inbox of this process. Number 0 receives messages; the others only interrupt a read."""
        return b"%b:inbox:%b%b" % (self._prefix, self._process, b":%d" % number if number else b"")

    def open(self, info: StreamInfo) -> bytes:
        """-> code."""
        start = encode(started(info))
        return scripts.OPEN_LOG.call(self._four(info.id), *self._held, info.id.encode(), encode_info(info), *start)

    def append_head(self, stream_id: str, epoch: int) -> bytes:
        """The beginning of the command, which is the same for all appends to a stream."""
        keys = self._four(stream_id)[:3]
        call = (b"EVALSHA", scripts.APPEND.sha, b"3", *keys, b"%d" % epoch, *self._held)
        return b"*%d\r\n" % (len(call) + 4) + scripts.arguments(*call)

    def append_rest(self, seq: int, size: int, event: Event) -> bytes:
        """The rest of the command, for one event; `size` is that of all texts up to and including it. -> code."""
        kind, fields = encode(event)
        number, total = b"%d" % seq, b"%d" % size
        return b"$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            len(number),
            number,
            len(total),
            total,
            len(kind),
            kind,
            len(fields),
            fields,
        )

    def seal(self, stream_id: str, epoch: int | None, outcome: Terminal) -> bytes:
        """`epoch` is the producer's, `None` for any other process. -> code, the fixed outcome."""
        whose = b"" if epoch is None else b"%d" % epoch
        said = encode_outcome(outcome)
        return scripts.SEAL.call(self._four(stream_id)[:3], whose, *self._held, said, stream_id.encode(), self._prefix)

    def announce(self, info: StreamInfo, epoch: int, outcome: Terminal) -> bytes:
        """-> code, and the outcome if one was already announced."""
        owner = _digest(info.owner)[:32]
        keys = [*self._four(info.id), *self._finished, b"%b:finished:%b" % (self._prefix, owner)]
        said = (*encode(outcome), encode_outcome(outcome))
        return scripts.ANNOUNCE.call(keys, b"%d" % epoch, *said, self._retention, info.id.encode(), owner)

    def claim(self, stream_id: str, *, force: bool) -> bytes:
        """-> code, epoch, the sealed outcome."""
        args = (*self._held, stream_id.encode(), self._prefix, b"1" if force else b"")
        return scripts.CLAIM.call(self._four(stream_id), *args)

    def lost(self, most: int, but: Collection[str]) -> bytes:
        """Claim at most `most` streams without a lease, but none in `but`. -> [id, epoch, info, outcome] of each."""
        ids = [stream_id.encode() for stream_id in but]
        return scripts.LOST.call([self._live], *self._held, self._prefix, b"%d" % (most + len(ids)), *ids)

    def give_back(self, stream_id: str, epoch: int) -> bytes:
        """Undo a claim, so that others can claim the stream. -> code."""
        return scripts.GIVE_BACK.call(self._four(stream_id)[1:], b"%d" % epoch, stream_id.encode())

    def refresh(self, stream_id: str, epoch: int, *, reading: bool) -> bytes:
        """-> code."""
        args = (b"%d" % epoch, *self._held, stream_id.encode(), b"1" if reading else b"")
        return scripts.REFRESH.call(self._four(stream_id), *args)

    def look(self, stream_id: str, *, reading: bool) -> bytes:
        """-> info, state and outcome; none if there is no such stream."""
        return scripts.LOOK.call([self._meta(stream_id)], self._process, self._lease, b"1" if reading else b"")

    def readers(self, stream_id: str) -> bytes:
        """-> 1 if another process has a reader, else 0."""
        return scripts.READERS.call([self._meta(stream_id)], self._process)

    def left(self, stream_id: str) -> bytes:
        """-> ignored."""
        args = (self._process, stream_id.encode(), self._prefix, self._ttl)
        return scripts.LEFT.call([self._meta(stream_id)], *args)

    def discard(self, stream_id: str, epoch: int) -> bytes:
        """-> code."""
        return scripts.DISCARD.call(self._four(stream_id), b"%d" % epoch, stream_id.encode())

    def bind(self, owner: str, key: str, binding: Binding) -> bytes:
        """-> the first value, for `read_binding`."""
        value = binding.stream_id.encode() + b":" + binding.digest.hex().encode()
        return scripts.BIND.call([self._key(owner, key), self._meta(binding.stream_id)], value, self._ttl)

    def bound(self, owner: str, key: str) -> bytes:
        """-> the value for `read_binding`, or none."""
        return b"*2\r\n" + scripts.arguments(b"GET", self._key(owner, key))

    def release(self, owner: str, key: str, stream_id: str) -> bytes:
        """-> ignored."""
        return scripts.RELEASE.call([self._key(owner, key)], stream_id.encode())

    def prune(self, most: int) -> bytes:
        """Delete finished streams that have expired, and some if there are too many. -> how many, at most `most`."""
        args = (self._prefix, self._most, self._retention, b"%d" % most, self._most_claims)
        return scripts.PRUNE.call(self._finished, *args)

    def interrupt(self, number: int) -> bytes:
        """Make a blocked read of the inbox return. -> ignored."""
        return scripts.TELL.call([self.inbox(number)], b"woken", b"", self._ttl)

    def _stem(self, stream_id: str) -> bytes:
        return b"%b:{%b}:" % (self._prefix, stream_id.encode())

    def _meta(self, stream_id: str) -> bytes:
        return self._stem(stream_id) + b"meta"

    def _four(self, stream_id: str) -> list[bytes]:
        stem = self._stem(stream_id)
        return [stem + b"log", stem + b"meta", stem + b"lease", self._live]

    def _key(self, owner: str, key: str) -> bytes:
        return b"%b:key:%b" % (self._prefix, _digest(f"{len(owner)}:{owner}{key}"))


def read_binding(value: bytes) -> Binding | None:
    """An idempotency key's binding; `None` if the value is not one."""
    match = re.fullmatch(rb"([0-9a-f]{32}):((?:[0-9a-f]{2}){0,64})", value)
    return Binding(match[1].decode(), bytes.fromhex(match[2].decode())) if match else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest().encode()


def _ms(seconds: float) -> bytes:
    return b"%d" % max(1, round(seconds * 1000))
