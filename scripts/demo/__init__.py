"""`make demo`: one server, three models, and a fallback to watch."""
