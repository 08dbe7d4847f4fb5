"""Translates a conversation into LangChain's messages."""

import json
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, InvalidToolCall, SystemMessage, ToolMessage
from langchain_core.messages import ToolCall as Call

from domain.events import ToolCall
from domain.streams import Ask, Turn


def messages_of(ask: Ask, system: str | None, *, one_system: bool) -> list[BaseMessage]:
    """The messages to send to the model, oldest first.

    `system` comes first, unless the client's own dialogue has a system prompt; with `one_system`, all system prompts
    are joined at the beginning.
    """
    turns = [*ask.before, Turn("user", ask.message)] if ask.dialogue is None else list(ask.dialogue)
    instructions = [turn.text for turn in turns if turn.role == "system"]
    if not instructions and system:
        turns = [Turn("system", system), *turns]
    elif one_system and instructions:
        turns = [Turn("system", "\n\n".join(instructions)), *(turn for turn in turns if turn.role != "system")]
    return [_message(turn) for turn in turns]


def _message(turn: Turn) -> BaseMessage:
    match turn.role:
        case "system":
            return SystemMessage(turn.text)
        case "user":
            return HumanMessage(_content(turn) if turn.images else turn.text)
        case "assistant":
            return _answer(turn)
        case "tool":
            return ToolMessage(turn.text, tool_call_id=turn.call_id or "")


def _content(turn: Turn) -> list[str | dict[Any, Any]]:
    """The text with its images, each in its place."""
    parts: list[str | dict[Any, Any]] = []
    begun = 0
    for image in turn.images:
        if image.at > begun:
            parts.append({"type": "text", "text": turn.text[begun : image.at]})
            begun = image.at
        detail = {"detail": image.detail} if image.detail is not None else {}
        parts.append({"type": "image_url", "image_url": {"url": image.url, **detail}})
    if begun < len(turn.text):
        parts.append({"type": "text", "text": turn.text[begun:]})
    return parts


def _answer(turn: Turn) -> AIMessage:
    """The assistant's turn. Arguments that are not a JSON object are sent unchanged, if the provider accepts that."""
    calls: list[Call] = []
    broken: list[InvalidToolCall] = []
    for call in turn.calls:
        arguments = _arguments(call)
        if arguments is None:
            broken.append(
                InvalidToolCall(type="invalid_tool_call", name=call.name, args=call.arguments, id=call.id, error=None)
            )
        else:
            calls.append(Call(name=call.name or "", args=arguments, id=call.id))
    return AIMessage(turn.text, tool_calls=calls, invalid_tool_calls=broken)


def _arguments(call: ToolCall) -> dict[str, Any] | None:
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None
