"""What the registry said of nodes, and since when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The release before keeps no versions: what it changes is kept from the next change or start of this one on.
    op.create_table(
        "node_versions",
        sa.Column("operator_id", sa.Text(), primary_key=True),
        sa.Column("node", sa.Text(), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("known_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("entry", JSONB(), nullable=False),
    )
    # What was said before of those that are there cannot be known any more: they stand as they are since they came.
    op.execute(
        "INSERT INTO node_versions (operator_id, node, version, known_from, key, entry)"
        " SELECT operator_id, node, 1, enrolled_at, key, entry FROM chain_heads JOIN parties"
        " ON role = 'node' AND organisation = operator_id AND name = node WHERE key <> ''"
    )


def downgrade() -> None:
    op.drop_table("node_versions")
