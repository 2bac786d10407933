"""What a resident wants after their death, deaths that were recorded, and the relatives who act then"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "wishes",
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("resident", sa.UUID(), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="the choice and who is named, sealed under the resident's key"),
        sa.PrimaryKeyConstraint("bucket", "resident", name=op.f("wishes_pkey")),
        comment="What residents want to happen with their records after their death; the law's default where absent (PIPL 49).",
    )
    op.create_table(
        "deaths",
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("resident", sa.UUID(), nullable=False),
        sa.Column("recorder", sa.Text(), nullable=False, comment="who recorded it, as the audit names them"),
        sa.Column("recorded", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("confirmer", sa.Text(), nullable=True, comment="a second person; nothing changes before"),
        sa.Column("confirmed", sa.DateTime(timezone=True), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="the day and the evidence, sealed under the resident's key"),
        sa.PrimaryKeyConstraint("bucket", "resident", name=op.f("deaths_pkey")),
        comment="Deaths of residents, each by two persons.",
    )
    deceased = sa.Column("deceased", sa.Boolean(), server_default=sa.text("false"), nullable=False, comment="a death is recorded and confirmed")
    op.add_column("residents", deceased)
    op.add_column("representatives", sa.Column("reason", sa.LargeBinary(), nullable=True, comment="what a relative of the deceased acts for, sealed"))
    op.alter_column("representatives", "relation", comment="parent, guardian, family; relative: of the deceased, and of nobody else")
    op.alter_column("representatives", "rights", comment="what they may; of a parent or guardian: what somebody of 14 to 17 agreed to")
    op.alter_column("petitions", "kind", comment="correction, deletion, dispute, review")
    op.alter_column("petitions", "record", comment="what is to be corrected or deleted, or whose result to be looked at")
