"""Translates LangChain's messages, chunks and errors to ours, and ours to LangChain's."""
