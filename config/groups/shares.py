"""Shares: what one owner may have of what all owners use."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from config.groups.values import Group
from domain.callers import OwnerLimits

_A_DAY = re.compile(r"([1-9][0-9]{0,15})/day")


def no_limit(value: Any) -> Any:
    """None for an empty string, and for `unlimited`."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "unlimited") else value


def a_day(value: Any) -> Any:
    """How many of `20000000/day`."""
    if not isinstance(value, str):
        return value
    amount = _A_DAY.fullmatch(value.replace(" ", ""))
    if amount is None:
        raise ValueError("must be a number of tokens like 20000000/day, or unlimited")
    return int(amount[1])


NoLimit = BeforeValidator(no_limit)
Most = Annotated[int | None, Field(ge=1, le=2**53), NoLimit]


class ShareSettings(Group):
    """Limits of each owner. They apply with authentication: without it there is one owner, who has everything."""

    OWNER_STREAMS: Most = 100
    OWNER_SEARCHES: Most = 2
    OWNER_STORED_BYTES: Most = 2 * 1024**3
    OWNER_DOCUMENTS: Most = 5_000
    OWNER_SESSIONS: Most = 20_000
    OWNER_TOKENS: Annotated[int | None, Field(ge=1, le=2**53), BeforeValidator(a_day), NoLimit] = 20_000_000

    def limits_of_owners(self) -> OwnerLimits:
        """All of them."""
        return OwnerLimits(
            self.OWNER_STREAMS,
            self.OWNER_SEARCHES,
            self.OWNER_STORED_BYTES,
            self.OWNER_DOCUMENTS,
            self.OWNER_SESSIONS,
            self.OWNER_TOKENS,
        )
