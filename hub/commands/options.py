"""What every command takes, opens and answers with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
import orjson

from hub import service
from hub.settings import Settings, load
from hub.store import keyring, legacy, migrate, postgres, tombstones
from hub.store.seal import SUITES
from schemas import resident
from schemas.errors import BadRequest, Unavailable


class Options(msgspec.Struct):
    """What every command takes."""

    data_dir: Path
    database_url: str | None
    json: bool


def echo(options: Options, result: object, line: str | None = None) -> None:
    """The result, as JSON when asked, else as one line (or indented JSON when there is no line)."""
    if options.json:
        click.echo(orjson.dumps(result, default=str).decode())
    else:
        click.echo(line if line is not None else orjson.dumps(result, default=str, option=orjson.OPT_INDENT_2).decode())


@contextmanager
def database(options: Options, settings: Settings | None = None) -> Iterator[tuple[Settings, str]]:
    """Settings and a migrated database: the external one, the running hub's, or the embedded one for the length of the command."""
    settings = settings or load(options.data_dir, options.database_url)
    check_keyring(settings)
    if settings.database_url:
        ensure_keyring(settings, settings.database_url)
        yield settings, settings.database_url
        return
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with postgres.connect(settings.data_dir) as dsn:
        ensure_keyring(settings, dsn)
        yield settings, dsn


def check_keyring(settings: Settings) -> None:
    """Before anything is started: the keyring and the ledger, where there are any, are whole and can be used. Raises Unavailable."""
    if not settings.keyring.exists():
        return
    legacy.upgrade(settings.keyring)
    with closing(keyring.of(settings)) as ring:
        ring.check()
        if settings.crypto not in (None, ring.suite):
            raise Unavailable(f"KINEHUB_CRYPTO is {settings.crypto}, and this keyring was made with {ring.suite}.", advice="A hub keeps its suite.")
        tombstones.listed(ring)


def ensure_keyring(settings: Settings, dsn: str) -> None:
    """Migrate; make a keyring only for a database that knows none yet."""
    migrate.upgrade(dsn)
    if settings.keyring.exists():
        return
    if asyncio.run(_knows_keyring(dsn)):
        raise Unavailable(
            f"There is no keyring at {settings.keyring}, and this database was sealed with one.", advice="Restore the keyring from its own backup."
        )
    keyring.create(settings.keyring, settings.crypto or SUITES[0], settings.keyring_store, settings.keyring_secret_file).close()


def check_area(area: str) -> None:
    """Raises BadParameter unless it has the form of a division code."""
    try:
        resident.check_area(area)
    except BadRequest as wrong:
        raise click.BadParameter(wrong.message, param_hint="--area") from None


def own_keyring(options: Options) -> keyring.Keyring:
    """The keyring alone, without a database."""
    return keyring.of(load(options.data_dir, options.database_url))


async def _knows_keyring(dsn: str) -> bool:
    import asyncpg

    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval("SELECT count(*) FROM meta WHERE key = 'keyring'"))
    finally:
        await connection.close()


def run(options: Options, work: Callable[[service.Hub], Awaitable[Any]], settings: Settings | None = None) -> Any:
    """Run `work` with an open hub, of the environment's settings unless others are given."""

    async def inside(settings: Settings, dsn: str) -> Any:
        async with service.opened(settings, dsn) as hub:
            return await work(hub)

    with database(options, settings) as (given, dsn):
        return asyncio.run(inside(given, dsn))
