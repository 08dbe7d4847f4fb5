"""HTTP, and nothing but HTTP: validate, call one service, answer."""
