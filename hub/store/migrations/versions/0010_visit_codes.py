"""One-time codes by which a resident shares with the doctor in front of them, and who guessed; the notices of refusals"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.alter_column(
        "consent_notices", "change", comment="granted, changed, withdrawn, refused, refusal-withdrawn", existing_comment="granted, changed, withdrawn",
        existing_type=sa.Text(), existing_nullable=False,
    )  # fmt: skip
    op.create_table(
        "visit_codes",
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False, comment="blind token of the code"),
        sa.Column("resident", sa.UUID(), nullable=False),
        sa.Column("classes", sa.Integer(), nullable=False, comment="data-class bits that it gives"),
        sa.Column("hours", sa.SmallInteger(), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "token", name=op.f("visit_codes_pkey")),
        comment="Codes that residents made for a visit; gone once used. Here the bucket is the token's own first 12 bits.",
    )
    op.create_index("visit_codes_resident_idx", "visit_codes", ["resident"], unique=False)
    op.create_table(
        "code_guesses",
        sa.Column("account", sa.UUID(), nullable=False),
        sa.Column("party", sa.Integer(), nullable=False),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("code_guesses_pkey")),
        comment="Wrong codes by account and party since a moment, so that nobody tries them all.",
    )
    op.create_index(op.f("code_guesses_party_idx"), "code_guesses", ["party"], unique=False)
