"""Alembic's environment: runs in the transaction that `lachan.migration` has begun."""

from __future__ import annotations

from alembic import context

from blocklist_sync.central.registry.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
