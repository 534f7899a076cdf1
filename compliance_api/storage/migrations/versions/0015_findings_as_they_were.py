"""What a finding said at each time it was entered into the ledger, and the leaves of counted days."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tallies", sa.Column("log_index", sa.BigInteger(), nullable=True))
    op.create_table(
        "finding_versions",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("finding_id", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(), nullable=False),
        sa.Column("law", sa.Text(), nullable=False),
        sa.Column("citation_vi", sa.Text(), nullable=False),
        sa.Column("citation_en", sa.Text(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "finding_id", "version", name="pk_finding_versions"),
    )


def downgrade() -> None:
    op.drop_table("finding_versions")
    op.drop_column("tallies", "log_index")
