"""Names that releases took out, names asked as not listed that are listed by now, and when releases took effect."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "removals",
        sa.Column("qname", sa.Text(), primary_key=True),
        sa.Column("serial", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added_serial", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Integer(), nullable=False),
        sa.Column("order_reference", sa.Text(), nullable=False),
        sa.Column("free", sa.Boolean(), nullable=False),
        sa.Column("control", sa.Boolean(), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_removals_removed_at", "removals", ["removed_at"])
    op.create_index("ix_removals_serial", "removals", ["serial"])
    op.create_table(
        "listings",
        sa.Column("qname", sa.Text(), primary_key=True),
        sa.Column("listed_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
    )
    # The release before leaves it out: its counts say nothing of when a release took effect.
    op.add_column("tallies", sa.Column("timings", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("tallies", "timings")
    op.drop_table("listings")
    op.drop_table("removals")
