"""What outlives the process: keys, conversations and usage, in SQLite or PostgreSQL.

Importing this imports nothing: `glance` looks at a file without SQLAlchemy, everything else needs it.
"""
