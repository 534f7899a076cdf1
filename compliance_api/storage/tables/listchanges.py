"""How names came and went on the list, as far as it matters to what was asked."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from compliance_api.storage.tables.base import metadata, moment

removals = Table(
    "removals",
    metadata,
    Column("qname", Text, primary_key=True),
    # The release from which on the name binds everybody no more, or is free.
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    moment("removed_at"),
    Column("added_serial", BigInteger, nullable=False),
    Column("category", Integer, nullable=False),
    Column("order_reference", Text, nullable=False),
    # Nothing on the list reaches it any more.
    Column("free", Boolean, nullable=False),
    # One of the authority's own names.
    Column("control", Boolean, nullable=False),
    # When the list authority told of it.
    moment("heard_at"),
    Index(None, "removed_at"),
    Index(None, "serial"),
)

# Names that were asked because they were not listed, and are now.
listings = Table(
    "listings",
    metadata,
    Column("qname", Text, primary_key=True),
    # When the oldest entry that reaches it was published.
    moment("listed_at", key=True),
    moment("heard_at"),
)
