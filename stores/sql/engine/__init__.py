"""The database itself: connections, the schema's version, failures."""
