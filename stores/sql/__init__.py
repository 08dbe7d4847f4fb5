"""The database, SQLite or PostgreSQL: keys, conversations, documents and usage.

Importing this package imports nothing. `engine.glance` reads a file without SQLAlchemy; every other module needs it.
"""
