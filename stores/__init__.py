"""Stores: SQL, stream logs, vectors, and counters."""
