"""Endpoints compatible with OpenAI's chat completions."""

from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai.chat_models.base import BaseChatOpenAI


class ChatCompatible(BaseChatOpenAI):
    """Keeps the thoughts of reasoning models. OpenAI itself never sends them, so LangChain's class drops them.

    DeepSeek, vLLM and llama.cpp send them as `reasoning_content`, others as `reasoning`. This base class also sends
    `max_tokens`, which such servers understand; they ignore the field that replaced it at OpenAI.
    """

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        made = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        if made is not None and (choices := chunk.get("choices")):
            delta = choices[0].get("delta") or {}
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(thought, str) and isinstance(made.message, AIMessageChunk):
                made.message.additional_kwargs["reasoning_content"] = thought
        return made
