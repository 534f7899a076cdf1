"""What rails found in a proposal, so that whoever decides on it sees that and not only what its proposer wrote."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "findings",
        sa.Column("proposal_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rail", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("names", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("total >= 1", name="ck_findings_counted"),
        sa.CheckConstraint("severity IN ('second-approver', 'review')", name="ck_findings_severity"),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name="fk_findings_proposal_id_proposals"),
        sa.PrimaryKeyConstraint("proposal_id", "position", name="pk_findings"),
    )
    op.execute(
        "CREATE TRIGGER never_rewritten BEFORE UPDATE OR DELETE OR TRUNCATE ON findings "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
    )


def downgrade() -> None:
    raise NotImplementedError("history is never rewritten")
