"""The tables, as the newest migration leaves them (a test compares the two).

Holds always: every row is history: it is added and never changed or removed, which a trigger on every table sees to
whoever asks; bytes that somebody signed are kept as received. Whoever proposed and whoever approved are two people with
two keys, by constraint. A proposal is decided once. Names are compared bytewise, whatever the database's locale.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from lachan.migration import NAMING

metadata = MetaData(naming_convention=NAMING)


def _time(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False)


scans = Table(
    "scans",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("added_by", Text, nullable=False),
    _time("added_at"),
    CheckConstraint("sha256 = sha256(content)", name="digest"),
)

orders = Table(
    "orders",
    metadata,
    Column("number", Text, primary_key=True),
    Column("date", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("urgency", Text, nullable=False),
    Column("jurisdiction", Text, nullable=False),
    Column("mandated", Boolean, nullable=False),
    Column("scan_sha256", LargeBinary, ForeignKey("scans.sha256")),
    Column("added_by", Text, nullable=False),
    _time("added_at"),
    Index(None, "added_at"),
)

log_steps = Table(
    "log_steps",
    metadata,
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("previous", LargeBinary, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("step", LargeBinary, nullable=False),
    _time("added_at"),
    CheckConstraint("index >= 1", name="counted"),
    CheckConstraint("hash = sha256(step)", name="hash"),
)

admissions = Table(
    "admissions",
    metadata,
    Column("index", BigInteger, ForeignKey("log_steps.index"), primary_key=True, autoincrement=False),
    Column("change", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("witness", Text, nullable=False),
    _time("decided_at"),
    CheckConstraint("witness <> person", name="two_people"),
    Index(None, "person"),
)

proposals = Table(
    "proposals",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("number", BigInteger, Identity(always=True), unique=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("header", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("order_number", Text, ForeignKey("orders.number"), nullable=False),
    Column("proposer", Text, nullable=False),
    Column("proposer_key", LargeBinary, nullable=False),
    Column("effective_from", BigInteger, nullable=False),
    Column("review_by", BigInteger, nullable=False),
    Column("changes_size", BigInteger, nullable=False),
    Column("added", Integer, nullable=False),
    Column("removed", Integer, nullable=False),
    _time("added_at"),
    # Whether what it adds lets names pass, all of it; null where it was handed in before this was noted.
    Column("lifts", Boolean),
    CheckConstraint("digest = sha256(header)", name="digest"),
    # What approvals refer to, so that their own constraint can tell two people apart.
    UniqueConstraint("id", "proposer", "proposer_key"),
    Index(None, "order_number"),
    Index(None, "review_by"),
)

change_chunks = Table(
    "change_chunks",
    metadata,
    Column("proposal_id", UUID(as_uuid=False), ForeignKey("proposals.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    # The first chunk holds the table of kinds alone, and no names.
    Column("first_name", Text(collation="C")),
    Column("last_name", Text(collation="C")),
    Column("deflated", LargeBinary, nullable=False),
    Index(None, "first_name", "last_name"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("proposal_id", UUID(as_uuid=False), primary_key=True),
    Column("approver", Text, primary_key=True),
    Column("approver_key", LargeBinary, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("proposer_key", LargeBinary, nullable=False),
    Column("decided_at", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    _time("added_at"),
    ForeignKeyConstraint(
        ["proposal_id", "proposer", "proposer_key"], ["proposals.id", "proposals.proposer", "proposals.proposer_key"]
    ),
    UniqueConstraint("proposal_id", "approver_key"),
    CheckConstraint("approver <> proposer", name="two_people"),
    CheckConstraint("approver_key <> proposer_key", name="two_keys"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("proposal_id", UUID(as_uuid=False), ForeignKey("proposals.id"), primary_key=True),
    Column("outcome", Text, nullable=False),
    # The step that brought it into the log, where it was approved.
    Column("log_index", BigInteger, ForeignKey("log_steps.index"), unique=True),
    Column("effect_at", BigInteger),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _time("decided_at"),
    CheckConstraint("outcome IN ('approved', 'rejected', 'withdrawn')", name="outcome"),
    CheckConstraint(
        "(outcome = 'approved') = (log_index IS NOT NULL) AND (outcome = 'approved') = (effect_at IS NOT NULL)",
        name="logged",
    ),
)

reviews = Table(
    "reviews",
    metadata,
    Column("proposal_id", UUID(as_uuid=False), ForeignKey("proposals.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("reviewed_by", Text, nullable=False),
    Column("next_review_by", BigInteger),
    Column("reason", Text, nullable=False),
    _time("reviewed_at"),
)

signatures = Table(
    "signatures",
    metadata,
    # Of the document's signed bytes.
    Column("signed_sha256", LargeBinary, primary_key=True),
    Column("keyid", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("serial", BigInteger, nullable=False),
    # Which steps of the log it was of, and how many signatures it needs.
    Column("log_length", BigInteger, nullable=False),
    Column("as_of", BigInteger, nullable=False),
    Column("threshold", Integer, nullable=False),
    _time("added_at"),
    CheckConstraint("threshold >= 1", name="counted"),
)

findings = Table(
    "findings",
    metadata,
    Column("proposal_id", UUID(as_uuid=False), ForeignKey("proposals.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("rail", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    # The first ones.
    Column("names", ARRAY(Text), nullable=False),
    # When the proposal came in, or when somebody approved it.
    _time("found_at"),
    CheckConstraint("total >= 1", name="counted"),
    CheckConstraint("severity IN ('second-approver', 'review')", name="severity"),
)

order_changes = Table(
    "order_changes",
    metadata,
    Column("proposal_id", UUID(as_uuid=False), ForeignKey("proposals.id"), primary_key=True),
    # What the entries themselves say that they rest on, which need not be the proposal's own order.
    Column("order_text", Text, primary_key=True),
    Column("added", Integer, nullable=False),
    Column("removed", Integer, nullable=False),
    CheckConstraint("added >= 0 AND removed >= 0", name="counted"),
)

HISTORY = tuple(table.name for table in metadata.sorted_tables)
"""Every table: none of them may be rewritten."""
