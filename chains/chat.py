"""The plain chat chain: takes a conversation and streams the model's answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from chains.core.llm_setup import Ready
from chains.core.reading.conversation import messages_of
from chains.core.reading.failures import failure
from chains.core.reading.translate import Translator
from domain.catalogue import ModelEntry
from domain.errors import StreamForgeError
from domain.events import Delta, Said
from domain.models import Finished, Parameters
from domain.streams import Ask
from domain.usage import Usage


async def chat(ready: Ready, entry: ModelEntry, ask: Ask) -> AsyncGenerator[Said | Usage | Finished, None]:
    """Stream the model's answer. Closing this generator closes the connection to the model."""
    answer = Translator()
    begun = False
    try:
        asked = _asked(ask.parameters, entry, tempered=ready.made.tempered)
        arguments: dict[str, Any] = ready.made.arguments(asked)
        if callbacks := ready.callbacks():
            arguments["config"] = {"callbacks": callbacks}
        messages = messages_of(ask, asked.system, one_system=ready.made.one_system)
        async with aclosing(ready.made.model.astream(messages, **arguments)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                begun = True
                for event in answer.rest(chunk):
                    yield event
                if text := answer.text(chunk):
                    yield Delta(text)
                if chunk.tool_call_chunks:
                    for call in answer.calls(chunk):
                        yield call
        for last in answer.finish():
            yield last
    except Exception as error:
        if not begun and type(error) is ValueError:  # LangChain raises it for a body without a single chunk
            raise StreamForgeError("provider_incomplete") from None
        raise failure(error) from None


def _asked(parameters: Parameters, entry: ModelEntry, *, tempered: bool) -> Parameters:
    """The request's parameters over the model's defaults, without defaults that the model does not take."""
    dropped = {name: None for name in entry.defaults.asked if name not in entry.parameters}
    if not tempered:
        dropped["temperature"] = None
    return parameters.over(replace(entry.defaults, **dropped) if dropped else entry.defaults)
