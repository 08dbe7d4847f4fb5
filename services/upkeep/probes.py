"""Probes: timed frames that `python main.py doctor` requests through a deployment's proxies.

They need no key, so they are few at a time and short. A probe's end is remembered for a minute or two: the doctor
hangs up and asks on another connection whether the server noticed.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Literal

from domain.errors import StreamForgeError
from domain.streams import RETRY_AFTER
from services.access.rate_limits import network_of

MAX_AT_ONCE = 16
MAX_OF_AN_ADDRESS = 4
REMEMBERED = 256
REMEMBERED_SECONDS = 60.0
MAX_SILENCE = 65.0
"""Seconds. Above the 60 after which most proxies, as they are shipped, end a silent connection."""

_LONGER = 1.1  # a 10 % margin over the longest silence of a stream

State = Literal["running", "ended", "left"]


class Probe:
    """One probe. `asked` is a moment of the monotonic clock; the state `left` means that the client hung up early."""

    __slots__ = ("address", "asked", "state")

    def __init__(self, address: str, asked: float) -> None:
        self.address = address
        self.asked = asked
        self.state: State = "running"


class Probes:
    """The probes of this process. `heartbeat` is that of real streams; `clock` returns monotonic seconds.

    No probe begins while `draining` returns true.
    """

    def __init__(
        self, draining: Callable[[], bool], *, heartbeat: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._draining = draining
        self._clock = clock
        self._running: Counter[str] = Counter()  # by address
        self._last: OrderedDict[str, Probe] = OrderedDict()
        self.heartbeat = heartbeat

    @property
    def silence(self) -> float:
        """How long a silent probe is silent, in seconds: a little longer than a stream may be."""
        return round(min(self.heartbeat * _LONGER, MAX_SILENCE), 4)

    def begin(self, probe_id: str, address: str) -> Probe:
        """Register a probe that runs now, for this client; raises `too_many_probes` or `server_draining`."""
        address = network_of(address)
        if self._draining():
            raise StreamForgeError("server_draining", retry_after=RETRY_AFTER)
        if self._running.total() >= MAX_AT_ONCE or self._running[address] >= MAX_OF_AN_ADDRESS:
            raise StreamForgeError("too_many_probes", retry_after=RETRY_AFTER)
        self._running[address] += 1
        self._last[probe_id] = probe = Probe(address, self._clock())
        self._last.move_to_end(probe_id)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        return probe

    def end(self, probe: Probe, *, left: bool) -> None:
        """The probe has sent everything, or its client has `left`."""
        self._running[probe.address] -= 1
        if not self._running[probe.address]:
            del self._running[probe.address]
        probe.state = "left" if left else "ended"

    def state(self, probe_id: str) -> State:
        """The state of the last probe with this id; raises `probe_not_found` for another process's or an old one."""
        probe = self._last.get(probe_id)
        if probe is None or self._clock() - probe.asked > REMEMBERED_SECONDS + MAX_SILENCE:
            raise StreamForgeError("probe_not_found")
        return probe.state
