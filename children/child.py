"""A running child process, as its parent sees it."""

import asyncio
import contextlib
import os
import signal
import sys

_SLICE = 1 << 16
_REAP_SECONDS = 5.0


class Child:
    """Feeds a child process and ends it. Whatever the child has started is killed when it ends, however it ends."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin = process.stdin
        self.stdout = process.stdout
        self._process = process
        self._ended = asyncio.create_task(self._clear_up(), name="child process")

    @property
    def pid(self) -> int:
        """The process id, which is the id of its group as well."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._process.returncode

    async def feed(self, data: bytes) -> None:
        """Write to its input, as fast as it reads. Raises OSError if it has gone."""
        view = memoryview(data)
        for start in range(0, len(view), _SLICE):
            self.stdin.write(view[start : start + _SLICE])
            await self.stdin.drain()

    async def wait(self) -> int:
        """Wait until it has ended by itself; returns its exit code."""
        return await self._process.wait()

    async def end(self, grace: float = 0.0) -> None:
        """Close its input, wait `grace` seconds for it to end by itself, then kill its whole group.

        Returns when it is gone, or after five seconds if the kernel still holds it then.
        """
        self.stdin.close()
        discarding = asyncio.create_task(self._discard_output(), name="output of a child process")
        try:
            if grace:
                await asyncio.wait([self._ended], timeout=grace)
            if not self._ended.done():
                self._kill_group()
            await asyncio.wait([self._ended], timeout=_REAP_SECONDS)
        finally:
            discarding.cancel()

    async def _discard_output(self) -> None:
        """Keep reading: output that fills the pipe would block the child, and keep asyncio from noticing its end."""
        with contextlib.suppress(RuntimeError, OSError):  # a caller is still reading; the pipe broke
            while await self.stdout.read(_SLICE):
                pass

    async def _clear_up(self) -> None:
        await self._process.wait()
        self._kill_group()  # at once: later another group may have the number

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self.pid, signal.SIGKILL)
