"""What every room's tests may lean on: one real PostgreSQL for the whole run, and a fresh empty database in it for a test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from hub.store import migrate, postgres
from hub.store.tables import metadata
from tests.databases import CLIENTS_ENDED, a_database, execute

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


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
    with a_database(postgres_dsn, "test") as url:
        yield url


@pytest.fixture(scope="session")
def _migrated(postgres_dsn: str) -> Iterator[str]:
    with a_database(postgres_dsn, "migrated") as url:
        migrate.upgrade(url)
        yield url


@pytest.fixture
def hub_url(_migrated: str) -> str:
    """A migrated database with nothing in it: one for the session, emptied before each test."""
    execute(_migrated, CLIENTS_ENDED, f"TRUNCATE {', '.join(metadata.tables)}")
    return _migrated
