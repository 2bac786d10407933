"""Receipts say how many rows they had and how many of them were refused or had to wait; runs keep both"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

JUDGED = "quality IS NULL AND (cardinality(records) > 0 OR waiting > 0)"


def upgrade() -> None:
    for table in ("receipts", "quality_runs"):
        for name, comment in (("arrived", "rows that came"), ("refused", "of them refused"), ("waiting", "of them waiting for their resident when they came")):
            op.add_column(table, sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False, comment=comment))
    op.alter_column("quality_runs", "scope", existing_type=sa.Text(), comment="batch: receipts; source: a night; silence: nothing came")
    op.drop_index("receipts_unjudged_idx", "receipts")
    op.create_index("receipts_unjudged_idx", "receipts", ["created"], postgresql_where=sa.text(JUDGED))
    op.create_index("receipts_party_idx", "receipts", ["party", "created"])
