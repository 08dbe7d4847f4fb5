"""All code that uses LangChain."""
