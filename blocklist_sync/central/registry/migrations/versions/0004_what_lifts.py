"""Whether a proposal lets names pass and blocks none: unblocking has deadlines of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nobody knows it of those before; a release before this one goes on writing without it.
    op.add_column("proposals", sa.Column("lifts", sa.Boolean(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("history is never rewritten")
