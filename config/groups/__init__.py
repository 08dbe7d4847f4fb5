"""The settings in groups, one module a room."""
