"""The settings in groups, one module for each room."""
