"""Forms that do something once"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "forms",
        sa.Column("session", sa.LargeBinary(), nullable=False),
        sa.Column("once", sa.Text(), nullable=False, comment="as the page drew it"),
        sa.Column("answer", sa.Text(), nullable=True, comment="where it led; empty where it showed a page; null while it is carried out"),
        sa.Column("sent", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("session", "once", name=op.f("forms_pkey")),
        comment="Forms that were sent and are not carried out again, for as long as a session lasts.",
    )
    op.create_index(op.f("forms_sent_idx"), "forms", ["sent"])
