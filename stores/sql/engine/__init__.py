"""The database itself: connections, the version of the schema, and failures."""
