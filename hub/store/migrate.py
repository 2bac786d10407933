"""Alembic, run from the package: `kinehub migrate` and every start of the hub that owns its database."""

from __future__ import annotations

from importlib.resources import files
from io import StringIO

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory


def _config(dsn: str) -> Config:
    config = Config(stdout=StringIO())
    config.set_main_option("script_location", str(files("hub.store").joinpath("migrations")))
    config.attributes["dsn"] = dsn
    return config


def upgrade(dsn: str) -> None:
    """Bring the database to the newest schema; nothing happens when it is there."""
    command.upgrade(_config(dsn), "head")


def newest() -> str:
    """The revision the code expects."""
    return str(ScriptDirectory.from_config(_config("")).get_current_head())
