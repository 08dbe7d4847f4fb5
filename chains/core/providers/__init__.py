"""How each provider's LangChain model is made."""
