"""What nodes claim: reports, the heads of their chains, and the log in which each has its place."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from compliance_api.storage.tables.base import metadata, moment

log_position = Table(
    "log_position",
    metadata,
    # One row; its lock orders everybody who adds to the log.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("next_index", BigInteger, nullable=False),
    # The latest time of entry, in seconds since 1970, UTC: no later leaf has an earlier one.
    Column("entered_at", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("id = 1", name="single"),
)

chain_heads = Table(
    "chain_heads",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    moment("enrolled_at"),
    # All empty until the first report.
    moment("first_window", nullable=True),
    Column("boot_epoch", LargeBinary),
    Column("previous_boot_epoch", LargeBinary),
    Column("sequence", BigInteger),
    Column("digest", LargeBinary),
    moment("window_end", nullable=True),
    # The epochs before this one, the last one first, one after the other; empty where a release that does not know the
    # column has moved the head since (`top_digest` is another digest then).
    Column("past_epochs", LargeBinary),
    # The highest number ever used in this epoch, where `top_digest` is the digest above: a higher one is new without a
    # look at the reports. Another digest means that a release which does not know these columns has moved the head.
    Column("top_digest", LargeBinary),
    Column("top_sequence", BigInteger),
)

reports = Table(
    "reports",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("boot_epoch", LargeBinary, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    # Part of the key: a second report under one number is kept beside the first.
    Column("digest", LargeBinary, primary_key=True),
    Column("log_index", BigInteger, nullable=False),
    moment("accepted_at"),
    Column("relation", Text, nullable=False),
    # The report that had the number first, where this one is an equivocation.
    Column("rival", LargeBinary),
    # Reports lie in weeks of it (`storage.partitions`). It is in the bytes signed, so the digest says it already, and a
    # key with it is as strict as one without.
    Column("window_start", DateTime(timezone=True), primary_key=True),
    Column("window_seconds", Integer, nullable=False),
    Column("list_serial", BigInteger, nullable=False),
    moment("list_activated_at"),
    Column("queries", BigInteger, nullable=False),
    # False where the node reads another resolver's log of hits: `queries` says nothing then.
    Column("queries_measured", Boolean, nullable=False, server_default=text("true")),
    Column("blocked", BigInteger, nullable=False),
    Column("enforcing", Boolean, nullable=False),
    Column("report", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Index(None, "operator_id", "window_start"),
    Index(None, "operator_id", "node", "log_index"),
    # What came in since the rollups were made last.
    Index(None, "log_index"),
    postgresql_partition_by="RANGE (window_start)",
)

unverified_reports = Table(
    "unverified_reports",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    # SHA-256 of the signature that does not hold: the same bytes may come with several.
    Column("signature_digest", LargeBinary, primary_key=True),
    Column("log_index", BigInteger, nullable=False),
    moment("accepted_at"),
    Column("reason", Text, nullable=False),
    Column("report", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Index(None, "operator_id", "accepted_at"),
)
