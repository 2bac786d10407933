"""The hub's parts, opened once per process and handed to every front door as `app.state.hub`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from hub.audit.trail import Trail
from hub.defects import keep_silent
from hub.intake.writing import Writing
from hub.settings import Settings
from hub.store.database import Database, claim
from hub.store.keyring import Keyring
from hub.store.vault import Vault


class Hub(msgspec.Struct, frozen=True):
    """Settings, pool, keyring, vault and audit trail of one process."""

    settings: Settings
    database: Database
    keyring: Keyring
    vault: Vault
    trail: Trail
    writing: Writing


@asynccontextmanager
async def opened(settings: Settings, dsn: str) -> AsyncIterator[Hub]:
    """A hub over the database at `dsn`; flushes and closes on the way out."""
    keep_silent()
    keyring = Keyring(settings.keyring)
    database = Database(dsn)
    try:
        await claim(database, keyring)
        trail = await Trail.start(database, keyring, settings.data_dir)
        vault = Vault(database, keyring)
        writing = Writing(database, vault, trail)
        try:
            yield Hub(settings, database, keyring, vault, trail, writing)
        finally:
            await writing.stop()
            await trail.stop()
    finally:
        await database.close()
