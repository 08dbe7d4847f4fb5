"""Documents: ingestion, indexes of their vectors, retrieval."""
