"""Conversations that clients keep themselves and know by a name of their own."""
