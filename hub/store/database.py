"""The connection pool: asyncpg's own, one per process (docs/decisions/0007-history-page.md has the figures).

Also: which database this is (`meta`), and that it belongs to the keyring at hand.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import orjson
from asyncpg import Connection

from hub.store.keyring import Keyring
from schemas.errors import Unavailable

__all__ = ["Connection", "Database", "claim", "driver_url"]

WAIT_S = 30
"""How long a request waits for a free connection, or for a new one."""

_LOST = (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError, ConnectionError)
_UNSURE = (asyncpg.InternalClientError, asyncpg.PostgresError, OSError, RuntimeError)
"""What also comes out of a driver or event loop whose server died in the middle; where the connection lives on, it is a defect."""


class Database:
    """A pool over one PostgreSQL. `connection()` gives an asyncpg connection; nothing here knows a table but `meta`."""

    def __init__(self, dsn: str, *, size: int = 8) -> None:
        url = driver_url(dsn, "postgresql")
        self._pool = asyncpg.create_pool(url, min_size=0, max_size=size, max_inactive_connection_lifetime=0, max_queries=1 << 60, init=_prepare, reset=_as_is)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection[Any]]:
        """An asyncpg connection from the pool, outside any transaction. Raises Unavailable when the database cannot be reached."""
        taken = await self._live()
        try:
            try:
                yield cast("Connection[Any]", taken)
            except _UNSURE as error:
                if _is_open(taken):
                    raise
                raise Unavailable("The connection to the database was lost.") from error
            finally:
                await self._pool.release(taken)
        except _LOST as error:
            raise Unavailable("The connection to the database was lost.") from error

    async def _live(self) -> Any:
        """A connection that is not closed; the pool makes a new one in place of one that a restart of PostgreSQL closed."""
        try:
            async with asyncio.timeout(WAIT_S):
                return await (await self._pool).acquire()
        except (*_LOST, *_UNSURE) as error:
            raise Unavailable("The database cannot be reached.") from error

    async def close(self) -> None:
        await self._pool.close()


def _is_open(taken: Any) -> bool:
    """Whether a connection can still be used; one that closed may have left its proxy already."""
    try:
        return not taken.is_closed()
    except asyncpg.InterfaceError:
        return False


async def _prepare(connection: Connection[Any]) -> None:
    """jsonb goes in as text and comes out parsed."""
    await connection.set_type_codec("jsonb", encoder=str, decoder=orjson.loads, schema="pg_catalog")


async def _as_is(_connection: Any) -> None:
    """Nothing to reset: no statement of ours outlives its transaction in the session, and the default costs a round trip per request."""


def driver_url(dsn: str, driver: str = "postgresql+asyncpg") -> str:
    """A libpq URL as SQLAlchemy's driver wants it, and back. SQLAlchemy is not asked: its import takes a third of a second of every command."""
    return re.sub(r"^postgres(ql)?(\+\w+)?:", f"{driver}:", dsn)


async def claim(database: Database, keyring: Keyring) -> None:
    """Tie an empty database to this keyring, or check that it is tied to it. Raises Unavailable otherwise."""
    async with database.connection() as connection:
        await connection.execute("INSERT INTO meta (key, value) VALUES ('keyring', $1), ('suite', $2) ON CONFLICT DO NOTHING", keyring.id, keyring.suite)
        known = dict(await connection.fetch("SELECT key, value FROM meta"))
    if known["keyring"] != keyring.id:
        raise Unavailable("This database was sealed with another keyring.", advice="Name its own keyring in KINEHUB_KEYRING.")
    if known["suite"] != keyring.suite:
        raise Unavailable("The keyring's cipher suite is not the database's.")
