"""Reports from nodes that read another resolver's log of hits: how many queries there were is not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The release before leaves it out when it adds a report, and so says what is true of all it takes.
    op.add_column(
        "reports", sa.Column("queries_measured", sa.Boolean(), server_default=sa.text("true"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("reports", "queries_measured")
