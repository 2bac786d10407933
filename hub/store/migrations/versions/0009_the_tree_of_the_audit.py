"""The audit's tree over all chains, salts of a chain's entries, and a party's own accesses by time"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("audit_chains", sa.Column("secret", sa.LargeBinary(), nullable=True, comment="what the salts of its entries come from"))
    op.create_index("audit_party_idx", "audit", ["party", sa.literal_column("at DESC")], unique=False)
    op.create_table(
        "audit_segments",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False, comment="place of its first entry among all leaves"),
        sa.Column("chain", sa.Integer(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("audit_segments_pkey")),
        sa.UniqueConstraint("chain", "last", name=op.f("audit_segments_chain_last_key")),
        comment="The order of the audit's entries in the tree, as the signed heads took them in.",
    )
    op.create_table(
        "audit_nodes",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "place", name=op.f("audit_nodes_pkey")),
        comment="Full nodes of the tree, every eighth level. Made from the entries; nothing is believed because it stands here.",
    )
