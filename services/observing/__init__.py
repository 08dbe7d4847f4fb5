"""Observers of streams: accounts, log lines, and later metrics and traces."""
