"""Translates a request's parameters for each provider's package: one function for each provider.

Tools, choices and formats are passed in the form of the provider's API, not through `bind_tools`, which drops or
changes what it does not support. `ModelEntry.check` has already refused parameters that a provider does not support.
"""

from collections.abc import Callable
from typing import Any

from domain.models import Choice, Parameters, ResponseFormat, Tool

_AS_THEY_ARE = ("temperature", "max_tokens", "top_p", "seed")
_NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
_ANTHROPICS: dict[Choice, str] = {"none": "none", "auto": "auto", "required": "any", "named": "tool"}
_COHERES: dict[Choice, str] = {"none": "NONE", "required": "REQUIRED"}


def compatible(asked: Parameters) -> dict[str, Any]:
    """Chat completions, which use the same names as we do.

    If `response_format` were a named argument, the package would use it itself and parse the answer a second time.
    """
    named = _openai(asked)
    if asked.response_format is not None:
        named["extra_body"] = {"response_format": _format(asked.response_format)}
    return named


def openai(asked: Parameters, responses: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """OpenAI itself. `responses` says whether the package uses the Responses API, to which it then translates."""
    named = _openai(asked)
    if asked.response_format is not None and responses(named):
        return {**named, "response_format": _format(asked.response_format)}
    return compatible(asked)


def anthropic(asked: Parameters) -> dict[str, Any]:
    """Anthropic's Messages API."""
    named = _sampling(asked)
    if asked.tools is not None:
        named["tools"] = [_anthropics_tool(tool) for tool in asked.tools]
        choice, parallel = asked.tool_choice, asked.parallel_tool_calls
        if choice is not None or parallel is not None:
            kind = choice.kind if choice is not None else "auto"
            named["tool_choice"] = {"type": _ANTHROPICS[kind]}
            if choice is not None and choice.name is not None:
                named["tool_choice"]["name"] = choice.name
            if parallel is not None and kind != "none":
                named["tool_choice"]["disable_parallel_tool_use"] = not parallel
    if asked.response_format is not None:
        named["response_format"] = _format(asked.response_format)
    if asked.reasoning_effort is not None:
        named["reasoning_effort"] = asked.reasoning_effort
    return named


def cohere(asked: Parameters) -> dict[str, Any]:
    """Cohere's second chat API, without the package's own retries, which can only be turned off here."""
    named = _sampling(asked)
    if "top_p" in named:
        named["p"] = named.pop("top_p")
    if asked.tools is not None:
        named["tools"] = [_function(tool) for tool in asked.tools]
        if asked.tool_choice is not None and asked.tool_choice.kind in _COHERES:
            named["tool_choice"] = _COHERES[asked.tool_choice.kind]
    if (wanted := asked.response_format) is not None:
        schema = {"json_schema": dict(wanted.schema)} if wanted.schema is not None else {}
        named["response_format"] = {"type": "json_object", **schema}
    return {**named, "request_options": {"max_retries": 0}}


def ollama(asked: Parameters) -> dict[str, Any]:
    """Ollama's chat API. If the model may not call a tool, no tools are sent."""
    options = _sampling(asked)
    if "max_tokens" in options:
        options["num_predict"] = options.pop("max_tokens")
    named: dict[str, Any] = {"options": options}
    forbidden = asked.tool_choice is not None and asked.tool_choice.kind == "none"
    if asked.tools is not None and not forbidden:
        named["tools"] = [_function(tool) for tool in asked.tools]
    if asked.response_format is not None:
        named["response_format"] = _format(asked.response_format)
    if asked.reasoning_effort is not None:
        named["reasoning"] = False if asked.reasoning_effort == "none" else asked.reasoning_effort
    return named


def _openai(asked: Parameters) -> dict[str, Any]:
    named = _sampling(asked)
    if asked.tools is not None:
        named["tools"] = [_function(tool) for tool in asked.tools]
        if (choice := asked.tool_choice) is not None:
            one = {"type": "function", "function": {"name": choice.name}}
            named["tool_choice"] = one if choice.kind == "named" else choice.kind
        if asked.parallel_tool_calls is not None:
            named["parallel_tool_calls"] = asked.parallel_tool_calls
    if asked.reasoning_effort is not None:
        named["reasoning_effort"] = asked.reasoning_effort
    return named


def _sampling(asked: Parameters) -> dict[str, Any]:
    """The parameters that most APIs call by our names. The system prompt is sent as a message."""
    named: dict[str, Any] = {name: getattr(asked, name) for name in _AS_THEY_ARE if getattr(asked, name) is not None}
    if asked.stop is not None:
        named["stop"] = list(asked.stop)
    return named


def _function(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": dict(tool.schema or _NO_ARGUMENTS)}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _anthropics_tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description is not None else {}
    strict = {"strict": tool.strict} if tool.strict is not None else {}
    return {"name": tool.name, **described, "input_schema": dict(tool.schema or _NO_ARGUMENTS), **strict}


def _format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    details: dict[str, Any] = {"name": wanted.name, "schema": dict(wanted.schema or {})}
    if wanted.description is not None:
        details["description"] = wanted.description
    if wanted.strict is not None:
        details["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": details}
