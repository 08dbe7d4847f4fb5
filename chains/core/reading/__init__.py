"""From LangChain's words to ours."""
