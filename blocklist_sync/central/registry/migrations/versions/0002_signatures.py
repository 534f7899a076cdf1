"""When each signature of a release came in, so that every stage ends at its own time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signatures",
        sa.Column("signed_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("keyid", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("log_length", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("threshold >= 1", name="ck_signatures_counted"),
        sa.PrimaryKeyConstraint("signed_sha256", "keyid", name="pk_signatures"),
    )
    op.execute(
        "CREATE TRIGGER never_rewritten BEFORE UPDATE OR DELETE OR TRUNCATE ON signatures "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
    )


def downgrade() -> None:
    raise NotImplementedError("history is never rewritten")
