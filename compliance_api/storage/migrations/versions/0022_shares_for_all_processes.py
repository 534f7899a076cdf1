"""What each caller may take is kept for all processes together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Processes of the release before know nothing of it, and each grants whole shares as it did.
    op.create_table(
        "shares",
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("drawn", sa.Double(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("holder", "unit", name="pk_shares"),
    )


def downgrade() -> None:
    op.drop_table("shares")
