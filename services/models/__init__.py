"""Which models callers may name."""
