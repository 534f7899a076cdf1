"""What all tables have in common."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, MetaData

from lachan.migration import NAMING

metadata = MetaData(naming_convention=NAMING)


def moment(name: str, *, nullable: bool = False, key: bool = False) -> Column[object]:
    """A column that holds a moment, with its zone."""
    return Column(name, DateTime(timezone=True), nullable=nullable, primary_key=key)
