"""Who made a code or asked for a correction in a resident's name"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("visit_codes", sa.Column("representative", sa.UUID(), nullable=True, comment="who made it in the resident's name, if not they themselves"))
    op.add_column("petitions", sa.Column("representative", sa.UUID(), nullable=True, comment="who asked in the resident's name, if not they themselves"))
