"""Decisions that staff record for a resident, at a desk or by phone"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_table(
        "assists",
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("resident", sa.UUID(), nullable=False),
        sa.Column("party", sa.Integer(), nullable=False),
        sa.Column("account", sa.UUID(), nullable=False, comment="staff who record it"),
        sa.Column("channel", sa.Text(), nullable=False, comment="desk, phone"),
        sa.Column("checked", sa.Text(), nullable=False, comment="how staff knew who it was"),
        sa.Column(
            "state", sa.Text(), server_default=sa.text("'open'"), nullable=False,
            comment="open, chosen, waiting (for a witness), recorded, refused, cancelled",
        ),
        sa.Column("made", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False, comment="until when its party sees it, and it can be recorded"),
        sa.Column("choice", sa.LargeBinary(), nullable=True, comment="what the resident decided, sealed under their key"),
        sa.Column("paper", sa.LargeBinary(), nullable=True, comment="scan of the signed form, sealed under the resident's key"),
        sa.Column("witness", sa.UUID(), nullable=True, comment="account of a second member of staff"),
        sa.Column("decided", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consent", sa.UUID(), nullable=True),
        sa.PrimaryKeyConstraint("bucket", "id", name=op.f("assists_pkey")),
        comment="Decisions that staff of a party record for a resident, at a desk or by phone.",
    )  # fmt: skip
    op.create_index("assists_resident_idx", "assists", ["bucket", "resident"], unique=False)
    op.create_index("assists_party_idx", "assists", ["party", "expires"], unique=False)
