"""Models: how they are made, and how their output is read."""
