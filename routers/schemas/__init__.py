"""JSON that several routes share."""
