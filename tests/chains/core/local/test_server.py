"""The embedded model's child process."""

import asyncio

import httpx
import psutil
import pytest

from chains.core.local.server import CHILD, LocalServer, local_models

pytestmark = pytest.mark.skipif("smollm2" not in local_models(), reason="the embedded model is not installed")


def running() -> tuple[psutil.Process, dict[str, str]]:
    """The child, and its environment."""
    children = psutil.Process().children()
    child = next(each for each in children if str(CHILD) in each.cmdline())
    return child, child.environ()


async def test_the_child_has_no_secrets_and_its_own_key_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@localhost/db")
    server = LocalServer()
    endpoint = await server.endpoint("smollm2")
    child, environment = await asyncio.to_thread(running)
    async with httpx.AsyncClient() as client:
        refused = await client.get(f"{endpoint.base_url}/props", headers={"authorization": "Bearer another"})
        models = await client.get(
            f"{endpoint.base_url}/models", headers={"authorization": f"Bearer {endpoint.api_key}"}
        )
    await server.close()
    assert "secret" not in str(environment)
    assert refused.status_code in (401, 403, 404)
    assert models.json()["data"][0]["id"] == "smollm2"
    assert not psutil.pid_exists(child.pid)
