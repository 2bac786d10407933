"""Receivers are told that a resident was erased"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_BEFORE = "granted, changed, withdrawn, refused, refusal-withdrawn"


def upgrade() -> None:
    op.alter_column("consent_notices", "change", comment=f"{_BEFORE}, erased", existing_comment=_BEFORE, existing_type=sa.Text(), existing_nullable=False)
