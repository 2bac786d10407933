"""The pool when PostgreSQL goes away in the middle of a statement: whatever the driver raises then means try again."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from hub.store.database import Database
from schemas.errors import Unavailable
from tests.databases import CLIENTS_ENDED

DYING = (  # each was seen, or is documented, when a server died in the middle of something
    asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
    RuntimeError("unable to perform operation on <UnixTransport closed=True>; the handler is closed"),
    OSError(5, "Input/output error"),
    TimeoutError(),
    asyncpg.exceptions.PostgresIOError("could not write"),
)
EACH = pytest.mark.parametrize("error", DYING, ids=lambda error: type(error).__name__)


async def used(database: Database, error: Exception, *, lost: bool) -> None:
    async with database.connection() as connection:
        if lost:
            connection.terminate()
        raise error


@EACH
def test_what_a_driver_raises_over_a_closed_connection_is_unavailable_and_the_next_one_works(postgres_dsn: str, error: Exception) -> None:
    async def work() -> None:
        database = Database(postgres_dsn)
        with pytest.raises(Unavailable):
            await used(database, error, lost=True)
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1
        await database.close()

    asyncio.run(work())


@EACH
def test_the_same_over_a_living_connection_is_no_outage(postgres_dsn: str, error: Exception) -> None:
    async def work() -> None:
        database = Database(postgres_dsn)
        with pytest.raises(type(error)):
            await used(database, error, lost=False)
        await database.close()

    asyncio.run(work())


def test_a_server_that_ends_a_statement_is_unavailable(database_url: str) -> None:
    async def work() -> None:
        database, other = Database(database_url), await asyncpg.connect(database_url)

        async def sleeping() -> None:
            async with database.connection() as connection, connection.transaction():
                ready.set()
                await connection.execute("SELECT pg_sleep(60)")

        ready = asyncio.Event()
        victim = asyncio.create_task(sleeping())
        await ready.wait()
        await other.execute(CLIENTS_ENDED)
        await other.close()
        with pytest.raises(Unavailable):
            await victim
        await database.close()

    asyncio.run(work())
