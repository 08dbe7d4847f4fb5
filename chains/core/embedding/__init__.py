"""Embedding models, bundled and remote."""
