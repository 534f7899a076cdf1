"""Seeds, challenges, what is asked beside rounds, and the ways of sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = (
    "session_paths",
    "egress_sightings",
    "copied_counters",
    "challenge_outcomes",
    "challenges",
    "extra_questions",
    "draws",
    "seeds",
)


def upgrade() -> None:
    op.create_table(
        "seeds",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=False),
        sa.Column("committed_index", sa.BigInteger(), nullable=False),
        sa.Column("opened_index", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("operator_id", "purpose", "day", name=op.f("pk_seeds")),
    )
    op.create_table(
        "draws",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "purpose", "number", name=op.f("pk_draws")),
    )
    op.create_table(
        "extra_questions",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("assignment_id", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("qname", sa.Text(), nullable=False),
        sa.Column("qtype", sa.Integer(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("category", sa.Integer(), nullable=False),
        sa.Column("order_reference", sa.Text(), nullable=False),
        sa.Column("added_serial", sa.BigInteger(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("challenge_id", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("operator_id", "assignment_id", "position", name=op.f("pk_extra_questions")),
    )
    op.create_index(
        op.f("ix_extra_questions_operator_id_challenge_id"),
        "extra_questions",
        ["operator_id", "challenge_id"],
        unique=False,
    )
    op.create_index(op.f("ix_extra_questions_qname"), "extra_questions", ["qname"], unique=False)
    op.create_table(
        "challenges",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("challenge_id", sa.LargeBinary(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("drawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("rules", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("open_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opening", sa.LargeBinary(), nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("key_id", sa.LargeBinary(), nullable=True),
        sa.Column("opening_index", sa.BigInteger(), nullable=True),
        sa.Column("reported", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("beyond", sa.BigInteger(), nullable=True),
        sa.Column("busy", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("operator_id", "challenge_id", name=op.f("pk_challenges")),
    )
    op.create_index(op.f("ix_challenges_state_deadline"), "challenges", ["state", "deadline"], unique=False)
    op.create_index("uq_challenges_hour", "challenges", ["operator_id", "node", "hour"], unique=True)
    op.create_table(
        "challenge_outcomes",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("untrue", sa.Integer(), nullable=False),
        sa.Column("unanswered", sa.Integer(), nullable=False),
        sa.Column("absent", sa.Integer(), nullable=False),
        sa.Column("sums", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("slope_low", sa.BigInteger(), nullable=True),
        sa.Column("slope_high", sa.BigInteger(), nullable=True),
        sa.Column("accuses", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "ends_at", name=op.f("pk_challenge_outcomes")),
    )
    op.create_table(
        "copied_counters",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("other_operator", sa.Text(), nullable=False),
        sa.Column("other_node", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lag", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("windows", sa.Integer(), nullable=False),
        sa.Column("dispersion", sa.BigInteger(), nullable=False),
        sa.Column("noise", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "operator_id", "node", "other_operator", "other_node", "starts_at", "lag", name=op.f("pk_copied_counters")
        ),
    )
    op.create_table(
        "egress_sightings",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("assignment_id", sa.LargeBinary(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "assignment_id", "address", name=op.f("pk_egress_sightings")),
    )
    op.create_table(
        "session_paths",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("assignment_id", sa.LargeBinary(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("answered_by", sa.Text(), nullable=False),
        sa.Column("egress", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("foreign_egress", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("handed", sa.Boolean(), nullable=False),
        sa.Column("vantage_point", sa.Text(), nullable=False),
        sa.Column("access_network", sa.Text(), nullable=False),
        sa.Column("custodian", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "assignment_id", name=op.f("pk_session_paths")),
    )
    op.create_index(
        op.f("ix_session_paths_operator_id_decided_at"), "session_paths", ["operator_id", "decided_at"], unique=False
    )
    # The release before gives out assignments without a leaf.
    op.add_column("assignments", sa.Column("log_index", sa.BigInteger(), nullable=True))
    op.add_column("assignments", sa.Column("questions", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("assignments", "questions")
    op.drop_column("assignments", "log_index")
    for name in TABLES:
        op.drop_table(name)
