"""The plain chat chain: a message in, the model's answer out."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from langchain_core.messages import HumanMessage

from chains.core.llm_setup import LLMSetup, ModelName
from chains.core.translate import Translator, failure
from domain.events import Delta, Done


async def chat(llms: LLMSetup, name: ModelName, message: str) -> AsyncGenerator[Delta | Done, None]:
    """Stream the model's answer. Closing this generator closes the connection to the model."""
    answer = Translator(name.shown, message)
    try:
        model = await llms.ready(name)
        async with aclosing(model.astream([HumanMessage(message)])) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                if text := answer.feed(chunk):
                    yield Delta(text)
        for event in answer.finish():
            yield event
    except Exception as error:
        raise failure(error) from None
