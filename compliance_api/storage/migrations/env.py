"""Alembic's environment: runs in the transaction that `compliance_api.storage.migrate` has begun."""

from __future__ import annotations

from alembic import context

from compliance_api.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
