"""What challenges say together, in versions: what was summed up when stays known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "challenge_sums",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "ends_at", "version", name=op.f("pk_challenge_sums")),
    )
    op.create_index(op.f("ix_challenge_sums_operator_id_computed_at"), "challenge_sums", ["operator_id", "computed_at"])
    # What was said until now stays as it was said.
    op.execute(
        "INSERT INTO challenge_sums (operator_id, ends_at, version, computed_at, content)"
        " SELECT operator_id, ends_at, 1, computed_at, jsonb_build_object("
        "'opened', opened, 'untrue', untrue, 'pairs', coalesce(sums[1]::bigint, 0), 'low', slope_low,"
        " 'high', slope_high, 'accuses', accuses, 'complete', true) FROM challenge_outcomes"
    )


def downgrade() -> None:
    op.drop_table("challenge_sums")
