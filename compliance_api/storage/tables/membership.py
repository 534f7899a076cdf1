"""Who takes part, by which certificates, and how they came in.

Small tables, the same for every operator: on a distributed database they are reference tables, but for what nodes were.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Double, Index, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from compliance_api.storage.tables.base import metadata, moment

membership = Table(
    "membership",
    metadata,
    # One row; its lock orders everybody who changes what stands in this module.
    Column("id", Integer, primary_key=True, autoincrement=False),
    # Grows with every change.
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="single"),
)

jurisdictions = Table(
    "jurisdictions",
    metadata,
    Column("jurisdiction", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("name_vi", Text, nullable=False),
    Column("name_en", Text, nullable=False),
)

organisations = Table(
    "organisations",
    metadata,
    Column("organisation", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name_vi", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("jurisdictions", ARRAY(Text), nullable=False),
    # PEM; empty where its parties have certificates from this system's own authority.
    Column("roots", LargeBinary, nullable=False),
)

parties = Table(
    "parties",
    metadata,
    Column("organisation", Text, primary_key=True),
    # `node` or `probe`.
    Column("role", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    # Of its reports or observations; empty until it is enrolled.
    Column("key", LargeBinary, nullable=False),
    # Where the key came from: `file` or `enrolment`.
    Column("origin", Text, nullable=False),
    # All else that the registry says of it.
    Column("entry", JSONB, nullable=False),
)

# What the registry said of nodes that could report, a version beside the other.
node_versions = Table(
    "node_versions",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    moment("known_from"),
    Column("key", LargeBinary, nullable=False),
    # As in `parties`.
    Column("entry", JSONB, nullable=False),
)

# Apart from the parties: a release before this one takes every party for a node or a probe.
people = Table(
    "people",
    metadata,
    Column("organisation", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    # Of their statements.
    Column("key", LargeBinary, nullable=False),
    Column("units", ARRAY(Text), nullable=False),
    moment("enrolled_at"),
)

certificates = Table(
    "certificates",
    metadata,
    # SHA-256 of the DER form.
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False),
    moment("not_before"),
    moment("not_after"),
    moment("issued_at"),
    # PEM, the leaf first.
    Column("chain", LargeBinary, nullable=False),
    Index(None, "organisation", "role", "name"),
    Index(None, "not_after"),
)

revocations = Table(
    "revocations",
    metadata,
    Column("organisation", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    # Of one certificate; empty for the party with all it was ever issued.
    Column("fingerprint", LargeBinary, primary_key=True),
    moment("revoked_at", key=True),
    Column("revoked_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # When the party was enrolled again.
    moment("lifted_at", nullable=True),
)

enrolment_tokens = Table(
    "enrolment_tokens",
    metadata,
    # SHA-256 of the secret, which is kept nowhere.
    Column("token_hash", LargeBinary, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False),
    # What the registry will say of the party; empty where its file does.
    Column("entry", JSONB, nullable=False),
    moment("created_at"),
    Column("created_by", Text, nullable=False),
    moment("expires_at"),
    moment("used_at", nullable=True),
)

enrolments = Table(
    "enrolments",
    metadata,
    Column("enrolment_id", LargeBinary, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("organisation", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("entry", JSONB, nullable=False),
    # DER.
    Column("csr", LargeBinary, nullable=False),
    Column("key", LargeBinary, nullable=False),
    # What people compare.
    Column("fingerprint", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    moment("requested_at"),
    moment("expires_at"),
    moment("decided_at", nullable=True),
    Column("decided_by", Text, nullable=False),
    # PEM, the leaf first; empty until it is confirmed.
    Column("chain", LargeBinary, nullable=False),
    Index(None, "organisation", "state"),
)

shares = Table(
    "shares",
    metadata,
    # A party (`lachan://a/node/edge-1`) or an organisation (`a`).
    Column("holder", Text, primary_key=True),
    # `calls` or `items`.
    Column("unit", Text, primary_key=True),
    # What it held at that time, and what was drawn from it then.
    Column("tokens", Double, nullable=False),
    Column("drawn", Double, nullable=False),
    moment("at"),
)
