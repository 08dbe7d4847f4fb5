"""Assembles tool calls from LangChain's pieces: finds out which call a piece belongs to, and what it adds.

Providers distinguish the calls of one answer by index, by id, or not at all if each comes in one piece. Some repeat the
name with every piece, or send a different id with each.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from chains.core.reading.surrogates import Mender
from domain.errors import StreamForgeError
from domain.events import ToolCall
from domain.text import UNWRITABLE, writable

_MAX_ID = 200
_MAX_NAME = 200


class _Call:
    """One call. Its arguments are held back until its name is known."""

    __slots__ = ("_argued", "_id", "_mender", "_waiting", "name")

    def __init__(self, id: str) -> None:
        # Clients send it back to us, so it must be short and valid everywhere.
        usable = 0 < len(id) <= _MAX_ID and not UNWRITABLE.search(id)
        self._id = id if usable else f"call_{secrets.token_hex(12)}"
        self._mender = Mender()
        self._waiting = ""
        self._argued = False
        self.name = ""

    def add(self, name: str, arguments: str) -> ToolCall | None:
        """Take the next piece; returns the event for it, `None` if there is none yet."""
        arguments = self._waiting + self._mender.mend(arguments)
        first = bool(name) and not self.name
        self.name = self.name or writable(name)[:_MAX_NAME]
        self._waiting = "" if self.name else arguments
        if not self.name or not (first or arguments):
            return None
        self._argued = self._argued or bool(arguments)
        return ToolCall(self._id, self.name if first else None, arguments)

    def rest(self, *, whole: bool) -> ToolCall | None:
        """The event for whatever was held back; a whole call without arguments gets `{}`."""
        left = self._mender.rest()
        if whole and not left and not self._argued:
            left = "{}"
        return ToolCall(self._id, None, left) if left else None


class ToolCalls:
    """The calls of one answer."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[Any, _Call] = {}
        self._by_id: dict[str, _Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, piece: Mapping[str, Any]) -> ToolCall | None:
        """Take a piece from LangChain; returns the event for it, `None` if there is none yet."""
        name = str(piece.get("name") or "")
        call = self._call(str(piece.get("id") or ""), piece.get("index"), named=bool(name))
        return call.add(name, str(piece.get("args") or ""))

    def finish(self, *, whole: bool) -> list[ToolCall]:
        """The events for whatever was held back; raises `provider_incomplete` if a call has no name.

        An answer that is not `whole` was cut off, perhaps in the middle of a call, so its calls are not completed.
        """
        if not all(call.name for call in self._calls):
            raise StreamForgeError("provider_incomplete")
        return [rest for call in self._calls if (rest := call.rest(whole=whole)) is not None]

    def _call(self, id: str, index: Any, *, named: bool) -> _Call:
        if id in self._by_id:
            return self._by_id[id]
        known = self._by_index.get(index) if index is not None else None
        if known is not None and not (id and named):
            return known
        if known is None and index is None and not id and not named and self._calls:
            return self._calls[-1]
        call = _Call(id)
        self._calls.append(call)
        if id:
            self._by_id[id] = call
        if index is not None:
            self._by_index[index] = call
        return call
