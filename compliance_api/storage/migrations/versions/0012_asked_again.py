"""Questions and observations say whether a name was asked again for having been missed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The release before leaves it out: its names count as drawn.
    for table in ("questions", "observations"):
        op.add_column(table, sa.Column("again", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    for table in ("observations", "questions"):
        op.drop_column(table, "again")
