"""LangSmith tracing: off unless this program's settings ask for it, and then by a callback passed to each run."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler

_FLUSH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TracingTarget:
    """Where runs are sent, prompts and answers included."""

    url: str
    api_key: str | None = field(repr=False)
    project: str


class Tracing:
    """Makes the callback on first use. Its client sends from a thread, and drops what its queue cannot hold."""

    def __init__(self, target: TracingTarget | None) -> None:
        self._target = target
        self._client: Any = None
        self._callbacks: list[BaseCallbackHandler] | None = None

    def callbacks(self) -> "list[BaseCallbackHandler]":
        """The callbacks to pass to each run; empty if tracing is off. Blocks on first use: call it in a thread."""
        if self._callbacks is None:
            self._callbacks = self._make()
        return self._callbacks

    def _make(self) -> "list[BaseCallbackHandler]":
        import langsmith

        langsmith.configure(enabled=False)  # overrides the environment, so that only the callback traces
        if self._target is None:
            return []
        from langchain_core.tracers.langchain import LangChainTracer
        from langsmith import env

        # The first run would call git and docker for these, on the event loop.
        env.get_git_info()
        env.get_langchain_env_var_metadata()
        env.get_runtime_environment()
        self._client = langsmith.Client(api_url=self._target.url, api_key=self._target.api_key, timeout_ms=5_000)
        return [LangChainTracer(client=self._client, project_name=self._target.project)]

    async def close(self) -> None:
        """Send the runs that are still queued, within two seconds."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close, _FLUSH_SECONDS)
