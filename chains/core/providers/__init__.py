"""Makes each provider's LangChain model."""
