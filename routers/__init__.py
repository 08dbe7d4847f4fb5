"""HTTP, and nothing but HTTP: validate the request, call one service, send the response."""
