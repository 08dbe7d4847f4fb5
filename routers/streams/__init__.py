"""The response that reads a log."""
