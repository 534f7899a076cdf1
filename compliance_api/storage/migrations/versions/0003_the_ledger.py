"""The ledger: leaves with salted commitments, complete subtrees, signed and cosigned heads.

The release before goes on adding reports and observations without a leaf; the sequencer enters what it finds of those.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger_leaves",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("entered_at", sa.BigInteger(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary()),
        sa.Column("content", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("log_index", name=op.f("pk_ledger_leaves")),
    )
    op.create_index(
        op.f("ix_ledger_leaves_subject_log_index"),
        "ledger_leaves",
        ["subject", "log_index"],
        postgresql_where=sa.text("content IS NOT NULL"),
    )
    op.create_table(
        "ledger_tiles",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "place", name=op.f("pk_ledger_tiles")),
    )
    op.create_table(
        "ledger_checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("cosigned", sa.LargeBinary()),
        sa.Column("cosigned_at", sa.BigInteger()),
        sa.Column("refreshed", sa.LargeBinary()),
        sa.Column("refreshed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_ledger_checkpoints")),
    )
    op.add_column("log_position", sa.Column("entered_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("observations", sa.Column("log_index", sa.BigInteger()))
    op.create_index(
        "ix_observations_without_leaf",
        "observations",
        ["operator_id", "received_at"],
        postgresql_where=sa.text("log_index IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_observations_without_leaf", table_name="observations")
    op.drop_column("observations", "log_index")
    op.drop_column("log_position", "entered_at")
    op.drop_table("ledger_checkpoints")
    op.drop_table("ledger_tiles")
    op.drop_table("ledger_leaves")
