"""Migrations: the code names the newest one, and they build exactly the tables that the code knows."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import create_async_engine

from hub.store import migrate
from hub.store.database import driver_url
from hub.store.tables import metadata
from hub.store.writer import COLUMNS

RESIDENT_TABLES = {
    "residents", "data_keys", "records", "record_history", "series", "originals", "outbox", "quality_flags", "holds", "visit_codes", "emergencies",
    "petitions", "representatives", "assists", "wishes", "deaths",
}  # fmt: skip

SET_LATER = {("receipts", "quality")}
"""Columns that are no upload's to fill."""


def test_the_code_expects_the_newest_migration() -> None:
    assert migrate.head() == migrate.NEWEST


def test_migrations_build_the_tables_the_code_knows(database_url: str) -> None:
    migrate.upgrade(database_url)
    migrate.upgrade(database_url)

    def differences(connection: Connection) -> list[object]:
        return [change for change in compare_metadata(MigrationContext.configure(connection), metadata) if change[0] != "modify_comment"]

    async def compared() -> list[object]:
        engine = create_async_engine(driver_url(database_url))
        async with engine.connect() as connection:
            found = await connection.run_sync(differences)
        await engine.dispose()
        return found

    assert asyncio.run(compared()) == []


def test_the_writer_knows_every_column_it_fills() -> None:
    for table, columns in COLUMNS.items():
        known = {column.name: str(column.type.compile(dialect=postgresql.dialect())) for column in metadata.tables[table].columns}  # type: ignore[no-untyped-call]
        short = {"INTEGER": "int", "TIMESTAMP WITH TIME ZONE": "timestamptz", "INTEGER[]": "int[]"}
        filled = [name for name in known if (table, name) not in SET_LATER]
        assert columns == {name: short.get(known[name], known[name].lower()) for name in filled}
        assert list(columns) == filled


def test_no_command_waits_for_sqlalchemy() -> None:
    asks = [sys.executable, "-c", "import sys, hub.cli, hub.app; print('sqlalchemy' in sys.modules)"]
    loaded = subprocess.run(asks, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"


def test_every_table_of_residents_has_the_bucket_in_every_unique_key() -> None:
    for name in RESIDENT_TABLES:
        table = metadata.tables[name]
        assert "bucket" in table.primary_key.columns
        for index in table.indexes:
            assert not index.unique or "bucket" in {column.name for column in index.columns}
