"""Alembic's entry: runs the migrations on the connection and in the transaction that `migrate` opened."""

from alembic import context

from gitops.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
