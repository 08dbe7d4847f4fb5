"""How many tokens each owner may use in a day, counted in UTC.

Before a model is asked, the most that the answer may take is set aside; when it has ended, what it took is stored, and
its sum is read from the database. What is used is the sum of

- what the database had when it was last asked,
- what this process has stored since then, or is about to store,
- what is set aside for answers that run here.

Nothing waits for the database but an owner's first answer in a while, for at most a second. What other processes have
stored since it was last asked, and what they have set aside, is not known here.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from domain.callers import Share, exceeded
from domain.streams import RETRY_AFTER
from domain.usage import UsageRecord
from services.background import Tasks
from services.storage import Storage

log = structlog.get_logger("streams")

WAIT_SECONDS = 1.0
"""How long an answer waits for the database."""
_PAUSE = 5.0
"""Seconds without asking it again after it has failed."""
_ACCOUNTS = 10_000


@dataclass(slots=True)
class _Account:
    """One owner's tokens of a day. `known` is what the database had at the moment `asked`."""

    day: str
    known: int = 0
    asked: float = -math.inf
    stored: int = 0  # since it was asked
    newer: int = 0  # of these: since it was asked again, which it has not answered yet
    waiting: int = 0  # to be stored
    reserved: int = 0
    asking: "asyncio.Task[None] | None" = None

    @property
    def used(self) -> int:
        return self.known + self.stored + self.waiting + self.reserved

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.reserved and self.asking is None


class Reservation:
    """Tokens that are set aside until it is released."""

    __slots__ = ("_account", "_tokens")

    def __init__(self, account: _Account, tokens: int) -> None:
        self._account = account
        self._tokens = tokens
        account.reserved += tokens

    def change(self, tokens: int) -> None:
        """Set this many aside instead, now that more is known."""
        self._account.reserved += tokens - self._tokens
        self._tokens = tokens

    def release(self) -> None:
        """Set nothing aside any more."""
        self.change(0)


class TokenBudget:
    """The budget of every owner: `limit` tokens a day, `None` for no limit.

    The database is asked again after `fresh_seconds`, while the answer is still the old one.
    """

    def __init__(
        self,
        storage: Storage,
        limit: int | None,
        *,
        fresh_seconds: float,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._usage = storage.usage
        self._limit = limit
        self._fresh_seconds = fresh_seconds
        self._wall_clock = wall_clock
        self._clock = time.monotonic
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._tasks = Tasks(lambda _: None)  # a failure is logged where it happens

    async def reserve(self, owner: str, tokens: int) -> Reservation | None:
        """Set tokens aside; raises `quota_exceeded` if fewer are left. `None` if there is no limit."""
        if self._limit is None:
            return None
        account = await self._current(owner)
        # Nothing waits from here on: of many requests at once, each sees what the one before it has set aside.
        if account.used + tokens > self._limit:
            raise self._refusal(account, tokens, self._limit)
        return Reservation(account, tokens)

    async def share(self, owner: str) -> Share | None:
        """What the owner has used today; `None` if it is not limited."""
        if self._limit is None:
            return None
        return Share("tokens", self._limit, (await self._current(owner)).used, self._midnight())

    def queued(self, record: UsageRecord) -> None:
        """The usage of a stream that has ended waits to be stored."""
        if self._limit is not None:
            self._account(record.owner).waiting += _tokens(record)

    def stored(self, records: Iterable[UsageRecord]) -> None:
        """These do not wait any more."""
        if self._limit is None:
            return
        for record in records:
            account, tokens = self._account(record.owner), _tokens(record)
            account.waiting -= tokens
            if _day(record.created) == account.day:
                account.stored += tokens
                account.newer += tokens

    async def close(self) -> None:
        """Ask the database nothing more."""
        await self._tasks.wait(WAIT_SECONDS)

    async def _current(self, owner: str) -> _Account:
        account = self._account(owner)
        if account.asked == -math.inf:
            await asyncio.wait([self._ask(owner, account)], timeout=WAIT_SECONDS)
            account = self._account(owner)
            if account.asked == -math.inf:  # the next ones do not wait for the same answer
                account.asked = self._clock() + _PAUSE - self._fresh_seconds
        elif self._clock() - account.asked >= self._fresh_seconds:
            self._ask(owner, account)
        return account

    def _account(self, owner: str) -> _Account:
        day = _day(self._wall_clock())
        account = self._accounts.get(owner)
        if account is None:
            account = self._accounts[owner] = _Account(day)
            self._forget_some()
        elif account.day != day:
            account.day, account.known, account.stored, account.asked = day, 0, 0, -math.inf
        self._accounts.move_to_end(owner)
        return account

    def _forget_some(self) -> None:
        """Forget the account that was unused for longest, if there are many and it is not needed."""
        if len(self._accounts) > _ACCOUNTS:
            owner, account = next(iter(self._accounts.items()))
            if account.idle:
                del self._accounts[owner]
            else:
                self._accounts.move_to_end(owner)

    def _ask(self, owner: str, account: _Account) -> "asyncio.Task[None]":
        if account.asking is None:
            account.asking = self._tasks.start(self._answered(owner, account), "budget")
        return account.asking

    async def _answered(self, owner: str, account: _Account) -> None:
        day, asked, account.newer = account.day, self._clock(), 0
        try:
            known = await self._usage.tokens(owner, day)
        except Exception as error:  # whatever it is, answers go on: what is known here still counts
            log.warning("tokens are counted by this process alone: the database fails", exc_info=error)
            asked += _PAUSE - self._fresh_seconds
        else:
            if account.day == day:
                account.known, account.stored = known, account.newer
        finally:
            account.asking = None
        if account.day == day:
            account.asked = asked

    def _refusal(self, account: _Account, tokens: int, limit: int) -> Exception:
        """Waiting helps until answers have ended, or until the day has; or not at all if it is more than a day's."""
        wait: int | None = None
        if tokens <= limit:
            soon = account.used - account.reserved + tokens <= limit
            wait = RETRY_AFTER if soon else self._seconds_left()
        return exceeded(Share("tokens", limit, account.used, self._midnight()), wait)

    def _seconds_left(self) -> int:
        return max(1, math.ceil(86_400 - self._wall_clock() % 86_400))

    def _midnight(self) -> str:
        today = datetime.fromtimestamp(self._wall_clock(), UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return f"{today + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _tokens(record: UsageRecord) -> int:
    return record.usage.input_tokens + record.usage.output_tokens
