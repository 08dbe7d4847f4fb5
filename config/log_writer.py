"""Writes log lines without waiting for whatever reads them: a slow reader of the log must not hold up a stream.

A line is written at once if that cannot block. If it might, because the log's pipe is full, lines wait in a bounded
queue for a thread that writes them. Lines that do not fit into the queue are lost, and the log says how many.
"""

import atexit
import contextlib
import io
import os
import select
import threading
import time
from collections import deque
from typing import TextIO

MAX_LINES = 10_000
_ATOMIC = select.PIPE_BUF if hasattr(select, "PIPE_BUF") else 512  # bytes that a writable pipe has room for
_EXIT_SECONDS = 1.0


class LogWriter(io.TextIOBase):
    """Takes lines for `stream`, from any thread, and never waits."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: deque[bytes] = deque()
        self._lost = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._fd = _descriptor(stream)

    def write(self, text: str) -> int:
        """Write a line, or keep it for the thread."""
        if self._fd is None:  # not a file: memory, in tests
            self._stream.write(text)
            return len(text)
        line = text.encode(errors="backslashreplace")
        with self._changed:
            if not self._lines and len(line) <= _ATOMIC and _writable(self._fd):
                with contextlib.suppress(OSError):  # the reader has gone
                    os.write(self._fd, line)
            elif len(self._lines) < MAX_LINES:
                self._lines.append(line)
                self._start()
            else:
                self._lost += 1
        return len(text)

    def flush(self) -> None:
        """Does nothing: a line that can be written has been written."""

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="log-writer", daemon=True)
            self._thread.start()
            atexit.register(self._wait)
        self._changed.notify()

    def _write_all(self) -> None:
        assert self._fd is not None
        while True:
            with self._changed:
                while not self._lines:
                    self._changed.wait()
                line = self._lines[0]  # stays until it is written, or the next one would overtake it
            with contextlib.suppress(OSError):
                while line:
                    line = line[os.write(self._fd, line) :]
            with self._changed:
                self._lines.popleft()
                if self._lost and len(self._lines) < MAX_LINES:
                    self._lines.append(b'{"event":"log lines were lost","level":"error","lines":%d}\n' % self._lost)
                    self._lost = 0

    def _wait(self) -> None:
        """At exit, give the thread a moment for the lines that are left."""
        deadline = time.monotonic() + _EXIT_SECONDS
        while self._lines and time.monotonic() < deadline:
            time.sleep(0.01)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _writable(descriptor: int) -> bool:
    """Whether a short write is sure not to block; false if that cannot be found out (Windows)."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & (select.POLLOUT | select.POLLERR) for _, event in poll.poll(0))
