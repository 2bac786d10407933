"""What every room's tests may lean on: one real PostgreSQL for the whole run, and a fresh empty database in it for a test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from hub.store import migrate, postgres
from hub.store.tables import metadata


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dsn of an embedded server that lives for the session, or of the one KINEHUB_TEST_DATABASE_URL names.

    Its own database stays empty; take `database_url` to write.
    """
    if named := os.environ.get("KINEHUB_TEST_DATABASE_URL"):
        yield named
        return
    with postgres.connect(tmp_path_factory.mktemp("postgres")) as dsn:
        yield dsn


@pytest.fixture
def database_url(postgres_dsn: str) -> Iterator[str]:
    """A database of the test's own, dropped after it, whoever is still connected."""
    name = f"test_{uuid4().hex}"
    _execute(postgres_dsn, f"CREATE DATABASE {name}")
    yield urlsplit(postgres_dsn)._replace(path=f"/{name}").geturl()
    _execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def _migrated(postgres_dsn: str) -> str:
    _execute(postgres_dsn, "CREATE DATABASE migrated")
    url = urlsplit(postgres_dsn)._replace(path="/migrated").geturl()
    migrate.upgrade(url)
    return url


@pytest.fixture
def hub_url(_migrated: str) -> str:
    """A migrated database with nothing in it: one for the session, emptied before each test."""
    _execute(_migrated, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'migrated' AND pid <> pg_backend_pid()")
    _execute(_migrated, f"TRUNCATE {', '.join(metadata.tables)}")
    return _migrated


def _execute(dsn: str, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute())
