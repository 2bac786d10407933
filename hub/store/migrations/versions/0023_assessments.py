"""Impact assessments of the hub's operator"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "assessments",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False, comment="sensitive, automated, or an organization's name"),
        sa.Column("made", sa.Date(), nullable=False),
        sa.Column("recorded", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="author, file name and the document, sealed under the hub's key"),
        sa.PrimaryKeyConstraint("id", name=op.f("assessments_pkey")),
        comment="Impact assessments of the hub's operator (PIPL 55, 56). Never removed.",
    )
