"""The directory with versions, owners and sealed contacts; the Organization of every party goes into it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

ORGANIZATIONS = """
INSERT INTO directory (type, id, version, party, updated, body)
SELECT 'Organization', id::text, 1, number, created, jsonb_build_object(
    'resourceType', 'Organization',
    'meta', jsonb_build_object('profile', jsonb_build_array('https://kinehub.org/fhir/StructureDefinition/kinehub-organization')),
    'active', true,
    'type', jsonb_build_array(jsonb_build_object('coding', jsonb_build_array(
        jsonb_build_object('system', 'https://kinehub.org/fhir/CodeSystem/party-kind', 'code', kind)))),
    'name', name)
FROM parties ORDER BY number
"""


def upgrade() -> None:
    op.drop_table("directory")  # 0001 made it and nothing ever wrote to it
    op.create_table(
        "directory",
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("party", sa.Integer(), nullable=False, comment="whose entry it is"),
        sa.Column("current", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("change", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="grows in the order of commits"),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("contacts", sa.LargeBinary(), nullable=True, comment="private contacts, sealed under the hub's key; the newest version's only"),
        sa.PrimaryKeyConstraint("type", "id", "version", name=op.f("directory_pkey")),
        sa.UniqueConstraint("change", name=op.f("directory_change_key")),
        comment="FHIR resources about no resident, every version. A reference table on Citus.",
    )
    op.create_index("directory_current_idx", "directory", ["type", "id"], unique=True, postgresql_where=sa.text("current"))
    op.create_index("directory_party_idx", "directory", ["party", "type"], postgresql_where=sa.text("current"))
    op.execute(ORGANIZATIONS)
