"""Alembic, run from the package: `kinehub migrate` and every start of the hub that owns its database."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from io import StringIO
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = "0026"
"""The revision the code expects; a test holds it to the newest migration."""


def _config(dsn: str) -> Config:
    from alembic.config import Config

    config = Config(stdout=StringIO())
    config.set_main_option("script_location", str(files("hub.store").joinpath("migrations")))
    config.attributes["dsn"] = dsn
    return config


def upgrade(dsn: str) -> None:
    """Bring the database to the newest schema. Where it is there, one query says so and Alembic is not even imported."""
    if asyncio.run(revision(dsn)) == NEWEST:
        return
    from alembic import command

    command.upgrade(_config(dsn), "head")


async def revision(dsn: str) -> str | None:
    """The database's revision; None when it has no schema yet."""
    connection = await asyncpg.connect(dsn)
    try:
        if not await connection.fetchval("SELECT to_regclass('public.alembic_version') IS NOT NULL"):
            return None
        return str(await connection.fetchval("SELECT version_num FROM alembic_version"))
    finally:
        await connection.close()


def head() -> str:
    """The newest migration in the package."""
    from alembic.script import ScriptDirectory

    return str(ScriptDirectory.from_config(_config("")).get_current_head())
