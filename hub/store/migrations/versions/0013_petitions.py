"""What residents ask of who holds or saw their data: corrections, deletions, disputes"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "petitions",
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("resident", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="correction, deletion, dispute"),
        sa.Column("party", sa.Integer(), nullable=False, comment="who answers; 0: the hub's administrator"),
        sa.Column("record", sa.UUID(), nullable=True, comment="what is to be corrected or deleted"),
        sa.Column("version", sa.Integer(), nullable=True, comment="its version when it was asked"),
        sa.Column("chain", sa.Integer(), nullable=True, comment="with seq: the audit entry that is disputed"),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("made", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True, comment="how it was answered; open while absent"),
        sa.Column("answered", sa.DateTime(timezone=True), nullable=True),
        sa.Column("words", sa.LargeBinary(), nullable=False, comment="what the resident says, sealed"),
        sa.Column("answer", sa.LargeBinary(), nullable=True, comment="what the party says, sealed under the resident's key"),
        sa.PrimaryKeyConstraint("bucket", "id", name=op.f("petitions_pkey")),
        comment="What residents ask of who holds or saw their data (PIPL 46, 47, 50).",
    )
    op.create_index("petitions_resident_idx", "petitions", ["bucket", "resident"], unique=False)
    op.create_index("petitions_party_idx", "petitions", ["party", "made"], unique=False)
