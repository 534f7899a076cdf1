"""The first schema: orders, people, proposals with their changes, approvals, decisions, log; nothing is rewritten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

HISTORY = (
    "admissions",
    "approvals",
    "change_chunks",
    "decisions",
    "log_steps",
    "orders",
    "proposals",
    "reviews",
    "scans",
)
REFUSE = """
CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'history is never rewritten: % on %', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    op.create_table(
        "log_steps",
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("step", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("hash = sha256(step)", name="ck_log_steps_hash"),
        sa.CheckConstraint("index >= 1", name="ck_log_steps_counted"),
        sa.PrimaryKeyConstraint("index", name="pk_log_steps"),
        sa.UniqueConstraint("hash", name="uq_log_steps_hash"),
        sa.UniqueConstraint("previous", name="uq_log_steps_previous"),
    )
    op.create_table(
        "scans",
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("sha256 = sha256(content)", name="ck_scans_digest"),
        sa.PrimaryKeyConstraint("sha256", name="pk_scans"),
    )
    op.create_table(
        "admissions",
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("witness", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("witness <> person", name="ck_admissions_two_people"),
        sa.ForeignKeyConstraint(["index"], ["log_steps.index"], name="fk_admissions_index"),
        sa.PrimaryKeyConstraint("index", name="pk_admissions"),
    )
    op.create_index("ix_admissions_person", "admissions", ["person"], unique=False)
    op.create_table(
        "orders",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("date", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("legal_basis", sa.Text(), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("jurisdiction", sa.Text(), nullable=False),
        sa.Column("mandated", sa.Boolean(), nullable=False),
        sa.Column("scan_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["scan_sha256"], ["scans.sha256"], name="fk_orders_scan_sha256"),
        sa.PrimaryKeyConstraint("number", name="pk_orders"),
    )
    op.create_index("ix_orders_added_at", "orders", ["added_at"], unique=False)
    op.create_table(
        "proposals",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("order_number", sa.Text(), nullable=False),
        sa.Column("proposer", sa.Text(), nullable=False),
        sa.Column("proposer_key", sa.LargeBinary(), nullable=False),
        sa.Column("effective_from", sa.BigInteger(), nullable=False),
        sa.Column("review_by", sa.BigInteger(), nullable=False),
        sa.Column("changes_size", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("digest = sha256(header)", name="ck_proposals_digest"),
        sa.ForeignKeyConstraint(["order_number"], ["orders.number"], name="fk_proposals_order_number"),
        sa.PrimaryKeyConstraint("id", name="pk_proposals"),
        sa.UniqueConstraint("digest", name="uq_proposals_digest"),
        sa.UniqueConstraint("id", "proposer", "proposer_key", name="uq_proposals_id_proposer_proposer_key"),
        sa.UniqueConstraint("number", name="uq_proposals_number"),
    )
    op.create_index("ix_proposals_order_number", "proposals", ["order_number"], unique=False)
    op.create_index("ix_proposals_review_by", "proposals", ["review_by"], unique=False)
    op.create_table(
        "approvals",
        sa.Column("proposal_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("approver", sa.Text(), nullable=False),
        sa.Column("approver_key", sa.LargeBinary(), nullable=False),
        sa.Column("proposer", sa.Text(), nullable=False),
        sa.Column("proposer_key", sa.LargeBinary(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("approver <> proposer", name="ck_approvals_two_people"),
        sa.CheckConstraint("approver_key <> proposer_key", name="ck_approvals_two_keys"),
        sa.ForeignKeyConstraint(
            ["proposal_id", "proposer", "proposer_key"],
            ["proposals.id", "proposals.proposer", "proposals.proposer_key"],
            name="fk_approvals_proposal_id_proposer_proposer_key",
        ),
        sa.PrimaryKeyConstraint("proposal_id", "approver", name="pk_approvals"),
        sa.UniqueConstraint("proposal_id", "approver_key", name="uq_approvals_proposal_id_approver_key"),
    )
    op.create_table(
        "change_chunks",
        sa.Column("proposal_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_name", sa.Text(collation="C"), nullable=True),
        sa.Column("last_name", sa.Text(collation="C"), nullable=True),
        sa.Column("deflated", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name="fk_change_chunks_proposal_id"),
        sa.PrimaryKeyConstraint("proposal_id", "position", name="pk_change_chunks"),
    )
    op.create_index("ix_change_chunks_first_name_last_name", "change_chunks", ["first_name", "last_name"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("proposal_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=True),
        sa.Column("effect_at", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(outcome = 'approved') = (log_index IS NOT NULL) AND (outcome = 'approved') = (effect_at IS NOT NULL)",
            name="ck_decisions_logged",
        ),
        sa.CheckConstraint("outcome IN ('approved', 'rejected', 'withdrawn')", name="ck_decisions_outcome"),
        sa.ForeignKeyConstraint(["log_index"], ["log_steps.index"], name="fk_decisions_log_index"),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name="fk_decisions_proposal_id"),
        sa.PrimaryKeyConstraint("proposal_id", name="pk_decisions"),
        sa.UniqueConstraint("log_index", name="uq_decisions_log_index"),
    )
    op.create_table(
        "reviews",
        sa.Column("proposal_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reviewed_by", sa.Text(), nullable=False),
        sa.Column("next_review_by", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name="fk_reviews_proposal_id"),
        sa.PrimaryKeyConstraint("proposal_id", "position", name="pk_reviews"),
    )
    op.execute(REFUSE)
    for table in HISTORY:
        op.execute(
            f"CREATE TRIGGER never_rewritten BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
        )


def downgrade() -> None:
    raise NotImplementedError("history is never rewritten")
