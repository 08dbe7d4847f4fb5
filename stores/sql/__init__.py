"""Everything that outlives the process: keys, conversations, documents and usage, in SQLite or PostgreSQL.

Importing this package imports nothing. `engine.glance` reads a file without SQLAlchemy; every other module needs it.
"""
