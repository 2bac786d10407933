"""Parties have a registered token endpoint, for a receiver whose authorization server is not where it takes deliveries"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("parties", sa.Column("token_url", sa.Text(), nullable=True))
