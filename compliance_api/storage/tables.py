"""The tables, as the newest migration leaves them (a test compares the two).

Holds always: `operator_id` leads the key of everything an operator says or is seen doing, so that those tables
distribute by it; the rest are small reference tables. Bytes that somebody signed are kept as received. Rows of evidence
are only ever added; what changes in place is the head of a chain, the position of the log, and the current verdict.
"""

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
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


log_position = Table(
    "log_position",
    metadata,
    # One row; its lock orders everybody who adds to the log.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("next_index", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="single"),
)

chain_heads = Table(
    "chain_heads",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    _time("enrolled_at"),
    # All empty until the first report.
    _time("first_window", nullable=True),
    Column("boot_epoch", LargeBinary),
    Column("previous_boot_epoch", LargeBinary),
    Column("sequence", BigInteger),
    Column("digest", LargeBinary),
    _time("window_end", nullable=True),
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
    _time("accepted_at"),
    Column("relation", Text, nullable=False),
    # The report that had the number first, where this one is an equivocation.
    Column("rival", LargeBinary),
    _time("window_start"),
    Column("window_seconds", Integer, nullable=False),
    Column("list_serial", BigInteger, nullable=False),
    _time("list_activated_at"),
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
    _time("accepted_at"),
    Column("reason", Text, nullable=False),
    Column("report", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Index(None, "operator_id", "accepted_at"),
)

releases = Table(
    "releases",
    metadata,
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    Column("records_digest", LargeBinary, nullable=False),
    _time("published_at"),
    Column("entries", BigInteger, nullable=False),
    Column("urgent", Boolean, nullable=False),
)

rounds = Table(
    "rounds",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("round_id", LargeBinary, primary_key=True),
    Column("node", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("transport", Text, nullable=False),
    # How many intervals had passed since 1970: two processes draw one round.
    Column("number", BigInteger, nullable=False),
    Column("seed", LargeBinary, nullable=False),
    Column("sample_serial", BigInteger, nullable=False),
    _time("drawn_at"),
    _time("expires_at"),
    UniqueConstraint("operator_id", "node", "address", "port", "transport", "number"),
    Index(None, "expires_at"),
)

questions = Table(
    "questions",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("round_id", LargeBinary, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("qname", Text, nullable=False),
    Column("qtype", Integer, nullable=False),
    Column("arm", Text, nullable=False),
    Column("category", Integer, nullable=False),
    Column("order_reference", Text, nullable=False),
    Column("added_serial", BigInteger, nullable=False),
    _time("added_at", nullable=True),
)

assignments = Table(
    "assignments",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("assignment_id", LargeBinary, primary_key=True),
    Column("round_id", LargeBinary, nullable=False),
    Column("probe_organisation", Text, nullable=False),
    Column("probe", Text, nullable=False),
    _time("issued_at"),
    _time("expires_at"),
    # The question at index i of the assignment is the round's question at positions[i].
    Column("positions", ARRAY(Integer), nullable=False),
    UniqueConstraint("operator_id", "round_id", "probe_organisation", "probe"),
    Index(None, "assignment_id"),
)

observations = Table(
    "observations",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("assignment_id", LargeBinary, primary_key=True),
    Column("question", Integer, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    _time("asked_at"),
    _time("received_at"),
    # Who asked whom for what, as it stood then: the registry changes, evidence does not.
    Column("probe_organisation", Text, nullable=False),
    Column("probe", Text, nullable=False),
    Column("vantage_point", Text, nullable=False),
    Column("access_network", Text, nullable=False),
    Column("custodian", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("qname", Text, nullable=False),
    Column("qtype", Integer, nullable=False),
    Column("arm", Text, nullable=False),
    Column("category", Integer, nullable=False),
    Column("order_reference", Text, nullable=False),
    Column("added_serial", BigInteger, nullable=False),
    _time("added_at", nullable=True),
    # Derived from the bytes below when they came in.
    Column("result", Text, nullable=False),
    Column("shape", Text, nullable=False),
    Column("reference_alive", Boolean, nullable=False),
    Column("observation", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Index(None, "operator_id", "asked_at"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("jurisdiction", Text, primary_key=True),
    Column("outcome", Text, nullable=False),
    _time("since"),
    _time("evaluated_at"),
    Column("law", Text, nullable=False),
    Column("findings", ARRAY(Text), nullable=False),
    Column("coverage", JSONB, nullable=False),
)

verdict_changes = Table(
    "verdict_changes",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("jurisdiction", Text, primary_key=True),
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("law", Text, nullable=False),
    Column("findings", ARRAY(Text), nullable=False),
    Column("coverage", JSONB, nullable=False),
)

findings = Table(
    "findings",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("finding_id", LargeBinary, primary_key=True),
    Column("jurisdiction", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("node", Text, nullable=False),
    # Since when it holds, by its evidence.
    _time("since"),
    _time("opened_at"),
    _time("last_seen"),
    # Empty while it is found at every evaluation.
    _time("closed_at", nullable=True),
    # Pairs in order: JSONB would sort an object's keys.
    Column("counts", JSONB, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("law", Text, nullable=False),
    Column("citation_vi", Text, nullable=False),
    Column("citation_en", Text, nullable=False),
    Index(
        "uq_findings_open",
        "operator_id",
        "jurisdiction",
        "kind",
        "node",
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
    ),
)
