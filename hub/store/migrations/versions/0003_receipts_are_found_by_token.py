"""Unique keys of receipts lead with the token: two that began with the party looked alike to a planner, which read all of a party's receipts"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for column in ("file", "idempotency"):
        op.drop_constraint(f"receipts_party_{column}_key", "receipts", type_="unique")
        op.create_unique_constraint(f"receipts_{column}_party_key", "receipts", [column, "party"])
