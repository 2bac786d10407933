"""Devices are told apart by name"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("passkeys", sa.Column("name", sa.LargeBinary(), nullable=True, comment="what the person calls it, sealed"))
    op.add_column(
        "passkeys", sa.Column("device", sa.Text(), server_default="", nullable=False, comment="codes of browser and system it was made with")
    )
    op.add_column("passkeys", sa.Column("used", sa.DateTime(timezone=True), nullable=True, comment="last sign-in with it"))
    op.add_column("sessions", sa.Column("device", sa.Text(), server_default="", nullable=False, comment="codes of browser and system"))
