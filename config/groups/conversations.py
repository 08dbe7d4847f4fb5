"""Conversations: what a model sees of them."""

from pydantic import Field

from config.groups.values import Group, ModelName


class ConversationSettings(Group):
    """Memory and summaries."""

    MEMORY_MAX_TOKENS: int = Field(16_000, ge=0, le=10_000_000)
    SUMMARY_MODEL: ModelName = None
