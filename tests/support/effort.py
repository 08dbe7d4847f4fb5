"""How hard hypothesis and schemathesis try: a quarter of the examples in `make test` or less, all of them in CI.

`--hypothesis-profile full` (or `CI=true`) tries as hard anywhere.
"""

import math
import os

from hypothesis import settings

FULL = 100
"""hypothesis' own number of examples, for which a test's own count is written."""


def choose_profile() -> None:
    """Set what tests that say nothing else get. hypothesis knows CI itself, and chooses its profile `ci` there."""
    settings.register_profile("full", max_examples=FULL)
    settings.register_profile("quick", max_examples=FULL // 4)
    if os.environ.get("CI") != "true":
        settings.load_profile("quick")


def examples(count: int, *, dear: bool = False) -> int:
    """So many examples at full effort, and in proportion fewer at less: half of those where they are `dear`."""
    share = settings().max_examples / FULL
    return math.ceil(count * (share / 2 if dear and share < 1 else share))


def one_in() -> int:
    """Of so many examples that are no matter of chance one is tried."""
    return FULL // settings().max_examples
