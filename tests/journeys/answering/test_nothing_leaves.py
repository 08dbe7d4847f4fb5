"""What the environment asks of other programs, or of the libraries, makes this one send nothing to anybody (T22)."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.journeys.conftest import Play
from tests.support.catalogue import KEYS, row, write_catalogue
from tests.support.collector import collector
from tests.support.server import process_server


def test_no_library_is_sent_off_by_the_environment(play: Play, tmp_path: Path) -> None:
    """FastAPI, OpenTelemetry, LangChain and LangSmith each have variables that make them tell what they see."""
    model = play(lambda answer: answer.say("fine"))
    with collector() as traces:
        environment: dict[str, Any] = {
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{traces.url}/v1/traces",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{traces.url}/v1/metrics",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{traces.url}/v1/logs",
            "OTEL_BSP_SCHEDULE_DELAY": "10",
            "OTEL_METRIC_EXPORT_INTERVAL": "10",
            "OTEL_SERVICE_NAME": "somebody",
            "OTEL_TRACES_EXPORTER": "otlp",
            "LANGSMITH_TRACING_V2": "true",
            "LANGSMITH_OTEL_ENABLED": "true",
            "LANGSMITH_API_KEY": "key",
            "LANGSMITH_ENDPOINT": traces.url,
            "LANGSMITH_GATEWAY": traces.url,
            "LANGCHAIN_TRACING": "true",
            "LANGCHAIN_TRACING_V2": "true",
            "LANGCHAIN_API_KEY": "key",
            "LANGCHAIN_ENDPOINT": traces.url,
        }
        catalogue = write_catalogue(tmp_path, row("openai", model.url))
        ours = {
            "MODELS_FILE": catalogue,
            "PROVIDER_KEYS": json.dumps(KEYS),
            "LLM_MODEL": row("openai", model.url)["id"],
        }
        with process_server(**environment, **ours) as (process, url), httpx.Client(base_url=url, timeout=60) as client:
            session = client.post("/sessions", json={}).json()["id"]
            said = client.post("/chat", json={"message": "a secret", "session_id": session})
            assert "fine" in said.text
            assert client.get("/search", params={"q": "secret"}).status_code == 200
            assert client.post("/chat", json={"message": ""}).status_code == 422
            assert client.get("/nothing").status_code == 404
            process.stop()
        assert traces.connections == 0
