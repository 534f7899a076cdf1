"""What challenges say is said of the nodes of a place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The release before goes on summing up all nodes of an operator: those rows are read where a place has none.
    op.add_column("challenge_sums", sa.Column("jurisdiction", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("challenge_sums", "jurisdiction")
