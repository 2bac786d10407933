"""The connection pool: SQLAlchemy's, with the asyncpg driver connection handed out for statements of our own.

Also: which database this is (`meta`), and that it belongs to the keyring at hand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
from asyncpg import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from hub.store.keyring import Keyring
from schemas.errors import Unavailable

__all__ = ["Connection", "Database", "claim", "driver_url"]


class Database:
    """A pool over one PostgreSQL. `connection()` gives the raw asyncpg connection; nothing here knows a table but `meta`."""

    def __init__(self, dsn: str, *, size: int = 8) -> None:
        self._engine: AsyncEngine = create_async_engine(driver_url(dsn), pool_size=size, max_overflow=0, pool_timeout=30, echo=False, hide_parameters=True)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection[Any]]:
        """An asyncpg connection from the pool, outside any transaction. Raises Unavailable when the database cannot be reached."""
        pooled, raw = await self._live()
        try:
            yield raw
        except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError, ConnectionError) as error:
            raise Unavailable("The connection to the database was lost.") from error
        finally:
            if raw.is_closed():
                await pooled.invalidate()
            await pooled.close()

    async def _live(self) -> tuple[AsyncConnection, Connection[Any]]:
        """A pooled connection that is not closed: after a restart of PostgreSQL the pool still holds dead ones."""
        try:
            while True:
                pooled = await self._engine.connect()
                raw = cast("Connection[Any]", (await pooled.get_raw_connection()).driver_connection)
                if not raw.is_closed():
                    return pooled, raw
                await pooled.invalidate()
                await pooled.close()
        except (SQLAlchemyError, OSError, asyncpg.PostgresError) as error:
            raise Unavailable("The database cannot be reached.") from error

    async def close(self) -> None:
        await self._engine.dispose()


def driver_url(dsn: str, driver: str = "postgresql+asyncpg") -> URL:
    """A libpq URL as SQLAlchemy wants it."""
    return make_url(dsn).set(drivername=driver)


async def claim(database: Database, keyring: Keyring) -> None:
    """Tie an empty database to this keyring, or check that it is tied to it. Raises Unavailable otherwise."""
    async with database.connection() as connection:
        await connection.execute("INSERT INTO meta (key, value) VALUES ('keyring', $1), ('suite', $2) ON CONFLICT DO NOTHING", keyring.id, keyring.suite)
        known = dict(await connection.fetch("SELECT key, value FROM meta"))
    if known["keyring"] != keyring.id:
        raise Unavailable("This database was sealed with another keyring.", advice="Name its own keyring in KINEHUB_KEYRING.")
    if known["suite"] != keyring.suite:
        raise Unavailable("The keyring's cipher suite is not the database's.")
