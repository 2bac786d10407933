"""Running the hub, its delivery worker and the migration."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import closing

import asyncpg
import click
import orjson

from hub.audit import tree
from hub.audit.heads import Heads
from hub.audit.trail import FOLDER
from hub.commands.options import Options, check_keyring, database, echo, ensure_keyring
from hub.delivery import worker
from hub.settings import Settings, load
from hub.store import keyring, migrate, postgres
from hub.store.seal import digest_name


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--workers", default=1, show_default=True)
@click.pass_obj
def serve(options: Options, host: str, port: int, workers: int) -> None:
    """Run the hub, its delivery worker and, unless a database is named, its PostgreSQL."""
    from hub.serve import Serving
    from hub.serve import serve as run

    base = os.environ.get("KINEHUB_BASE_URL") or f"http://localhost:{port}"
    settings = load(options.data_dir, options.database_url, base)
    check_keyring(settings)

    def announce(url: str) -> None:
        click.echo(orjson.dumps({"base_url": url}).decode() if options.json else f"KineHub is ready at {url}")
        sys.stdout.flush()

    if settings.database_url:
        ensure_keyring(settings, settings.database_url)
        _check_audit(settings, settings.database_url)
        run(Serving(settings, settings.database_url, host, port, workers, announce, lambda: True, lambda: None))
        return
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with postgres.lock(settings.data_dir):
        servers = [postgres.start(settings.data_dir)]

        def revive() -> None:
            servers[0] = postgres.start(settings.data_dir)

        try:
            ensure_keyring(settings, servers[0].dsn)
            _check_audit(settings, servers[0].dsn)
            run(Serving(settings, servers[0].dsn, host, port, workers, announce, lambda: servers[0].alive(), revive))
        finally:
            servers[0].stop()


def _check_audit(settings: Settings, dsn: str) -> None:
    """Raises Unavailable, in one line, when what is kept of the audit outside the database does not agree with it."""
    with closing(keyring.of(settings)) as ring:
        heads, algorithm = Heads(settings.data_dir / FOLDER, ring.signing_key()), digest_name(ring.suite)

    async def check() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await tree.check(connection, heads, algorithm)
        finally:
            await connection.close()

    asyncio.run(check())


@click.command("worker")
@click.pass_obj
def worker_command(options: Options) -> None:
    """Run the delivery worker apart (production)."""
    import signal

    async def main(settings: Settings, dsn: str) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await worker.run(settings, dsn, stop)

    with database(options) as (settings, dsn):
        _check_audit(settings, dsn)
        asyncio.run(main(settings, dsn))


@click.command("migrate")
@click.pass_obj
def migrate_command(options: Options) -> None:
    """Bring the database to the newest schema."""
    with database(options):
        echo(options, {"revision": migrate.NEWEST}, f"The database is at revision {migrate.NEWEST}.")
