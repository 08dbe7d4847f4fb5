"""Servers with catalogues of scripted models."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.catalogue import KEYS, write_catalogue
from tests.support.provider import Provider, Script, scripted_provider
from tests.support.server import LiveServer

Play = Callable[[Script], Provider]
ServeModels = Callable[..., LiveServer]

# Short enough to be waited for, long enough for a busy machine.
_SETTINGS = {"MODEL_RETRY_BACKOFF": 0.01, "MODEL_RETRIES": 0, "STREAM_COMMIT_DELAY": 0}


@pytest.fixture
def play() -> Iterator[Play]:
    """Start a scripted provider; it stops with the test."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(scripted_provider(script))


@pytest.fixture
def serve_models(serve: Callable[..., LiveServer], tmp_path: Path) -> ServeModels:
    """Start a server with a catalogue of these rows, the first of which answers by default."""

    def start(*rows: dict[str, Any], **settings: Any) -> LiveServer:
        file = write_catalogue(tmp_path, *rows)
        keys = json.dumps(KEYS)
        given = {"MODELS_FILE": file, "PROVIDER_KEYS": keys, "LLM_MODEL": rows[0]["id"], **_SETTINGS, **settings}
        return serve(**given)

    return start
