"""Draws say since when they are kept, so that they can go when their time is over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of those that were there before: since now.
    kept_at = sa.Column("kept_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    op.add_column("draws", kept_at)


def downgrade() -> None:
    op.drop_column("draws", "kept_at")
