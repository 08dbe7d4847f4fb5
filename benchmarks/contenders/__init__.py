"""The peers to compare with. Each responds to `POST /chat` with the same words."""
