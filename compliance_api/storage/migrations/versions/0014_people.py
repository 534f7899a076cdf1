"""People who act for an organisation, and what they sign about findings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Of a step; empty where it was taken without a signature, and by the release before.
SIGNED = ("statement", "signature", "key")


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("units", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "name", name=op.f("pk_people")),
    )
    for name in SIGNED:
        op.add_column("finding_steps", sa.Column(name, sa.LargeBinary(), server_default=sa.text("''"), nullable=False))
    op.add_column("finding_steps", sa.Column("paper", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    for name in ("paper", *SIGNED):
        op.drop_column("finding_steps", name)
    op.drop_table("people")
