"""Models: names, providers, and what their words mean."""
