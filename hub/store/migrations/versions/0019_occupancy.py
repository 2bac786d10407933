"""How many people were at a venue, beside the directory"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "occupancy",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("party", sa.Integer(), nullable=False, comment="who counted, and whose venue it is"),
        sa.Column("venue", sa.Text(), nullable=False, comment="id of a Location of the directory"),
        sa.Column("natural_key", sa.Text(), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("current", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False, comment="no other count of the venue that others may see overlaps it"),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="the record; its venue is the Location's id"),
        sa.PrimaryKeyConstraint("id", "version", name=op.f("occupancy_pkey")),
        comment="Counts of people at venues, every version. They name nobody.",
    )
    op.create_index("occupancy_natural_idx", "occupancy", ["party", "natural_key"], unique=True, postgresql_where=sa.text("current"))
    op.create_index("occupancy_venue_idx", "occupancy", ["venue", "starts"], unique=False)
    op.create_index(op.f("occupancy_starts_idx"), "occupancy", ["starts"], unique=False)
