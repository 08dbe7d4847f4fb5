"""Feeds the entries of a Redis stream into a tail: in order, without a gap, and only valid ones."""

import re
from collections.abc import Mapping
from typing import Final

from domain.events import Cancelled, Done, Failed
from stores.streams.codec import Unreadable, decode
from stores.streams.shared.connection import Link
from stores.streams.tail import Tail

_PAGE: Final = 250
_ENTRY_ID = re.compile(rb"([1-9][0-9]{0,9})-0")

Entry = tuple[bytes, Mapping[bytes, bytes]]


def feed(tail: Tail, entry: Entry) -> None:
    """Show the next entry to the followers; skip one that was already seen. Raises `Unreadable` for an invalid one."""
    entry_id, fields = entry
    number = _ENTRY_ID.fullmatch(entry_id)
    if number is None or not isinstance(fields, Mapping) or len(fields) != 1:
        raise Unreadable("an entry that is not an event")
    seq, due = int(number[1]), len(tail.events) + 1
    if seq < due:
        return
    if seq > due or tail.ended:
        raise Unreadable(f"event {seq} instead of event {due}")
    ((kind, value),) = fields.items()
    event = decode(kind, value)
    if isinstance(event, Done | Failed | Cancelled):
        tail.finish(event)
    else:
        tail.publish(event)


async def load(link: Link, key: bytes, tail: Tail) -> None:
    """Feed all entries into the tail. Raises `Unreadable` or `log_unavailable`."""
    while not tail.ended:
        after = f"{len(tail.events) + 1}-0"
        page = await link.ask(lambda redis: redis.xrange(key, min=after, count=_PAGE))  # noqa: B023
        for entry in page:
            feed(tail, entry)
        if len(page) < _PAGE:
            return
