"""Assignments say who kept the probe that they were given to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The release before leaves it out: its assignments are counted under the probe's organisation.
    op.add_column("assignments", sa.Column("custodian", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("assignments", "custodian")
