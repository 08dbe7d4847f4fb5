"""What a provider says of when to come back, however it says it."""

import email.utils
import time

import pytest

from chains.core.reading.failures import wait_of


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.2"}, 1),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "1e300"}, 86_400),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 2),
        ({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, 86_400),
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 2001 00:00:00 +99999999999"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 5_000}, None),
        ({}, None),
    ],
)
def test_any_wait_is_whole_seconds_within_a_day_or_unknown(headers: dict[str, str], seconds: int | None) -> None:
    assert wait_of(headers) == seconds


def test_a_date_is_counted_from_now() -> None:
    headers = {"retry-after": email.utils.formatdate(time.time() + 60, usegmt=True)}
    assert 50 < (wait_of(headers) or 0) <= 60
