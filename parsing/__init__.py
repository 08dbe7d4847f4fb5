"""Documents become text here, and nothing else knows the libraries of their formats."""
