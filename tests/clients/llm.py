"""The command line tool `llm`, from the venv of its own that `make test` makes, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.server import ROOT

SCRIPTS = ROOT / ".venv-llm" / ("Scripts" if sys.platform == "win32" else "bin")


class Tool:
    """One user's `llm`: what it keeps is in `folder`."""

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join([str(SCRIPTS), os.environ["PATH"]])
        self.env = {"PATH": path, "HOME": str(folder), "LLM_USER_PATH": str(folder), "PYTHONUTF8": "1"}
        self.folder = folder

    def configure(self, url: str, model: str = "m", key: str = "") -> None:
        """The model, in the tool's own file of endpoints like OpenAI's; the key, if there is one, among its keys."""
        named = "  api_key_name: streamforge\n" if key else ""
        (self.folder / "extra-openai-models.yaml").write_text(
            f"- model_id: forge\n  model_name: {model}\n  api_base: {url}/v1\n{named}"
            "  supports_tools: true\n  supports_schema: true\n"
        )
        if key:
            assert self.run("keys", "set", "streamforge", "--value", key).returncode == 0

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        with self.start(*words) as running:
            out, err = running.communicate(timeout=60)
        return subprocess.CompletedProcess(words, running.returncode, out.decode(), err.decode())

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Run it, and read what it says meanwhile."""
        return subprocess.Popen(
            [SCRIPTS / "llm", *words],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def ask(self, *words: str) -> str:
        """Prompt the model; what it prints."""
        ended = self.run("-m", "forge", *words)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout
