"""Observations say by which transport, family and flags they were asked, and between which moments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _text(name: str, default: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=default, nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False)


def upgrade() -> None:
    # The release before leaves all of them out, and asks by UDP and TCP, without DO, alone.
    op.add_column("rounds", _text("server_name", ""))
    op.add_column("rounds", _text("path", ""))
    op.add_column("questions", _flag("dnssec_ok"))
    op.add_column("observations", _text("transport", "udp"))
    op.add_column("observations", sa.Column("family", sa.Integer(), server_default="0", nullable=False))
    op.add_column("observations", _flag("dnssec_ok"))
    op.add_column("observations", _text("path", "unknown"))
    op.add_column("observations", sa.Column("earliest", sa.DateTime(timezone=True), nullable=True))
    op.add_column("observations", sa.Column("latest", sa.DateTime(timezone=True), nullable=True))
    op.add_column("observations", _text("shapes", ""))
    op.execute("UPDATE observations SET transport = 'tcp' WHERE endpoint LIKE 'tcp:%'")


def downgrade() -> None:
    for name in ("shapes", "latest", "earliest", "path", "dnssec_ok", "family", "transport"):
        op.drop_column("observations", name)
    op.drop_column("questions", "dnssec_ok")
    for name in ("path", "server_name"):
        op.drop_column("rounds", name)
