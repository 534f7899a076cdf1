"""Everything that a finding has cited at some evaluation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "finding_citations",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("finding_id", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("cited_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "finding_id", "kind", "reference", name="pk_finding_citations"),
    )


def downgrade() -> None:
    op.drop_table("finding_citations")
