"""Rollups by the hour and the day, how far they came, and legal holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_EPOCH = datetime(1970, 1, 5, tzinfo=UTC)
_SPAN = timedelta(days=28)
_SUMS = (
    "windows",
    "seconds",
    "unmeasured",
    "not_enforcing",
    "queries",
    "drops",
    "upstream_failures",
    "blocked_csam",
    "blocked_sexual_exploitation",
    "blocked_pornography",
    "blocked_gambling",
    "blocked_violence",
    "blocked_drugs",
    "blocked_self_harm",
    "blocked_scam",
    "list_serial",
    "list_lag_seconds",
    "delay_seconds",
)


def _sums() -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS]


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    op.create_table(
        "hourly_rollups",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        *_sums(),
        sa.PrimaryKeyConstraint("operator_id", "node", "hour", name="pk_hourly_rollups"),
        postgresql_partition_by="RANGE (hour)",
    )
    op.create_index("ix_hourly_rollups_operator_id_hour", "hourly_rollups", ["operator_id", "hour"])
    op.execute("CREATE TABLE hourly_rollups_default PARTITION OF hourly_rollups DEFAULT")
    now = op.get_bind().execute(sa.text("SELECT now()")).scalar_one()
    start = now - (now - _EPOCH) % _SPAN
    op.execute(
        f"CREATE TABLE hourly_rollups_from{start:%Y%m%d} PARTITION OF hourly_rollups"
        f" FOR VALUES FROM ('{start.isoformat()}') TO ('{(start + _SPAN).isoformat()}')"
    )
    op.create_table(
        "daily_rollups",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        *_sums(),
        sa.PrimaryKeyConstraint("operator_id", "node", "day", name="pk_daily_rollups"),
    )
    op.create_index("ix_daily_rollups_operator_id_day", "daily_rollups", ["operator_id", "day"])
    op.create_table(
        "upkeep_marks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=True),
        sa.Column("before", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_upkeep_marks"),
    )
    op.create_table(
        "legal_holds",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("hold_id", sa.LargeBinary(), nullable=False),
        sa.Column("finding_id", sa.LargeBinary(), nullable=True),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("operator_id", "hold_id", name="pk_legal_holds"),
    )
    op.create_index(
        "ix_legal_holds_in_force",
        "legal_holds",
        ["operator_id"],
        postgresql_where=sa.text("released_at IS NULL"),
    )
    # What was accepted since a rollup was made is found by it.
    op.create_index("ix_reports_log_index", "reports", ["log_index"])


def downgrade() -> None:
    op.drop_index("ix_reports_log_index", table_name="reports")
    op.drop_index("ix_legal_holds_in_force", table_name="legal_holds")
    op.drop_table("legal_holds")
    op.drop_table("upkeep_marks")
    op.drop_index("ix_daily_rollups_operator_id_day", table_name="daily_rollups")
    op.drop_table("daily_rollups")
    op.drop_index("ix_hourly_rollups_operator_id_hour", table_name="hourly_rollups")
    op.drop_table("hourly_rollups")
