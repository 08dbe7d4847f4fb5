"""What the doctor makes of recordings: no clock, no network."""

from collections.abc import Sequence
from typing import Any

import pytest

from cli.doctor import exchanges, findings
from cli.doctor.advice import ADVICE, proxies_of
from cli.doctor.arrival import CannotCheckError, start_of
from cli.doctor.finding import EXPECTED
from cli.doctor.recordings import Block, BodyEnd, EventParser, Recording

HEADERS = {name.lower(): wanted or "x" for name, (wanted, _) in EXPECTED.items()}
START = {
    "probe": "0" * 32, "heartbeat": 15, "silence": 16.5, "http_version": "1.1", "received": ["idempotency-key"],
}  # fmt: skip
SENT = [round(number * 0.1, 1) for number in range(20)]


def recording(
    arrivals: Sequence[float] = (),
    clock: Sequence[float] = SENT,
    first: int = 1,
    ending: BodyEnd = "whole",
    **values: Any,
) -> Recording:
    """A probe whose frames were sent at the moments of `clock`, and came at those of `arrivals`."""
    frames = [
        Block("frame", {"number": number, "at": at}, arrival)
        for number, (at, arrival) in enumerate(zip(clock, arrivals, strict=False), first)
    ]
    start = Block("start", START, arrivals[0] if arrivals else 0)
    done = [Block("done", {}, arrivals[-1])] if arrivals and ending == "whole" else []
    blocks = [start, *frames, *done]
    ended = blocks[-1].at
    given = {"status": 200, "http_version": "HTTP/1.1", "headers": dict(HEADERS), "blocks": blocks, "ended": ended}
    return Recording(**{**given, "ending": ending, **values})


ARRIVALS: dict[str, tuple[str, list[float]]] = {
    "at once": ("well", [at + 0.01 for at in SENT]),
    "over a long way": ("well", [at + 0.8 for at in SENT]),
    "with jitter": ("well", [at + 0.05 * (number % 2) for number, at in enumerate(SENT)]),
    "with one packet lost": ("well", [*SENT[:5], *([SENT[8]] * 4), *SENT[9:]]),
    "all at the end": ("wrong", [1.9] * 20),
    "in fours": ("wrong", [SENT[number // 4 * 4 + 3] for number in range(20)]),
    "in twos": ("wrong", [SENT[number // 2 * 2 + 1] for number in range(20)]),
    "the first half held back": ("wrong", [*([1.0] * 11), *SENT[11:]]),
}


@pytest.mark.parametrize("how", ARRIVALS)
def test_frames_that_something_collects_are_told_from_those_of_a_slow_way(how: str) -> None:
    verdict, arrivals = ARRIVALS[how]
    assert findings.buffering(recording(arrivals)).verdict == verdict


def test_a_server_that_was_late_itself_is_not_taken_for_a_proxy() -> None:
    late = [0.0, *([1.5] * 10), *SENT[16:], 2.0]
    assert findings.buffering(recording([at + 0.01 for at in late], clock=late)).verdict == "well"


def test_lumps_are_counted_and_how_long_frames_were_held() -> None:
    found = findings.buffering(recording([SENT[number // 4 * 4 + 3] for number in range(20)]))
    assert found.measured == {"frames": 20, "lumps": 5, "interval": 0.1, "held": 0.3}
    assert "5 lumps" in found.said
    assert "300 ms" in found.said


@pytest.mark.parametrize(("ending", "said"), [("cut", "was cut off"), ("late", "buffers")])
def test_frames_that_do_not_all_come_are_wrong(ending: BodyEnd, said: str) -> None:
    found = findings.buffering(recording(SENT[:4], ending=ending))
    assert found.verdict == "wrong"
    assert said in found.said


@pytest.mark.parametrize(
    ("arrivals", "verdict", "said"),
    [
        (SENT, "well", "first frame after"),
        ([at + 2 for at in SENT], "wrong", "first frame after 2 s."),
        ([1.9] * 20, "wrong", "held back"),
        ([], "unknown", "No frame"),
    ],
)
def test_a_first_byte_is_late_beyond_what_any_way_takes(arrivals: list[float], verdict: str, said: str) -> None:
    found = findings.first_byte(recording(arrivals, opened=arrivals[0] if arrivals else 0))
    assert found.verdict == verdict
    assert said in found.said


def test_compression_is_found_even_where_only_browsers_get_it() -> None:
    plain, packed = recording(SENT), recording(SENT, headers={**HEADERS, "content-encoding": "br"})
    assert findings.compression([plain, plain]).verdict == "well"
    found = findings.compression([plain, packed])
    assert (found.verdict, found.measured) == ("wrong", {"encodings": ["br"]})


@pytest.mark.parametrize("name", EXPECTED)
def test_a_header_that_is_missing_is_named(name: str) -> None:
    kept = {key: value for key, value in HEADERS.items() if key != name.lower()}
    found = findings.headers(recording(SENT, headers=kept))
    assert (found.verdict, found.measured) == ("wrong", {"changed": [name]})
    assert f"{name} is missing" in found.said


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("cache-control", "no-cache", "wrong"),
        ("cache-control", "No-Transform,no-cache, private", "well"),
        ("content-type", "text/html", "wrong"),
        ("content-type", "text/event-stream;charset=UTF-8", "well"),
        ("x-accel-buffering", "yes", "well"),
    ],
)
def test_a_header_may_be_spelled_otherwise_but_not_say_less(name: str, value: str, verdict: str) -> None:
    assert findings.headers(recording(SENT, headers={**HEADERS, name: value})).verdict == verdict


def test_a_request_header_that_gets_lost_is_named() -> None:
    lost = recording(SENT)
    lost.blocks[0] = Block("start", {**START, "received": []}, 0)
    assert findings.headers(lost).measured == {"changed": ["Idempotency-Key"]}


@pytest.mark.parametrize(
    ("inner", "outer", "http2", "verdict", "said"),
    [
        ("1.1", "HTTP/1.1", None, "well", "called with HTTP/1.1."),
        ("1.1", "HTTP/1.1", True, "well", "are offered HTTP/2"),
        ("1.1", "HTTP/1.1", False, "well", "not offered HTTP/2"),
        ("1.0", "HTTP/1.1", None, "wrong", "called with HTTP/1.0"),
        ("1.1", "HTTP/1.0", None, "wrong", "came with HTTP/1.0"),
    ],
)
def test_http_1_0_is_wrong_on_either_side(inner: str, outer: str, http2: bool | None, verdict: str, said: str) -> None:
    asked = recording(SENT, http_version=outer)
    asked.blocks[0] = Block("start", {**START, "http_version": inner}, 0)
    found = findings.http_version(asked, http2)
    assert found.verdict == verdict
    assert said in found.said


@pytest.mark.parametrize(
    ("back", "by_query", "verdict", "said"),
    [
        (recording(SENT, first=4), None, "well", "frame 4"),
        (recording(SENT), recording(SENT, first=4), "wrong", "?last_event_id= gets through"),
        (recording(SENT), recording(SENT), "wrong", "read words twice."),
        (Recording(status=400, ending="whole"), None, "wrong", "the response was 400"),
        (Recording(failure="Nothing is listening."), None, "wrong", "Nothing is listening"),
    ],
)
def test_a_client_that_comes_back_gets_what_it_has_not_had(
    back: Recording, by_query: Recording | None, verdict: str, said: str
) -> None:
    found = exchanges.resume(recording(SENT[:3], ending="left"), back, by_query)
    assert found.verdict == verdict
    assert said in found.said


def test_without_a_frame_nobody_can_come_back() -> None:
    assert exchanges.resume(recording(), recording(), None).verdict == "unknown"


@pytest.mark.parametrize(
    ("state", "status", "verdict", "said"),
    [
        ("left", 200, "well", "within 5 ms"),
        ("running", 200, "wrong", "every 15 s"),
        ("ended", 200, "wrong", "has not noticed"),
        (None, 200, "unknown", "there are several"),
        (None, 503, "unknown", "the response was 503"),
    ],
)
def test_a_disconnect_reaches_the_server_or_it_is_said_why_that_is_not_known(
    state: str | None, status: int, verdict: str, said: str
) -> None:
    found = exchanges.disconnect(recording(SENT, status=status), state, 0.005, 15)
    assert found.verdict == verdict
    assert said in found.said


GONE = [Block("error", {"code": "stream_gone"}, 0)]


@pytest.mark.parametrize(
    ("asked", "with_key", "verdict", "said"),
    [
        (recording(blocks=GONE), False, "well", "passed on"),
        (Recording(status=401, refusal={"code": "unauthenticated"}), False, "skipped", "STREAMFORGE_KEY"),
        (Recording(status=401, refusal={"code": "unauthenticated"}), True, "unknown", "unauthenticated"),
        (Recording(status=401), False, "wrong", "the response was 401"),
        (Recording(status=405), True, "wrong", "the response was 405"),
        (recording(SENT, ending="left"), False, "wrong", "began a new answer"),
        (
            recording(blocks=GONE, headers={**HEADERS, "cache-control": "x"}),
            False,
            "wrong",
            "a different Cache-Control",
        ),
        (recording(blocks=GONE, headers={**HEADERS, "content-encoding": "gzip"}), False, "wrong", "Content-Encoding"),
    ],
)
def test_post_chat_goes_the_way_of_the_probes(asked: Recording, with_key: bool, verdict: str, said: str) -> None:
    found = exchanges.chat(asked, recording(SENT), with_key=with_key)
    assert found.verdict == verdict
    assert said in found.said


def test_what_is_wrong_with_the_probes_as_well_is_not_told_twice() -> None:
    headers = {**HEADERS, "cache-control": "x", "content-encoding": "gzip"}
    asked = recording(blocks=GONE, headers=headers)
    assert exchanges.chat(asked, recording(SENT, headers=headers), with_key=False).verdict == "well"


@pytest.mark.parametrize(
    ("silent", "verdict", "said"),
    [
        (recording([0, 16.6], beats=[16.5]), "well", "every 15 s"),
        (recording([0, 16.6]), "wrong", "heartbeat"),
        (recording([0], ending="cut", ended=2.0), "wrong", "after 2 s of silence"),
        (recording([0], ending="cut", ended=2.0, blocks=[Block("start", START, 0)]), "wrong", "after 2 s"),
        (recording(ending="whole", ended=2.0), "wrong", "after 2 s of silence"),
        (Recording(status=504, opened=2.0, ended=2.0, ending="whole"), "wrong", "after 2 s of silence"),
        (recording([0], ending="late", ended=30.0), "wrong", "was not closed"),
        (Recording(status=429, ending="whole"), "unknown", "429"),
        (Recording(failure="Nothing is listening."), "unknown", "Nothing is listening."),
    ],
)
def test_an_idle_time_out_is_found_however_it_shows(silent: Recording, verdict: str, said: str) -> None:
    found = exchanges.idle(silent, 15, 16.5)
    assert found.verdict == verdict
    assert said in found.said


def test_a_heartbeat_that_is_rarer_than_the_doctor_is_patient_is_no_proof() -> None:
    found = exchanges.idle(recording([0, 65.1], beats=[65]), 300, 65)
    assert found.verdict == "unknown"
    assert "STREAM_HEARTBEAT" in found.said


def test_the_time_out_that_is_advised_is_above_the_heartbeat() -> None:
    cut = recording([0], ending="cut", ended=50.0, headers={"server": "nginx/1.29"})
    assert any("proxy_read_timeout 120s;" in each for each in exchanges.idle(cut, 60, 65).advice)
    assert any("proxy_read_timeout 60s;" in each for each in exchanges.idle(cut, 15, 16.5).advice)


def test_advice_is_for_the_proxies_that_have_signed_and_else_for_all() -> None:
    assert proxies_of({"server": "nginx", "via": "1.1 Caddy"}) == ("nginx", "caddy")
    signed = findings.buffering(recording([1.9] * 20, headers={"server": "Caddy"}))
    assert [each.partition(":")[0] for each in signed.advice] == ["Caddy"]
    unsigned = findings.buffering(recording([1.9] * 20))
    assert len(unsigned.advice) == len(ADVICE["buffering"])


PROBLEM = {"code": "foreign_host", "detail": "Not here."}


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        (Recording(failure="Nothing is listening at x:1."), "Nothing is listening at x:1."),
        (Recording(status=200, ending="whole"), "not as StreamForge does"),
        (Recording(status=301, headers={"location": "https://x/"}), "redirects to https://x/."),
        (Recording(status=401), "never asks for a key"),
        (Recording(status=403), "never asks for a key"),
        (Recording(status=403, refusal=PROBLEM), "Not here. To serve others, set AUTH_MODE, and add the"),
        (Recording(status=403, refusal={**PROBLEM, "code": "forwarded_request"}), "Not here. See docs/security.md."),
        (Recording(status=404), "no stream doctor"),
        (Recording(status=429, refusal={"code": "x", "detail": "Slow."}, headers={"retry-after": "7"}), "Slow. Retry"),
        (Recording(status=502), "does not reach the server"),
        (Recording(status=418), "returned 418"),
        (recording(blocks=[Block("start", {**START, "silence": 1e9}, 0)]), "not as StreamForge does"),
        (recording(blocks=[Block("start", {**START, "heartbeat": "x"}, 0)]), "not as StreamForge does"),
    ],
)
def test_what_is_no_streamforge_is_said_in_a_sentence(hello: Recording, said: str) -> None:
    with pytest.raises(CannotCheckError) as reason:
        start_of(hello, "https://x")
    assert said in str(reason.value)


BODY = (
    b': hb\nevent: frame\ndata: {"number":1,"at":0.5}\nid: x-1\n\n'
    b'data: [1]\r\n\r\ndata: {"a": \n\nevent: done\ndata: {}\n\n'
)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_stream_is_read_in_pieces_of_any_size(size: int) -> None:
    made = Recording()
    parser = EventParser(made)
    for at in range(0, len(BODY), size):
        parser.feed(BODY[at : at + size], at)
    assert [(block.event, block.data) for block in made.blocks] == [
        ("frame", {"number": 1, "at": 0.5}), ("message", {}), ("message", {}), ("done", {}),
    ]  # fmt: skip
    assert len(made.beats) == 1
    assert len(made.frames) == 1
