"""Conversations kept here: turns, memory, titles and summaries."""
