"""Who invited a colleague"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.add_column("invitations", sa.Column("made_by", sa.UUID(), nullable=True, comment="account of the lead: the code is good while they are one"))
