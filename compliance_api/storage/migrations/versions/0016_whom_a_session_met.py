"""Sessions say whether they met an enrolled resolver, and observations which addresses no reference gave."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The release before leaves both out: its sessions are told apart by their addresses, as before.
    op.add_column("session_paths", sa.Column("enrolled", sa.Boolean(), nullable=True))
    op.add_column("observations", sa.Column("strange", postgresql.ARRAY(sa.Text()), nullable=True))


def downgrade() -> None:
    op.drop_column("observations", "strange")
    op.drop_column("session_paths", "enrolled")
