"""The ledger: its leaves, the complete subtrees over them, and the heads that were signed.

Holds always: a leaf's place, kind, time and commitment never change; salt and content may be erased, and all proofs
still hold. Of the tree only complete subtrees are stored, which never change.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, text

from compliance_api.storage.tables.base import metadata

ledger_leaves = Table(
    "ledger_leaves",
    metadata,
    Column("log_index", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    # What a pack looks for; of reports and observations OPERATOR/NODE, where their own tables have the rest.
    Column("subject", Text, nullable=False),
    # Seconds since 1970, UTC.
    Column("entered_at", BigInteger, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    # Empty once erased.
    Column("salt", LargeBinary),
    # Empty once erased, and where the bytes stand in the table of their kind (reports, observations).
    Column("content", LargeBinary),
    Index(None, "subject", "log_index", postgresql_where=text("content IS NOT NULL")),
)

ledger_tiles = Table(
    "ledger_tiles",
    metadata,
    # Up to 256 complete subtrees side by side, each of 256 ** level leaves (C2SP tlog-tiles).
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    # One behind the other; more are added, none changes.
    Column("hashes", LargeBinary, nullable=False),
)

ledger_checkpoints = Table(
    "ledger_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    # As the log signed it, before anybody else saw it.
    Column("signed", LargeBinary, nullable=False),
    # With the cosignatures that were first enough, and when that was by our clock; empty until then.
    Column("cosigned", LargeBinary),
    Column("cosigned_at", BigInteger),
    # With the latest cosignatures: while nothing is added, witnesses go on saying so.
    Column("refreshed", LargeBinary),
    Column("refreshed_at", BigInteger),
)
