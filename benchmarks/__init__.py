"""Measures what a stream costs: one command starts StreamForge and its peers, and measures them in the same run."""
