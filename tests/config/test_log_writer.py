"""The log never holds a stream up (F32): a reader who does not read costs lines, not time."""

import json
import os
import threading
from typing import TextIO

from config.log_writer import MAX_LINES, LogWriter
from tests.support.server import wait_for


def opened() -> tuple[int, TextIO]:
    reader, writer = os.pipe()
    return reader, os.fdopen(writer, "w")


def test_lines_arrive_whole_and_in_their_order() -> None:
    reader, stream = opened()
    writer = LogWriter(stream)
    wanted = [f"line {number} {'x' * (number % 97 * 60)}\n" for number in range(500)]
    got: list[str] = []

    def read() -> None:
        with os.fdopen(reader) as lines:
            got.extend(lines)

    thread = threading.Thread(target=read)
    thread.start()
    for line in wanted:
        writer.write(line)
    wait_for(lambda: not writer._lines)
    stream.close()
    thread.join(timeout=20)
    assert got == wanted


def test_a_reader_who_does_not_read_costs_lines_and_the_loss_is_told() -> None:
    reader, stream = opened()
    writer = LogWriter(stream)
    for number in range(MAX_LINES + 5_000):
        writer.write(f'{{"line":{number}}}{" " * 100}\n')  # returns, though nobody reads: else this test hangs
    assert writer._lost > 0
    got: list[str] = []

    def read() -> None:
        with os.fdopen(reader) as lines:
            got.extend(lines)

    thread = threading.Thread(target=read)
    thread.start()
    wait_for(lambda: not writer._lines)
    stream.close()
    thread.join(timeout=20)
    lost = [json.loads(line)["lines"] for line in got if "lost" in line]
    assert sum(lost) + len(got) - len(lost) == MAX_LINES + 5_000


def test_a_reader_who_has_gone_is_no_error() -> None:
    reader, stream = opened()
    writer = LogWriter(stream)
    os.close(reader)
    writer.write("to nobody\n")
    stream.close()
