"""The chain that answers from documents: takes a question and numbered passages, and streams an answer with citations.

A passage is untrusted text and never an instruction. So it is labelled, fenced by a line that its author could not have
known, and put into the user's message, even for models with a system prompt.
"""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from chains.chat import chat
from chains.core.llm_setup import Ready
from domain.catalogue import ModelEntry
from domain.documents import Passage
from domain.events import Said, ToolCall
from domain.models import Finished
from domain.prompts import FROM_PASSAGES
from domain.streams import Ask, Turn
from domain.usage import Usage

_FENCE_BYTES = 8


async def rag(ready: Ready, entry: ModelEntry, ask: Ask) -> AsyncGenerator[Said | Usage | Finished, None]:
    """Stream the model's answer to a question with passages.

    Calls of tools that were not offered are dropped: a passage may have asked for them.
    """
    offered = bool(ask.parameters.tools)
    async with aclosing(chat(ready, entry, grounded(ask))) as answer:
        async for event in answer:
            if offered or not isinstance(event, ToolCall):
                yield Finished("stop") if not offered and event == Finished("tool_calls") else event


def grounded(ask: Ask) -> Ask:
    """The same request with the passages and their instructions put into the message."""
    fence = f"=={secrets.token_hex(_FENCE_BYTES)}"
    passages = "\n".join(_fenced(number, passage, fence) for number, passage in enumerate(ask.passages or (), 1))
    instructions = FROM_PASSAGES.format(fence=fence)
    message = f"{instructions}\n\n{passages}\n{fence} end of the passages\n\nThe question: {ask.message}"
    if ask.dialogue is None:
        return replace(ask, message=message)
    last = max(number for number, turn in enumerate(ask.dialogue) if turn.role == "user")
    asked = Turn("user", message, ask.dialogue[last].images)
    return replace(ask, message=message, dialogue=(*ask.dialogue[:last], asked, *ask.dialogue[last + 1 :]))


def _fenced(number: int, passage: Passage, fence: str) -> str:
    about = [f"passage [{number}]", f"from {_line(passage.title)}"]
    if passage.page is not None:
        about.append(f"page {passage.page}")
    if passage.heading:
        about.append(f"under {_line(passage.heading)}")
    return f"{fence} {', '.join(about)}\n{passage.text}"


def _line(text: str) -> str:
    """The title on one line, at most 200 characters: it is untrusted text, too."""
    return " ".join(text.split())[:200]
