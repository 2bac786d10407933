"""Leads of a party, their colleagues' accounts that were ended, and those who were invited"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("lead", sa.Boolean(), server_default=sa.text("false"), nullable=False, comment="manages the accounts of its party"))
    op.add_column(
        "accounts",
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True, comment="signs nobody in any more; kept for the names in the audit"),
    )
    op.create_index("accounts_party_idx", "accounts", ["party"], unique=False, postgresql_where=sa.text("party IS NOT NULL"))
    op.create_table(
        "invitations",
        sa.Column("code", sa.LargeBinary(), nullable=False, comment="blind token of the code"),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("party", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("lead", sa.Boolean(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False, comment="sealed under the hub's key"),
        sa.Column("made", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("invitations_pkey")),
        comment="Colleagues who were given a code and have not used it yet.",
    )
