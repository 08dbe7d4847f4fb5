"""Turns documents into text. No other package imports the libraries that read their formats."""
