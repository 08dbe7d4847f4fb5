"""T11: the clocks of connections, as long as they are shipped, straight and through the shipped proxies."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.security.connections.conftest import Place, three_places
from tests.security.connections.test_loris import (
    Attack,
    a_body_that_trickles,
    a_head_that_trickles,
    an_upload_that_trickles,
    half_a_body,
    half_a_head,
    half_an_upload,
    idle,
)

# Alone it would come last, and everybody would wait for it.
pytestmark = [pytest.mark.clock, pytest.mark.xdist_group("shipped clocks")]

SHIPPED: list[tuple[Attack, int]] = [
    (idle, 10), (half_a_head, 10), (a_head_that_trickles, 10), (half_a_body, 30), (a_body_that_trickles, 30),
    (an_upload_that_trickles, 30), (half_an_upload, 30),
]  # fmt: skip
"""And after how many seconds each hears the end."""


def test_the_clocks_are_as_long_as_they_are_shipped(tmp_path: Path) -> None:
    def seconds(place: Place, attack: Attack) -> float:
        begun = time.monotonic()
        attack(place)
        return time.monotonic() - begun

    with three_places(tmp_path, [sys.executable, "main.py"], {}) as made, ThreadPoolExecutor(32) as pool:
        waits = {
            (kind, attack.__name__, least): pool.submit(seconds, place, attack)
            for kind, place in made.items()
            for attack, least in SHIPPED
            if kind != "caddy" or attack in (idle, half_a_head, a_head_that_trickles)  # its bodies have 15 minutes
        }
        took = {name: wait.result() for name, wait in waits.items()}
    for (kind, name, least), lasted in took.items():
        lingering = 11 if kind == "nginx" else 2
        assert least - 0.5 < lasted < least + lingering + 3, (kind, name)
