"""Counted days, verdicts on periods, the law as it was known, and the steps of findings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "tallies",
        _text("operator_id"),
        _text("jurisdiction"),
        sa.Column("day_seconds", sa.Integer(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _moment("begins_at"),
        _moment("counted_at"),
        _text("law"),
        sa.Column("law_version", sa.Integer(), nullable=False),
        sa.Column("observations", sa.BigInteger(), nullable=False),
        _text("digest"),
        _json("bad"),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False),
        *(_json(name) for name in ("counts", "strata", "lines", "evidence", "releases")),
        sa.PrimaryKeyConstraint("operator_id", "jurisdiction", "day_seconds", "day", "version", name="pk_tallies"),
    )
    op.create_table(
        "period_verdicts",
        _text("operator_id"),
        _text("jurisdiction"),
        _text("period"),
        sa.Column("version", sa.Integer(), nullable=False),
        _moment("begins_at"),
        _moment("reached_at"),
        _text("outcome"),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "jurisdiction", "period", "version", name="pk_period_verdicts"),
    )
    op.create_table(
        "law_versions",
        _text("law"),
        sa.Column("version", sa.Integer(), nullable=False),
        _moment("known_from"),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("law", "version", name="pk_law_versions"),
    )
    op.create_table(
        "finding_steps",
        _text("operator_id"),
        sa.Column("finding_id", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        _text("state"),
        _moment("at"),
        *(_text(name) for name in ("unit", "person", "note", "order_number", "order_authority")),
        sa.Column("next_unit", sa.Text(), nullable=True),
        _moment("due_at", nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "finding_id", "position", name="pk_finding_steps"),
    )
    op.create_index("ix_finding_steps_operator_id_due_at", "finding_steps", ["operator_id", "due_at"])


def downgrade() -> None:
    for name in ("finding_steps", "law_versions", "period_verdicts", "tallies"):
        op.drop_table(name)
