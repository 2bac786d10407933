"""Emergency accesses, and their reviews"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "emergencies",
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("resident", sa.UUID(), nullable=False),
        sa.Column("account", sa.UUID(), nullable=False, comment="the doctor's"),
        sa.Column("party", sa.Integer(), nullable=False),
        sa.Column("opened", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True, comment="when it was closed before it expired"),
        sa.Column("body", sa.LargeBinary(), nullable=True, comment="the reason, sealed under the resident's key; gone after an erasure"),
        sa.Column("reviewer", sa.UUID(), nullable=True, comment="account of another person of the party"),
        sa.Column("reviewed", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True, comment="justified, unjustified, unclear"),
        sa.PrimaryKeyConstraint("bucket", "id", name=op.f("emergencies_pkey")),
        comment="Emergency accesses (break-glass): a legal basis beside consent, for one doctor and one resident, for hours.",
    )
    op.create_index(op.f("emergencies_account_idx"), "emergencies", ["account"], unique=False)
    op.create_index("emergencies_resident_idx", "emergencies", ["bucket", "resident"], unique=False)
    op.create_index("emergencies_party_idx", "emergencies", ["party", "opened"], unique=False)
