"""What probes are asked to see and what they saw, with the releases that it is measured by."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from compliance_api.storage.tables.base import metadata, moment

line_checks = Table(
    "line_checks",
    metadata,
    # Whose probe looked at its line.
    Column("organisation", Text, primary_key=True),
    Column("probe", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("vantage_point", Text, nullable=False),
    # By the service's stamps: it was made between these two.
    moment("began_at"),
    moment("received_at"),
    Column("open", Boolean, nullable=False),
    # By subject, a state; what was signed stands in its leaf.
    Column("states", JSONB, nullable=False),
    Column("log_index", BigInteger, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    Column("records_digest", LargeBinary, nullable=False),
    moment("published_at"),
    Column("entries", BigInteger, nullable=False),
    Column("urgent", Boolean, nullable=False),
    # Since when it is known here; empty where an earlier release stored it.
    moment("learned_at", nullable=True),
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
    Column("server_name", Text, nullable=False, server_default=""),
    Column("path", Text, nullable=False, server_default=""),
    # How many intervals had passed since 1970: two processes draw one round.
    Column("number", BigInteger, nullable=False),
    Column("seed", LargeBinary, nullable=False),
    Column("sample_serial", BigInteger, nullable=False),
    moment("drawn_at"),
    moment("expires_at"),
    UniqueConstraint("operator_id", "node", "address", "port", "transport", "number"),
    Index(None, "expires_at"),
)

shape_versions = Table(
    "shape_versions",
    metadata,
    Column("version", Text, primary_key=True),
    moment("known_from"),
    # The text in its one form; its leaf in the ledger commits to these bytes.
    Column("content", Text, nullable=False),
    Column("log_index", BigInteger, nullable=False),
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
    moment("added_at", nullable=True),
    Column("dnssec_ok", Boolean, nullable=False, server_default=false()),
    # A listed name that had been missed before, and was not drawn.
    Column("again", Boolean, nullable=False, server_default=false()),
)

assignments = Table(
    "assignments",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("assignment_id", LargeBinary, primary_key=True),
    Column("round_id", LargeBinary, nullable=False),
    Column("probe_organisation", Text, nullable=False),
    Column("probe", Text, nullable=False),
    # Who kept the probe then; empty in what an earlier release gave out.
    Column("custodian", Text, nullable=True),
    moment("issued_at"),
    moment("expires_at"),
    # The question at index i of the assignment is the round's question at positions[i].
    Column("positions", ARRAY(Integer), nullable=False),
    # Its leaf in the ledger, and how many questions it holds; empty for those of an earlier release.
    Column("log_index", BigInteger),
    Column("questions", Integer),
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
    # Observations lie in weeks of it (`storage.partitions`). The key needs it, so it is the lock of the assignment that
    # keeps a question's observation one.
    Column("asked_at", DateTime(timezone=True), primary_key=True),
    moment("received_at"),
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
    moment("added_at", nullable=True),
    # Derived from the bytes below when they came in.
    Column("result", Text, nullable=False),
    Column("shape", Text, nullable=False),
    Column("reference_alive", Boolean, nullable=False),
    # How it was asked; 0 and empty in what an earlier release stored.
    Column("transport", Text, nullable=False, server_default="udp"),
    Column("family", Integer, nullable=False, server_default="0"),
    Column("dnssec_ok", Boolean, nullable=False, server_default=false()),
    # A listed name that had been missed before, and was not drawn.
    Column("again", Boolean, nullable=False, server_default=false()),
    Column("path", Text, nullable=False, server_default="unknown"),
    # Between which moments of the service's own clock.
    moment("earliest", nullable=True),
    moment("latest", nullable=True),
    # The text that says what a block looks like.
    Column("shapes", Text, nullable=False, server_default=""),
    # Addresses in the answer that neither reference gave: where many names share one, it may be a block page's.
    Column("strange", ARRAY(Text), nullable=True),
    # The service's stamp over the bytes below, serialised.
    Column("ended", LargeBinary, nullable=True),
    Column("observation", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    # Its leaf in the ledger; empty until the sequencer has entered what the release before took.
    Column("log_index", BigInteger),
    Index(None, "operator_id", "asked_at"),
    Index("ix_observations_without_leaf", "operator_id", "received_at", postgresql_where=text("log_index IS NULL")),
    postgresql_partition_by="RANGE (asked_at)",
)
