"""What verdicts are made from and what is done about them: counted days, the law as it was known, steps of findings.

Holds always: rows are only ever added. What a later look changes is a new version beside the old one.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from compliance_api.storage.tables.base import metadata, moment

tallies = Table(
    "tallies",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("jurisdiction", Text, primary_key=True),
    # A legal day: its length in seconds, and how many of them had passed since 1970-01-01 in Viet Nam.
    Column("day_seconds", Integer, primary_key=True, autoincrement=False),
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    # 1 for the first count; more where observations came after it.
    Column("version", Integer, primary_key=True, autoincrement=False),
    moment("begins_at"),
    moment("counted_at"),
    # The law it was judged by, as it was known then.
    Column("law", Text, nullable=False),
    Column("law_version", Integer, nullable=False),
    # What it was counted from, and SHA-256 over it.
    Column("observations", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    # Each family: true, false, or null where nothing can be said.
    Column("bad", JSONB, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    # Plain numbers by name, and [asked, missed] of each stratum over all lines.
    Column("counts", JSONB, nullable=False),
    Column("strata", JSONB, nullable=False),
    # Each line's network and custodian, and what it saw in each stratum: all that judging a day anew takes.
    Column("lines", JSONB, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("releases", JSONB, nullable=False),
    # Its leaf; empty for a count of a release that entered none.
    Column("log_index", BigInteger, nullable=True),
    # When each young release was seen in effect; empty in what an earlier release counted.
    Column("timings", JSONB),
)

period_verdicts = Table(
    "period_verdicts",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("jurisdiction", Text, primary_key=True),
    # A legal day or a month: 2026-11-21, 2026-11.
    Column("period", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    moment("begins_at"),
    moment("reached_at"),
    Column("outcome", Text, nullable=False),
    # SHA-256 of the document, which is canonical JSON.
    Column("digest", LargeBinary, nullable=False),
    Column("document", LargeBinary, nullable=False),
)

law_versions = Table(
    "law_versions",
    metadata,
    Column("law", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    # Since when it is known here: valid time stands in the text, known time never does.
    moment("known_from"),
    # Canonical JSON; empty where the text was taken back.
    Column("content", Text),
    Column("log_index", BigInteger, nullable=False),
)

# What a finding said when it was opened, and at most once a day as it went on: what a pack holds and a leaf stands for.
finding_versions = Table(
    "finding_versions",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("finding_id", LargeBinary, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    moment("since"),
    moment("last_seen"),
    Column("counts", JSONB, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("law", Text, nullable=False),
    Column("citation_vi", Text, nullable=False),
    Column("citation_en", Text, nullable=False),
    Column("log_index", BigInteger, nullable=False),
)

finding_steps = Table(
    "finding_steps",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("finding_id", LargeBinary, primary_key=True),
    # 0 is the finding's opening.
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    moment("at"),
    # Who took the step, and for which unit.
    Column("unit", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("note", Text, nullable=False),
    # Of an answer: the order that the operator cites.
    Column("order_number", Text, nullable=False),
    Column("order_authority", Text, nullable=False),
    # Whose turn it is now, and until when; empty once closed.
    Column("next_unit", Text),
    moment("due_at", nullable=True),
    Column("log_index", BigInteger, nullable=False),
    # What the person signed, as they signed it, and the key that it holds by.
    Column("statement", LargeBinary, nullable=False, server_default=text("''")),
    Column("signature", LargeBinary, nullable=False, server_default=text("''")),
    Column("key", LargeBinary, nullable=False, server_default=text("''")),
    # An answer that came on paper, and that the authority entered.
    Column("paper", Boolean, nullable=False, server_default=text("false")),
    Index(None, "operator_id", "due_at"),
)
