"""Turns documents into text. No other package imports the libraries of their formats."""
