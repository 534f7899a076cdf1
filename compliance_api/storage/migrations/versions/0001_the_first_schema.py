"""The first schema: reports with their chains and receipts, rounds of questions, observations, findings, verdicts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "assignments",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("assignment_id", sa.LargeBinary(), nullable=False),
        sa.Column("round_id", sa.LargeBinary(), nullable=False),
        sa.Column("probe_organisation", sa.Text(), nullable=False),
        sa.Column("probe", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("positions", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "assignment_id", name="pk_assignments"),
        sa.UniqueConstraint(
            "operator_id",
            "round_id",
            "probe_organisation",
            "probe",
            name="uq_assignments_operator_id_round_id_probe_organisation_probe",
        ),
    )
    op.create_index("ix_assignments_assignment_id", "assignments", ["assignment_id"], unique=False)
    op.create_table(
        "chain_heads",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_window", sa.DateTime(timezone=True), nullable=True),
        sa.Column("boot_epoch", sa.LargeBinary(), nullable=True),
        sa.Column("previous_boot_epoch", sa.LargeBinary(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("operator_id", "node", name="pk_chain_heads"),
    )
    op.create_table(
        "findings",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("finding_id", sa.LargeBinary(), nullable=False),
        sa.Column("jurisdiction", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(), nullable=False),
        sa.Column("law", sa.Text(), nullable=False),
        sa.Column("citation_vi", sa.Text(), nullable=False),
        sa.Column("citation_en", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "finding_id", name="pk_findings"),
    )
    op.create_index(
        "uq_findings_open",
        "findings",
        ["operator_id", "jurisdiction", "kind", "node"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "log_position",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_log_position_single"),
        sa.PrimaryKeyConstraint("id", name="pk_log_position"),
    )
    op.create_table(
        "observations",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("assignment_id", sa.LargeBinary(), nullable=False),
        sa.Column("question", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("probe_organisation", sa.Text(), nullable=False),
        sa.Column("probe", sa.Text(), nullable=False),
        sa.Column("vantage_point", sa.Text(), nullable=False),
        sa.Column("access_network", sa.Text(), nullable=False),
        sa.Column("custodian", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("qname", sa.Text(), nullable=False),
        sa.Column("qtype", sa.Integer(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("category", sa.Integer(), nullable=False),
        sa.Column("order_reference", sa.Text(), nullable=False),
        sa.Column("added_serial", sa.BigInteger(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("reference_alive", sa.Boolean(), nullable=False),
        sa.Column("observation", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "assignment_id", "question", name="pk_observations"),
    )
    op.create_index("ix_observations_operator_id_asked_at", "observations", ["operator_id", "asked_at"], unique=False)
    op.create_table(
        "questions",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("round_id", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("qname", sa.Text(), nullable=False),
        sa.Column("qtype", sa.Integer(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("category", sa.Integer(), nullable=False),
        sa.Column("order_reference", sa.Text(), nullable=False),
        sa.Column("added_serial", sa.BigInteger(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("operator_id", "round_id", "position", name="pk_questions"),
    )
    op.create_table(
        "releases",
        sa.Column("serial", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("records_digest", sa.LargeBinary(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_releases"),
    )
    op.create_table(
        "reports",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("boot_epoch", sa.LargeBinary(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("rival", sa.LargeBinary(), nullable=True),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_seconds", sa.Integer(), nullable=False),
        sa.Column("list_serial", sa.BigInteger(), nullable=False),
        sa.Column("list_activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("queries", sa.BigInteger(), nullable=False),
        sa.Column("blocked", sa.BigInteger(), nullable=False),
        sa.Column("enforcing", sa.Boolean(), nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "node", "boot_epoch", "sequence", "digest", name="pk_reports"),
    )
    op.create_index(
        "ix_reports_operator_id_node_log_index", "reports", ["operator_id", "node", "log_index"], unique=False
    )
    op.create_index("ix_reports_operator_id_window_start", "reports", ["operator_id", "window_start"], unique=False)
    op.create_table(
        "rounds",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("round_id", sa.LargeBinary(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("transport", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=False),
        sa.Column("sample_serial", sa.BigInteger(), nullable=False),
        sa.Column("drawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "round_id", name="pk_rounds"),
        sa.UniqueConstraint(
            "operator_id",
            "node",
            "address",
            "port",
            "transport",
            "number",
            name="uq_rounds_operator_id_node_address_port_transport_number",
        ),
    )
    op.create_index("ix_rounds_expires_at", "rounds", ["expires_at"], unique=False)
    op.create_table(
        "unverified_reports",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("signature_digest", sa.LargeBinary(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "node", "digest", "signature_digest", name="pk_unverified_reports"),
    )
    op.create_index(
        "ix_unverified_reports_operator_id_accepted_at",
        "unverified_reports",
        ["operator_id", "accepted_at"],
        unique=False,
    )
    op.create_table(
        "verdict_changes",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("jurisdiction", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("law", sa.Text(), nullable=False),
        sa.Column("findings", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("coverage", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "jurisdiction", "at", name="pk_verdict_changes"),
    )
    op.create_table(
        "verdicts",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("jurisdiction", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("law", sa.Text(), nullable=False),
        sa.Column("findings", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("coverage", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "jurisdiction", name="pk_verdicts"),
    )
    op.execute("INSERT INTO log_position (id, next_index) VALUES (1, 0)")


def downgrade() -> None:
    op.drop_table("verdicts")
    op.drop_table("verdict_changes")
    op.drop_index("ix_unverified_reports_operator_id_accepted_at", table_name="unverified_reports")
    op.drop_table("unverified_reports")
    op.drop_index("ix_rounds_expires_at", table_name="rounds")
    op.drop_table("rounds")
    op.drop_index("ix_reports_operator_id_window_start", table_name="reports")
    op.drop_index("ix_reports_operator_id_node_log_index", table_name="reports")
    op.drop_table("reports")
    op.drop_table("releases")
    op.drop_table("questions")
    op.drop_index("ix_observations_operator_id_asked_at", table_name="observations")
    op.drop_table("observations")
    op.drop_table("log_position")
    op.drop_index("uq_findings_open", table_name="findings", postgresql_where=sa.text("closed_at IS NULL"))
    op.drop_table("findings")
    op.drop_table("chain_heads")
    op.drop_index("ix_assignments_assignment_id", table_name="assignments")
    op.drop_table("assignments")
