"""Data quality: runs with their scores, what they found of records, webhooks and the alerts owed to them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("receipts", sa.Column("quality", sa.UUID(), nullable=True, comment="the run that judged its records"))
    op.create_index(
        "receipts_unjudged_idx", "receipts", ["created"], postgresql_where=sa.text("quality IS NULL AND cardinality(records) > 0")
    )  # fmt: skip
    _runs()
    op.create_table(
        "quality_flags",
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("record", sa.UUID(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False, comment="number of the run that found them; the newest counts"),
        sa.Column("resident", sa.UUID(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="rules that the record breaks, sealed"),
        sa.PrimaryKeyConstraint("bucket", "record", "version", "run", name=op.f("quality_flags_pkey")),
        comment="What the quality worker found of a record, beside it. Nothing is ever written over.",
    )
    _alerts()


def _runs() -> None:
    op.create_table(
        "quality_runs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("party", sa.Integer(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False, comment="batch: receipts; source: a night"),
        sa.Column("started", INSTANT, nullable=False),
        sa.Column("finished", INSTANT, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("receipts", postgresql.ARRAY(sa.UUID()), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("score", sa.Float(53), nullable=True),
        sa.Column("usual", sa.Float(53), nullable=True, comment="mean score of the source's 30 days before"),
        sa.Column("degraded", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="what was expected and kept, sealed under the hub's key"),
        sa.PrimaryKeyConstraint("id", name=op.f("quality_runs_pkey")),
        sa.UniqueConstraint("number", name=op.f("quality_runs_number_key")),
        comment="Runs of the quality worker: the score of a source over time.",
    )
    op.create_index("quality_runs_party_idx", "quality_runs", ["party", "scope", sa.text("started DESC")])


def _alerts() -> None:
    op.create_table(
        "quality_hooks",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("party", sa.Integer(), nullable=True, comment="told of this source; of every source where absent"),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("created", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("quality_hooks_pkey")),
    )
    op.create_table(
        "quality_alerts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("hook", sa.UUID(), nullable=False),
        sa.Column("run", sa.UUID(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'owed'"), nullable=False, comment="owed, acknowledged, dead"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("quality_alerts_pkey")),
        sa.UniqueConstraint("run", "hook", name=op.f("quality_alerts_run_hook_key")),
        comment="Alerts owed to webhooks: a source got worse. They hold no resident's data.",
    )
    op.create_index("quality_alerts_owed_idx", "quality_alerts", ["next_at"], postgresql_where=sa.text("status = 'owed'"))
