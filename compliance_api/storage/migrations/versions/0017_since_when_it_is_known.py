"""Releases and copied counters say since when they are known, and a chain's head which epochs were before it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    # The release before leaves them out: what it stores counts as known from the beginning.
    op.add_column("releases", sa.Column("learned_at", _MOMENT, nullable=True))
    op.add_column("copied_counters", sa.Column("found_at", _MOMENT, nullable=True))
    op.add_column("chain_heads", sa.Column("past_epochs", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("chain_heads", "past_epochs")
    op.drop_column("copied_counters", "found_at")
    op.drop_column("releases", "learned_at")
