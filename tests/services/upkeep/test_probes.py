"""Probes are few at once, and are forgotten."""

import pytest

from domain.errors import StreamForgeError
from services.upkeep.probes import MAX_AT_ONCE, MAX_OF_AN_ADDRESS, MAX_SILENCE, REMEMBERED, Probes


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def named(number: int) -> str:
    return f"{number:032x}"


def address(number: int) -> str:
    return f"192.0.2.{number % 250}"


def not_draining() -> bool:
    return False


def test_one_too_many_at_once_is_refused_until_another_has_ended() -> None:
    probes = Probes(not_draining, heartbeat=15)
    running = [probes.begin(named(number), address(number)) for number in range(MAX_AT_ONCE)]
    with pytest.raises(StreamForgeError) as refused:
        probes.begin(named(99), address(99))
    assert (refused.value.code, refused.value.retry_after) == ("too_many_probes", 5)
    probes.end(running[0], left=False)
    probes.begin(named(99), address(99))


@pytest.mark.parametrize("own", ["192.0.2.{}", "2001:db8:{}::1", "::ffff:192.0.2.{}"])
def test_one_address_holds_only_some_of_them(own: str) -> None:
    probes = Probes(not_draining, heartbeat=15)
    running = [probes.begin(named(number), own.format(1)) for number in range(MAX_OF_AN_ADDRESS)]
    with pytest.raises(StreamForgeError) as refused:
        probes.begin(named(50), own.format(1))
    assert refused.value.code == "too_many_probes"
    probes.begin(named(51), own.format(2))
    probes.end(running[0], left=True)
    probes.begin(named(52), own.format(1))


def test_all_addresses_of_one_network_are_one() -> None:
    probes = Probes(not_draining, heartbeat=15)
    for number in range(MAX_OF_AN_ADDRESS):
        probes.begin(named(number), f"2001:db8:1:2::{number + 1}")
    with pytest.raises(StreamForgeError):
        probes.begin(named(50), "2001:db8:1:2:a:b:c:d")


def test_none_begins_while_the_server_drains() -> None:
    with pytest.raises(StreamForgeError, match="shutting down"):
        Probes(lambda: True, heartbeat=15).begin(named(1), address(1))


def test_what_became_of_one_is_known_for_a_while() -> None:
    clock = Clock()
    probes = Probes(not_draining, heartbeat=15, clock=clock)
    left, ended = probes.begin(named(1), address(1)), probes.begin(named(2), address(2))
    assert probes.state(named(1)) == "running"
    probes.end(left, left=True)
    probes.end(ended, left=False)
    assert (probes.state(named(1)), probes.state(named(2))) == ("left", "ended")
    clock.now = 300
    with pytest.raises(StreamForgeError, match="No such probe"):
        probes.state(named(1))


def test_of_two_with_one_name_the_last_is_told_of() -> None:
    probes = Probes(not_draining, heartbeat=15)
    first = probes.begin(named(1), address(1))
    probes.begin(named(1), address(1))
    probes.end(first, left=True)
    assert probes.state(named(1)) == "running"


def test_only_so_many_are_remembered() -> None:
    probes = Probes(not_draining, heartbeat=15)
    for number in range(REMEMBERED + 1):
        probes.end(probes.begin(named(number), address(number)), left=True)
    assert probes.state(named(REMEMBERED)) == "left"
    with pytest.raises(StreamForgeError):
        probes.state(named(0))


def test_one_that_was_asked_for_again_is_as_young_as_its_last_run() -> None:
    probes = Probes(not_draining, heartbeat=15)
    for number in [*range(REMEMBERED), 0, REMEMBERED]:
        probes.end(probes.begin(named(number), address(number)), left=True)
    assert probes.state(named(0)) == "left"


@pytest.mark.parametrize(("heartbeat", "silence"), [(15, 16.5), (0.1, 0.11), (86_400, MAX_SILENCE)])
def test_a_silence_is_a_little_longer_than_a_streams_and_bounded(heartbeat: float, silence: float) -> None:
    assert Probes(not_draining, heartbeat=heartbeat).silence == silence
