"""Where the words of an answer come from."""
