"""LangSmith tracing: off unless this program's settings ask for it, and then by a callback made for each run."""

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
    """Makes the callbacks. Their one client sends from a thread, and drops what its queue cannot hold."""

    def __init__(self, target: TracingTarget | None) -> None:
        self._target = target
        self._client: Any = None

    def open(self) -> None:
        """Take tracing out of the environment's hands. Blocks when first called: call it in a thread."""
        import langsmith

        langsmith.configure(enabled=False)  # overrides the environment, so that only the callback traces
        if self._target is None or self._client is not None:
            return
        from langsmith import env

        # The first run would call git and docker for these, on the event loop.
        env.get_git_info()
        env.get_langchain_env_var_metadata()
        env.get_runtime_environment()
        self._client = langsmith.Client(api_url=self._target.url, api_key=self._target.api_key, timeout_ms=5_000)

    def callbacks(self) -> "list[BaseCallbackHandler]":
        """The callbacks to pass to one run; empty if tracing is off.

        A tracer remembers something of each of its runs, and all of those that were cancelled. So each run has its own.
        """
        if self._target is None:
            return []
        from langchain_core.tracers.langchain import LangChainTracer

        return [LangChainTracer(client=self._client, project_name=self._target.project)]

    async def close(self) -> None:
        """Send the runs that are still queued, within two seconds."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close, _FLUSH_SECONDS)
