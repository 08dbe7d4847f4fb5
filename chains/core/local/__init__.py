"""The embedded llama.cpp model, in a child process."""
