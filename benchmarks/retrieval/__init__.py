"""Measures how often the right passage is found by keywords, by vectors, and by both."""
