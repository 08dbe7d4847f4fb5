"""Start a model's server beside StreamForge, say what to try, and serve."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

from chains.core.local.server import CHILD, local_models
from main import serve

PORT = 8091
TRY = """
Three models: smollm2 (a llama.cpp server at port {port}), local (one inside StreamForge), simulated.

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
    """Until a signal comes. The model's server goes with this process."""
    path = local_models().get("smollm2")
    if path is None:
        print("The model is not installed on this platform. `make run` serves without one.", file=sys.stderr)
        return 1
    key = secrets.token_urlsafe(32)
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(path), "smollm2", str(PORT)],
        stdin=subprocess.PIPE,  # it ends when this pipe does
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "STREAMFORGE_LOCAL_KEY": key},
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    if not any(line.startswith("READY") for line in child.stdout):
        print(f"The model's server did not start. Is port {PORT} taken?", file=sys.stderr)
        return 1
    given = {
        "MODELS_FILE": str(Path(__file__).with_name("models.toml")),
        "LLM_MODEL": "smollm2",
        "LLM_MAX_TOKENS": "200",
        "LLM_TEMPERATURE": "0.2",
        "PROVIDER_KEYS": json.dumps({"demo": key}),
    }
    os.environ.update({**given, **{name: os.environ[name] for name in ("LLM_MODEL",) if os.environ.get(name)}})
    url = f"http://{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8001')}"
    print(TRY.format(port=PORT, url=url, pid=child.pid))
    return serve([])


if __name__ == "__main__":
    sys.exit(main())
