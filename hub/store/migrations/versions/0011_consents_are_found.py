"""A decision finds a resident's Consents without reading all of their records"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_index("records_consents_idx", "records", ["bucket", "resident"], postgresql_where=sa.text("kind = 21"))
