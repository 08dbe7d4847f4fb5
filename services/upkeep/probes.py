"""Probes: timed frames that `python main.py doctor` asks for through a deployment's proxies.

Everybody may ask for one, so they are few at once and short. What became of a probe is remembered for a moment: its
doctor has hung up and asks, on another connection, whether that was seen.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from domain.errors import StreamForgeError
from domain.streams import RETRY_AFTER

MAX_AT_ONCE = 16
REMEMBERED = 256
REMEMBERED_SECONDS = 60.0
MAX_SILENCE = 65.0
"""Seconds. Above the 60 after which most proxies, as they are shipped, end a silent connection."""

_LONGER = 1.1  # than a stream is ever silent: one that just survives today does not tomorrow

State = Literal["running", "ended", "left"]


class Probe:
    """One that was asked for. `left` says that its client hung up before the end."""

    __slots__ = ("asked", "state")

    def __init__(self, asked: float) -> None:
        self.asked = asked
        self.state: State = "running"


class Probes:
    """The probes of this process. `heartbeat` is what real streams have, `clock` gives monotonic seconds.

    None begins while the server is `draining`.
    """

    def __init__(
        self, draining: Callable[[], bool], *, heartbeat: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._draining = draining
        self._clock = clock
        self._running = 0
        self._last: OrderedDict[str, Probe] = OrderedDict()
        self.heartbeat = heartbeat

    @property
    def silence(self) -> float:
        """Seconds for which a silent probe is silent: a little longer than a stream may be."""
        return round(min(self.heartbeat * _LONGER, MAX_SILENCE), 4)

    def begin(self, probe_id: str) -> Probe:
        """A probe runs from now on. Refused with `too_many_probes`, or `server_draining`."""
        if self._draining():
            raise StreamForgeError("server_draining", retry_after=RETRY_AFTER)
        if self._running >= MAX_AT_ONCE:
            raise StreamForgeError("too_many_probes", retry_after=RETRY_AFTER)
        self._running += 1
        self._last[probe_id] = probe = Probe(self._clock())
        self._last.move_to_end(probe_id)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        return probe

    def end(self, probe: Probe, *, left: bool) -> None:
        """It has said all it had to, or its client has `left`."""
        self._running -= 1
        probe.state = "left" if left else "ended"

    def state(self, probe_id: str) -> State:
        """What became of the last probe with this id; `probe_not_found` for one of another process, or of long ago."""
        probe = self._last.get(probe_id)
        if probe is None or self._clock() - probe.asked > REMEMBERED_SECONDS + MAX_SILENCE:
            raise StreamForgeError("probe_not_found")
        return probe.state
