"""What is said of operators: current verdicts, how they changed, and findings."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Index, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from compliance_api.storage.tables.base import metadata, moment

verdicts = Table(
    "verdicts",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("jurisdiction", Text, primary_key=True),
    Column("outcome", Text, nullable=False),
    moment("since"),
    moment("evaluated_at"),
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
    moment("since"),
    moment("opened_at"),
    moment("last_seen"),
    # Empty while it is found at every evaluation.
    moment("closed_at", nullable=True),
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

# When nobody's reports could be taken, by what the service itself knows: between two of its evaluations.
closures = Table(
    "closures", metadata, Column("began_at", DateTime(timezone=True), primary_key=True), moment("ended_at")
)

# Everything that a finding has cited at some evaluation: it still rests on that when a later one cites other pieces.
finding_citations = Table(
    "finding_citations",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("finding_id", LargeBinary, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("reference", Text, primary_key=True),
    moment("cited_at"),
)
