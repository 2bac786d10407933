"""Where residents reach a party, in which country it is, and what lets records go there"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("parties", sa.Column("contact", sa.Text(), nullable=True, comment="telephone, e-mail or address where residents reach it"))
    op.add_column(
        "parties",
        sa.Column("country", sa.Text(), nullable=True, comment="ISO 3166-1 alpha-2, where it handles what it receives; never changed, see transfer_basis"),
    )
    op.add_column(
        "parties",
        sa.Column(
            "transfer_basis", sa.Text(), nullable=True,
            comment="what lets records leave the country to it; without, it receives nothing. Never changed",
        ),
    )  # fmt: skip
