"""Legal holds: a resident who has one is not erased"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("resident", sa.UUID(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True, comment="the last day it stands, as the resident counts days; until it is released where absent"),
        sa.Column("placed", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="the reason, sealed under the hub's key"),
        sa.PrimaryKeyConstraint("bucket", "id", name=op.f("holds_pkey")),
        comment="Legal holds: a resident who has one is not erased.",
    )
