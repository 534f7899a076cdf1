"""The schema keeps Citus's rules, so that it can be spread over several machines by `operator_id` without a change.

Rules as Citus's documentation states them (Creating and Modifying Distributed Objects; Determining the Data Model): a
table with `operator_id` is distributed by it, any other is a reference table or stays on one machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.schema import SchemaItem

from compliance_api.storage.tables import metadata

BY = "operator_id"
DISTRIBUTED = [table for table in metadata.tables.values() if BY in table.c]
OTHERS = [table for table in metadata.tables.values() if BY not in table.c]


def named(table: Table) -> str:
    return table.name


def test_what_an_operator_says_or_is_seen_doing_is_distributed() -> None:
    assert {"reports", "observations", "chain_heads", "findings", "verdicts", "hourly_rollups"} <= {
        table.name for table in DISTRIBUTED
    }
    assert "releases" in {table.name for table in OTHERS}


@pytest.mark.parametrize("table", DISTRIBUTED, ids=named)
def test_a_distributed_table_is_unique_within_an_operator_only(table: Table) -> None:
    # One type for all, or they are not placed together and cannot be joined where they lie.
    assert isinstance(table.c[BY].type, Text)
    assert not table.c[BY].nullable
    keys: list[PrimaryKeyConstraint | UniqueConstraint | Index] = [table.primary_key]
    keys += [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    keys += [one for one in table.indexes if one.unique]
    for key in keys:
        assert [column.name for column in key.columns][:1] == [BY], key.name
    for one in table.constraints:
        if isinstance(one, ExcludeConstraint):
            assert (BY, "=") in {(name, operation) for _, name, operation in one._render_exprs}, one.name


@pytest.mark.parametrize("table", DISTRIBUTED, ids=named)
def test_a_distributed_table_takes_no_number_from_a_sequence(table: Table) -> None:
    for column in table.columns:
        assert column.identity is None, column
        assert not isinstance(column.default, Sequence), column
        assert table.autoincrement_column is not column, column


@pytest.mark.parametrize("table", metadata.tables.values(), ids=named)
def test_foreign_keys_stay_where_their_rows_are(table: Table) -> None:
    for key in table.constraints:
        if not isinstance(key, ForeignKeyConstraint):
            continue
        target = key.referred_table
        if BY not in target.c:
            continue
        # From a table that lies on every machine to one that is spread over them: there is no such key.
        assert BY in table.c, key.name
        pairs = {(element.parent.name, element.column.name) for element in key.elements}
        assert (BY, BY) in pairs, key.name
        # ON DELETE SET NULL or SET DEFAULT would touch the column that says where the row lies.
        assert (key.ondelete or "").upper() not in {"SET NULL", "SET DEFAULT"}, key.name


@pytest.mark.parametrize("table", DISTRIBUTED, ids=named)
def test_what_lies_in_spans_of_time_has_the_time_in_every_key(table: Table) -> None:
    divided = table.dialect_options["postgresql"]["partition_by"]
    if divided is None:
        return
    column = divided.removeprefix("RANGE (").removesuffix(")")
    assert column in table.primary_key.columns
    assert not table.c[column].nullable
    assert all(column in index.columns for index in table.indexes if index.unique)


def broken(*parts: SchemaItem, **options: Any) -> Table:
    """A table that no schema of ours has."""
    return Table("broken", MetaData(), *parts, **options)


def referring(*columns: str, ondelete: str | None = None) -> Table:
    """A table with a key on a distributed one."""
    apart = MetaData()
    key = [Column(BY, Text, primary_key=True), Column("other_id", Text, primary_key=True)]
    Table("others", apart, *key)
    own = [Column(name, Text, primary_key=True) for name in (*columns, "id")]
    refers = ForeignKeyConstraint(columns, [f"others.{name}" for name in (BY, "other_id")], ondelete=ondelete)
    return Table("broken", apart, *own, refers)


@pytest.mark.parametrize(
    ("rule", "table"),
    [
        (
            test_a_distributed_table_is_unique_within_an_operator_only,
            broken(Column("id", Integer, primary_key=True), Column(BY, Text, nullable=False)),
        ),
        (
            test_a_distributed_table_is_unique_within_an_operator_only,
            broken(Column(BY, Text, primary_key=True), Column("name", Text), UniqueConstraint("name")),
        ),
        (
            test_a_distributed_table_is_unique_within_an_operator_only,
            broken(Column(BY, Text, primary_key=True), Column("name", Text), Index("uq_name", "name", unique=True)),
        ),
        (test_a_distributed_table_is_unique_within_an_operator_only, broken(Column(BY, Integer, primary_key=True))),
        (
            test_a_distributed_table_takes_no_number_from_a_sequence,
            broken(Column(BY, Text, primary_key=True), Column("id", Integer, Identity(), primary_key=True)),
        ),
        # Not by its operator; from a table on every machine; emptying the column that says where a row lies.
        (test_foreign_keys_stay_where_their_rows_are, referring("owner", BY)),
        (test_foreign_keys_stay_where_their_rows_are, referring("owner", "other_id")),
        (test_foreign_keys_stay_where_their_rows_are, referring(BY, "other_id", ondelete="SET NULL")),
        (
            test_what_lies_in_spans_of_time_has_the_time_in_every_key,
            broken(
                Column(BY, Text, primary_key=True),
                Column("at", DateTime(timezone=True), nullable=False),
                postgresql_partition_by="RANGE (at)",
            ),
        ),
    ],
)
def test_each_rule_finds_a_table_that_breaks_it(rule: Callable[[Table], None], table: Table) -> None:
    with pytest.raises(AssertionError):
        rule(table)


def test_a_key_that_stays_with_its_operator_breaks_none() -> None:
    test_foreign_keys_stay_where_their_rows_are(referring(BY, "other_id"))
