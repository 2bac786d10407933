"""Wrong passwords by where they came from"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.create_table(
        "sign_in_sources",
        sa.Column("source", sa.LargeBinary(), nullable=False, comment="token of the address, or of the /64 of one of IPv6"),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("sign_in_sources_pkey")),
        comment="Wrong passwords by where they came from since a moment, so that nobody tries one on all accounts.",
    )
    op.create_index(op.f("sign_in_sources_since_idx"), "sign_in_sources", ["since"])
