"""How the container puts each room together."""
