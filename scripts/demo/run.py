"""Start a model's server beside StreamForge, say what to try, and serve."""

import errno
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from chains.core.local.server import local_models, model_program
from config.settings import Settings
from main import main as serve
from serving import cannot_listen

CATALOGUE = Path(__file__).with_name("models.toml")
TRY = """
Three models: smollm2 (a llama.cpp server at {model_url}), local (one inside StreamForge), simulated.

  curl -N {url}/chat?format=events -H 'Content-Type: application/json' \\
       -d '{{"message": "What is the capital of France?", "model": "smollm2"}}'

Or with whatever speaks OpenAI's API, as docs/clients.md shows: OPENAI_BASE_URL={url}/v1

Name another model, or none; or stop smollm2's server and ask it again: local answers in its place, and says so.

  kill {pid}

Upload a document (text, Markdown, HTML, PDF, DOCX, CSV, JSON), and ask about it; docs/documents.md has the rest.

  echo "The spare key of the observatory lies under the third flowerpot." > key.txt
  curl {url}/documents/upload -F file=@key.txt
  curl -N {url}/chat?format=events -H 'Content-Type: application/json' \\
       -d '{{"message": "Where is the spare key?", "documents": {{}}}}'
"""


def main() -> int:
    """Serve until a signal comes; returns the exit code. The model's server ends with this process."""
    try:
        settings = Settings()
    except (ValueError, OSError):
        return serve([])  # says what is wrong with them
    address = f"[{settings.HOST}]:{settings.PORT}" if ":" in settings.HOST else f"{settings.HOST}:{settings.PORT}"
    if (taken := taken_by_another(settings.HOST, settings.PORT)) is not None:
        print(cannot_listen(address, settings.PORT, taken, "make demo"), file=sys.stderr)
        return 1
    path = local_models().get("smollm2")
    if path is None:
        print("The model is not installed on this platform. `make run` serves without one.", file=sys.stderr)
        return 1
    key = secrets.token_urlsafe(32)
    child = start_model(path, key)
    model_url = url_of(child)
    if model_url is None:
        print("The model's server did not start.", file=sys.stderr)
        return 1
    print(TRY.format(model_url=model_url, url=f"http://{address}", pid=child.pid), flush=True)
    # uvicorn raises the signal again when it has stopped; as an exception it lets the folder be removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="streamforge-demo-") as folder:
        catalogue = Path(folder) / CATALOGUE.name
        catalogue.write_text(CATALOGUE.read_text().replace("{model_url}", model_url))
        given = {
            "MODELS_FILE": str(catalogue),
            "LLM_MODEL": os.environ.get("LLM_MODEL") or "smollm2",
            "LLM_BASE_URL": "",
            "LLM_MAX_TOKENS": "200",
            "LLM_TEMPERATURE": "0.2",
            "PROVIDER_KEYS": json.dumps({"demo": key}),
        }
        os.environ.update(given)
        return serve([])


def taken_by_another(host: str, port: int) -> OSError | None:
    """The error of listening where another program does; None if none does, or for any other error."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error if error.errno == errno.EADDRINUSE else None
    return None


def start_model(path: Path, key: str) -> subprocess.Popen[str]:
    """Start the server of the model in `path`, on a free port."""
    program = model_program(path, "smollm2", key)
    return subprocess.Popen(
        program.command(),
        stdin=subprocess.PIPE,  # it ends when this pipe does
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=program.variables(),
        text=True,
        start_new_session=True,
    )


def url_of(child: subprocess.Popen[str]) -> str | None:
    """Where the server listens, as soon as the model is loaded; None if it ends before."""
    assert child.stdout is not None
    return next((line.split()[1] for line in child.stdout if line.startswith("READY ")), None)


if __name__ == "__main__":
    sys.exit(main())
