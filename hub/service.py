"""The hub's parts, opened once per process and handed to every front door as `app.state.hub`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from hub.audit.trail import Trail
from hub.defects import keep_silent
from hub.intake import lookup
from hub.intake.lookup import Question
from hub.settings import Settings
from hub.store import erasure
from hub.store.database import Database, claim
from hub.store.directory import Directory
from hub.store.grouped import Grouped
from hub.store.keyring import Keyring, of
from hub.store.vault import Vault
from hub.store.writer import MOST_DRAFTS, Upload, weight, write


class Hub(msgspec.Struct, frozen=True):
    """Settings, pool, keyring, vault, audit trail and directory of one process; the uploads' shared look-ups and transactions."""

    settings: Settings
    database: Database
    keyring: Keyring
    vault: Vault
    trail: Trail
    looking: Grouped[Question]
    writing: Grouped[Upload]
    directory: Directory


@asynccontextmanager
async def opened(settings: Settings, dsn: str) -> AsyncIterator[Hub]:
    """A hub over the database at `dsn`; flushes and closes on the way out."""
    keep_silent()
    keyring = of(settings)
    database = Database(dsn)
    try:
        await claim(database, keyring)
        trail = await Trail.start(database, keyring, settings.data_dir)
        vault = Vault(database, keyring)
        looking = Grouped(partial(lookup.answer, database), most=lookup.MOST_HINTS, weight=lookup.weight)
        writing = Grouped(partial(write, database, vault, trail), most=MOST_DRAFTS, weight=weight)
        hub = Hub(settings, database, keyring, vault, trail, looking, writing, Directory(database, keyring))
        try:
            await erasure.finish(hub)
            yield hub
        finally:
            await writing.stop()
            await trail.stop()
    finally:
        keyring.close()
        await database.close()
