"""Stores and searches the vectors of documents' pieces."""
