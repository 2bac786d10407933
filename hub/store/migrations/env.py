"""Alembic's entry: one connection, one transaction, a short wait for locks."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from hub.store.database import driver_url
from hub.store.tables import metadata


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        connection.execute(text("SET lock_timeout = '2s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(4217)"))
        context.run_migrations()


async def _run() -> None:
    engine = create_async_engine(driver_url(context.config.attributes["dsn"]), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
        await connection.commit()
    await engine.dispose()


asyncio.run(_run())
