"""Four writers of the audit in one process, each with a chain of its own, until a line comes in or somebody kills them. Says each entry that was
acknowledged: `python -m tests.audit.writer DSN FOLDER`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from uuid import uuid4

from hub.audit.trail import Entry, Trail
from hub.settings import load
from hub.store.database import Database
from hub.store.keyring import Keyring

WRITERS, LANES = 4, 5


async def _note(trail: Trail, stop: asyncio.Event) -> None:
    while not stop.is_set():
        name = str(uuid4())
        await trail.note(Entry(actor="Organization/x", action="read Observation", outcome="shown", rule=name))
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()


async def _sign(trail: Trail, stop: asyncio.Event) -> None:
    """Much more often than once a minute, so that they meet."""
    while not stop.is_set():
        await trail.sign()
        await asyncio.sleep(0.05)


async def main(dsn: str, folder: Path) -> None:
    keyring, stop = Keyring(load(folder).keyring), asyncio.Event()
    databases = [Database(dsn, size=1) for _ in range(WRITERS)]
    trails = [await Trail.start(database, keyring, folder) for database in databases]
    tasks = [asyncio.create_task(_note(trail, stop)) for trail in trails for _ in range(LANES)]
    tasks += [asyncio.create_task(_sign(trail, stop)) for trail in trails]
    await asyncio.to_thread(sys.stdin.readline)
    stop.set()
    await asyncio.gather(*tasks)
    for trail, database in zip(trails, databases, strict=True):
        await trail.stop()
        await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
