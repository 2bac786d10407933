"""Receivers are told that a consent which names them changed"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("parties", sa.Column("notify_to", sa.Text(), nullable=True, comment="where it is told that a consent that names it changed"))
    op.create_table(
        "consent_notices",
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("resident", sa.UUID(), nullable=False),
        sa.Column("receiver", sa.Integer(), nullable=False),
        sa.Column("consent", sa.UUID(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False, comment="granted, changed, withdrawn"),
        sa.Column("status", sa.Text(), server_default=sa.text("'owed'"), nullable=False, comment="owed, acknowledged, dead"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("done", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("bucket", "id", name=op.f("consent_notices_pkey")),
        sa.UniqueConstraint("bucket", "receiver", "consent", "version", name=op.f("consent_notices_bucket_receiver_consent_version_key")),
        comment="Notices of changed consents, owed to the receivers they name. Ids only.",
    )
    op.create_index("consent_notices_owed_idx", "consent_notices", ["next_at"], unique=False, postgresql_where=sa.text("status = 'owed'"))
    op.create_index("consent_notices_resident_idx", "consent_notices", ["bucket", "resident"], unique=False)
