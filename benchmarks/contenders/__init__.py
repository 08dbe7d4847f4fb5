"""The applications to compare. Each responds to `POST /chat` with the same words."""
