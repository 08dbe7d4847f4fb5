"""The catalogue of models, and which model handles a request."""
