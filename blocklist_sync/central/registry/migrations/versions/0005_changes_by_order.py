"""What comes and goes of each order by a proposal, so that several small ones are weighed together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nobody counted it for those before; a release before this one goes on without it.
    op.create_table(
        "order_changes",
        sa.Column("proposal_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("order_text", sa.Text(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.CheckConstraint("added >= 0 AND removed >= 0", name="ck_order_changes_counted"),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name="fk_order_changes_proposal_id_proposals"),
        sa.PrimaryKeyConstraint("proposal_id", "order_text", name="pk_order_changes"),
    )
    op.execute(
        "CREATE TRIGGER never_rewritten BEFORE UPDATE OR DELETE OR TRUNCATE ON order_changes "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
    )


def downgrade() -> None:
    raise NotImplementedError("history is never rewritten")
