"""Run by Alembic: migrates in the transaction that `stores.sql.engine.schema` passes in."""

from alembic import context

from stores.sql.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
