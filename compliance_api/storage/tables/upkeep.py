"""What is made of reports to outlive them, how far that came, and who said that something must be kept.

Holds always: a legal hold is never deleted; what ends one is written beside it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, DateTime, Index, LargeBinary, Table, Text, text

from compliance_api.domain.reports.rollup import COLUMNS
from compliance_api.storage.tables.base import metadata, moment


def _sums() -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in COLUMNS]


hourly_rollups = Table(
    "hourly_rollups",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    # They lie in four weeks of it.
    Column("hour", DateTime(timezone=True), primary_key=True),
    *_sums(),
    Index(None, "operator_id", "hour"),
    postgresql_partition_by="RANGE (hour)",
)

daily_rollups = Table(
    "daily_rollups",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    # A legal day.
    Column("day", Date, primary_key=True),
    *_sums(),
    Index(None, "operator_id", "day"),
)

upkeep_marks = Table(
    "upkeep_marks",
    metadata,
    # `rolled_up`, or a table whose old rows are forgotten.
    Column("name", Text, primary_key=True),
    # Reports with a lower index are in the rollups.
    Column("log_index", BigInteger),
    # Rows from before are gone, but for what had to be kept.
    moment("before", nullable=True),
)

legal_holds = Table(
    "legal_holds",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("hold_id", LargeBinary, primary_key=True),
    # What a finding cites, or everything of a period: one of the two.
    Column("finding_id", LargeBinary),
    moment("period_start", nullable=True),
    moment("period_end", nullable=True),
    Column("reason", Text, nullable=False),
    Column("placed_by", Text, nullable=False),
    moment("placed_at"),
    Column("released_by", Text),
    Column("release_reason", Text),
    moment("released_at", nullable=True),
    Index("ix_legal_holds_in_force", "operator_id", postgresql_where=text("released_at IS NULL")),
)
