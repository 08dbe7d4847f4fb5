"""LangChain, and everything that knows it."""
