"""Measures how often the right passage is found: by words, by vectors, and by both."""
