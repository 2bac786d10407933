"""Who may act for a resident"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("acting", sa.UUID(), nullable=True, comment="row of representatives: for whom this session acts"))
    op.create_table(
        "representatives",
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("resident", sa.UUID(), nullable=False),
        sa.Column("account", sa.UUID(), nullable=True, comment="who acts; absent until the invitation is taken up"),
        sa.Column("relation", sa.Text(), nullable=False, comment="parent, guardian, family"),
        sa.Column(
            "rights", postgresql.ARRAY(sa.Text()), nullable=False,
            comment="look, grant, stop; of a parent or guardian: what somebody of 14 to 17 agreed to",
        ),
        sa.Column("code", sa.LargeBinary(), nullable=True, comment="blind token of an invitation's code"),
        sa.Column("code_expires", sa.DateTime(timezone=True), nullable=True),
        sa.Column("begun", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True, comment="when it was ended before"),
        sa.PrimaryKeyConstraint("bucket", "id", name=op.f("representatives_pkey")),
        comment="Who may act for a resident. Ages are judged when they act, so no birthday stands here.",
    )  # fmt: skip
    op.create_index(op.f("representatives_account_idx"), "representatives", ["account"], unique=False)
    op.create_index("representatives_resident_idx", "representatives", ["bucket", "resident"], unique=False)
    op.create_index("representatives_code_idx", "representatives", ["code"], unique=False, postgresql_where=sa.text("code IS NOT NULL"))
