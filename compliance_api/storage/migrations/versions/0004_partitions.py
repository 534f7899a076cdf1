"""Reports and observations in partitions by time; what is there already becomes the first of them, in its place.

Runs beside the release before: names and columns stay, what that release adds goes where it belongs, and whoever writes
meanwhile waits while an index over what is there is built.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A Monday.
_EPOCH = datetime(1970, 1, 5, tzinfo=UTC)
_WEEK = timedelta(days=7)
_WEEKS_AHEAD = 3

# The keys and indexes of each table, with the time that it is divided by.
_TABLES: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "reports": (
        "window_start",
        ("operator_id", "node", "boot_epoch", "sequence", "digest"),
        {
            "ix_reports_operator_id_window_start": "(operator_id, window_start)",
            "ix_reports_operator_id_node_log_index": "(operator_id, node, log_index)",
        },
    ),
    "observations": (
        "asked_at",
        ("operator_id", "assignment_id", "question"),
        {
            "ix_observations_operator_id_asked_at": "(operator_id, asked_at)",
            "ix_observations_without_leaf": "(operator_id, received_at) WHERE log_index IS NULL",
        },
    ),
}


def _divide(table: str, first: datetime) -> None:
    """Makes `table` a partitioned one, with its rows up to `first` in one partition and weeks from there on."""
    column, key, indexes = _TABLES[table]
    old = f"{table}_until{first:%Y%m%d}"
    everything = op.get_bind().execute(sa.text(f"SELECT EXISTS (SELECT FROM {table})")).scalar_one()  # noqa: S608 - a name from above
    op.execute(f"ALTER TABLE {table} RENAME TO {old}")
    op.execute(f"ALTER TABLE {old} DROP CONSTRAINT pk_{table}")
    for name in indexes:
        op.execute(f"ALTER INDEX {name} RENAME TO {name}_old")
    op.execute(f"CREATE TABLE {table} (LIKE {old} INCLUDING DEFAULTS) PARTITION BY RANGE ({column})")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({', '.join((*key, column))})")
    for name, columns in indexes.items():
        op.execute(f"CREATE INDEX {name} ON {table} {columns}")
    op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    if everything:
        # What a wrong clock put into the future must not stand in the way of the weeks to come.
        op.execute(
            f"WITH later AS (DELETE FROM {old} WHERE {column} >= '{first.isoformat()}' RETURNING *)"  # noqa: S608 - as above
            f" INSERT INTO {table}_default SELECT * FROM later"
        )
        op.execute(f"ALTER TABLE {table} ATTACH PARTITION {old} FOR VALUES FROM (MINVALUE) TO ('{first.isoformat()}')")
    else:
        op.execute(f"DROP TABLE {old}")
        first -= 2 * _WEEK
    for number in range(_WEEKS_AHEAD + (0 if everything else 2)):
        start = first + number * _WEEK
        name = f"{table}_from{start:%Y%m%d}"
        # Rows that the default partition holds of this week move into it.
        op.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)")
        span = f"{column} >= '{start.isoformat()}' AND {column} < '{(start + _WEEK).isoformat()}'"
        op.execute(
            f"WITH moved AS (DELETE FROM {table}_default WHERE {span} RETURNING *)"  # noqa: S608 - as above
            f" INSERT INTO {name} SELECT * FROM moved"
        )
        op.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{start.isoformat()}') TO ('{(start + _WEEK).isoformat()}')"
        )


def upgrade() -> None:
    # The index over what is there may take longer than a call may.
    op.execute("SET LOCAL statement_timeout = 0")
    # In the order in which a writer takes them: no deadlock with one that is under way.
    op.execute("LOCK TABLE chain_heads, reports, observations IN ACCESS EXCLUSIVE MODE")
    # The highest number ever used in the head's epoch, and for which head that is said: the release before moves the
    # head and leaves both alone, which shows.
    op.add_column("chain_heads", sa.Column("top_digest", sa.LargeBinary(), nullable=True))
    op.add_column("chain_heads", sa.Column("top_sequence", sa.BigInteger(), nullable=True))
    now = op.get_bind().execute(sa.text("SELECT now()")).scalar_one()
    first = now - (now - _EPOCH) % _WEEK + _WEEK
    for table in _TABLES:
        _divide(table, first)


def downgrade() -> None:
    for table, (_, key, indexes) in _TABLES.items():
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_divided")
        op.execute(f"CREATE TABLE {table} (LIKE {table}_divided INCLUDING DEFAULTS)")
        op.execute(f"INSERT INTO {table} SELECT * FROM {table}_divided")  # noqa: S608 - a name from above
        op.execute(f"DROP TABLE {table}_divided CASCADE")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({', '.join(key)})")
        for name, columns in indexes.items():
            op.execute(f"CREATE INDEX {name} ON {table} {columns}")
    op.drop_column("chain_heads", "top_sequence")
    op.drop_column("chain_heads", "top_digest")
