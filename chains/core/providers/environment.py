"""Hides variables of the environment from the providers' packages, which would read them.

Base URLs, keys, headers, proxies, tracing and output formats come from our settings only. A variable left over from
another program could otherwise send prompts to another address, add its key to them, or change the form of an answer.
"""

import os

_PREFIXES = (
    "OPENAI_",
    "ANTHROPIC_",
    "COHERE_",
    "CO_API_",
    "OLLAMA_",
    "LANGSMITH_",
    "LANGCHAIN_",
    "LC_OUTPUT_",
    "OTEL_",
)


def forget_environment() -> None:
    """Remove those variables from this process. Our own settings have been read by the time a model is made."""
    for name in list(os.environ):
        if name.startswith(_PREFIXES):
            os.environ.pop(name, None)
