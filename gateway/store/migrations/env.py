"""What alembic runs: migrations on the connection that `upgrade` hands over."""

from alembic import context

from gateway.store.tables import METADATA

given = context.config.attributes
context.configure(connection=given["connection"], version_table=given["version_table"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
