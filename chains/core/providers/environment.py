"""Hides variables of the environment from the providers' packages, which would read them.

Base URLs, keys, headers, proxies, tracing, output formats: each is a setting of ours or not set. A variable left over
from another program would otherwise send prompts to another address, add its key to them, or change what an answer
looks like.
"""

import os

_PREFIXES = ("OPENAI_", "ANTHROPIC_", "COHERE_", "CO_API_", "OLLAMA_", "LANGSMITH_", "LANGCHAIN_", "LC_OUTPUT_")


def forget_environment() -> None:
    """Remove those variables from this process. Our own settings have been read by the time a model is made."""
    for name in list(os.environ):
        if name.startswith(_PREFIXES):
            os.environ.pop(name, None)
