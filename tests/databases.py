"""Databases of a test's own in the embedded server, whose role is no superuser: it may end its own clients, never an autovacuum worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

CLIENTS_ENDED = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
)
"""Ends every other client of the database and waits for it. A worker of PostgreSQL's own is no client, and gives way by itself."""


def execute(dsn: str, *statements: str) -> None:
    """Run statements on a connection of their own, outside any transaction."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@contextmanager
def a_database(dsn: str, prefix: str) -> Iterator[str]:
    """The url of an empty database, dropped afterwards, whoever is still connected."""
    name = f"{prefix}_{uuid4().hex}"
    execute(dsn, f"CREATE DATABASE {name}")
    url = urlsplit(dsn)._replace(path=f"/{name}").geturl()
    yield url
    execute(url, CLIENTS_ENDED)
    execute(dsn, f"DROP DATABASE {name}")  # not WITH (FORCE), which fails when an autovacuum worker is there; this waits for it
