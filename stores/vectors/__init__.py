"""Stores of vectors: add, search and delete the vectors of documents' pieces."""
