"""The applications that are compared. Each answers `POST /chat` with the same words."""
