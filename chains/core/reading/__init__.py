"""Translates between LangChain's messages, chunks and errors and ours."""
