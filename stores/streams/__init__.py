"""The append-only logs of streams, in memory or in Redis."""
