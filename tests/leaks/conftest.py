"""The stage of the leak matrix, and the mutant to break the hub with, if one is named."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from hub.store import migrate
from tests.databases import a_database
from tests.leaks.mutants import MUTANTS
from tests.leaks.town import Stage

if named := os.environ.get("KINEHUB_MUTANT"):
    MUTANTS[named].apply()


@pytest.fixture(scope="session")
def stage(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One hub for the whole matrix."""
    with a_database(postgres_dsn, "leaks") as url:
        migrate.upgrade(url)
        stage = Stage(url, tmp_path_factory.mktemp("leaks"))
        try:
            yield stage
        finally:
            stage.close()
