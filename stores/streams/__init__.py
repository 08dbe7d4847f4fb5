"""The append-only logs of streams."""
