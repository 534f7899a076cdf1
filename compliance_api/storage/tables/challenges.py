"""Seeds and what they drew, what nodes opened, and by which way each session of a probe went."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from compliance_api.storage.tables.base import metadata, moment

seeds = Table(
    "seeds",
    metadata,
    Column("operator_id", Text, primary_key=True),
    # What it draws: `rounds`, `challenges`.
    Column("purpose", Text, primary_key=True),
    # Of UTC.
    Column("day", Date, primary_key=True),
    Column("seed", LargeBinary, nullable=False),
    # Leaves of its digest, before it was used, and of itself, when it told nobody anything any more.
    Column("committed_index", BigInteger, nullable=False),
    Column("opened_index", BigInteger),
)

draws = Table(
    "draws",
    metadata,
    Column("operator_id", Text, primary_key=True),
    # Of the round, or the start of a challenged hour in seconds since 1970.
    Column("purpose", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    # Everything that the draw took beside its seed; canonical JSON, deflated.
    Column("content", LargeBinary, nullable=False),
    # The release before leaves it out.
    Column("kept_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)

extra_questions = Table(
    "extra_questions",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("assignment_id", LargeBinary, primary_key=True),
    # After the last one of the assignment's round.
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("qname", Text, nullable=False),
    Column("qtype", Integer, nullable=False),
    Column("arm", Text, nullable=False),
    Column("category", Integer, nullable=False),
    Column("order_reference", Text, nullable=False),
    Column("added_serial", BigInteger, nullable=False),
    moment("added_at", nullable=True),
    # The challenge that it is asked for; empty for a nonce.
    Column("challenge_id", LargeBinary),
    Index(None, "qname"),
    Index(None, "operator_id", "challenge_id"),
)

challenges = Table(
    "challenges",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("challenge_id", LargeBinary, primary_key=True),
    Column("node", Text, nullable=False),
    Column("hour", DateTime(timezone=True), nullable=False),
    moment("drawn_at"),
    Column("serial", BigInteger, nullable=False),
    Column("rules", JSONB, nullable=False),
    moment("open_from"),
    moment("deadline"),
    Column("log_index", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    # Why it is refused or untrue; empty otherwise.
    Column("reason", Text, nullable=False),
    moment("answered_at", nullable=True),
    # What the node signed.
    Column("opening", LargeBinary),
    Column("signature", LargeBinary),
    Column("key_id", LargeBinary),
    Column("opening_index", BigInteger),
    # By qname, as opened; and hits that the node could not tell apart.
    Column("reported", JSONB),
    Column("beyond", BigInteger),
    # Entries that others were found to ask often.
    Column("busy", ARRAY(Text)),
    Index("uq_challenges_hour", "operator_id", "node", "hour", unique=True),
    Index(None, "state", "deadline"),
)

# What the release before this one sums up, while it runs beside.
challenge_outcomes = Table(
    "challenge_outcomes",
    metadata,
    Column("operator_id", Text, primary_key=True),
    # The end of the days that were looked at.
    Column("ends_at", DateTime(timezone=True), primary_key=True),
    moment("starts_at"),
    moment("computed_at"),
    Column("opened", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("untrue", Integer, nullable=False),
    Column("unanswered", Integer, nullable=False),
    Column("absent", Integer, nullable=False),
    # In the order of `statistics.slope.Moments`; whole numbers, as texts where JSON would not hold them.
    Column("sums", ARRAY(Text), nullable=False),
    # In millionths; empty where there are too few.
    Column("slope_low", BigInteger),
    Column("slope_high", BigInteger),
    Column("accuses", Boolean, nullable=False),
)

challenge_sums = Table(
    "challenge_sums",
    metadata,
    Column("operator_id", Text, primary_key=True),
    # The end of the days that were looked at.
    Column("ends_at", DateTime(timezone=True), primary_key=True),
    # A later one stands beside the earlier: what was known when stays known.
    Column("version", Integer, primary_key=True, autoincrement=False),
    moment("computed_at"),
    # As `domain.case.SlopeRecord`, with the sums that its slope is made of.
    Column("content", JSONB, nullable=False),
    # Where the nodes are that it is of; empty for all of the operator's, as earlier releases summed them up.
    Column("jurisdiction", Text, nullable=False, server_default=""),
    Index(None, "operator_id", "computed_at"),
)

copied_counters = Table(
    "copied_counters",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("other_operator", Text, primary_key=True),
    Column("other_node", Text, primary_key=True),
    Column("starts_at", DateTime(timezone=True), primary_key=True),
    Column("lag", Integer, primary_key=True, autoincrement=False),
    Column("windows", Integer, nullable=False),
    Column("dispersion", BigInteger, nullable=False),
    Column("noise", BigInteger, nullable=False),
    # Empty where an earlier release stored it.
    moment("found_at", nullable=True),
)

egress_sightings = Table(
    "egress_sightings",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("assignment_id", LargeBinary, primary_key=True),
    # Who asked the authority's name server for the assignment's nonce.
    Column("address", Text, primary_key=True),
    moment("seen_at"),
)

session_paths = Table(
    "session_paths",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("assignment_id", LargeBinary, primary_key=True),
    Column("node", Text, nullable=False),
    moment("decided_at"),
    # As `domain.observation.Path`.
    Column("path", Text, nullable=False),
    # ORGANISATION/NODE that signed the nonce; empty where nobody did.
    Column("answered_by", Text, nullable=False),
    Column("egress", ARRAY(Text), nullable=False),
    # Those of them that the operator never enrolled.
    Column("foreign_egress", ARRAY(Text), nullable=False),
    # Whether whoever answered is an enrolled resolver; empty where that cannot be told, and in what an earlier release
    # decided.
    Column("enrolled", Boolean, nullable=True),
    # Whether the line's own resolver was asked.
    Column("handed", Boolean, nullable=False),
    Column("vantage_point", Text, nullable=False),
    Column("access_network", Text, nullable=False),
    Column("custodian", Text, nullable=False),
    Index(None, "operator_id", "decided_at"),
)
