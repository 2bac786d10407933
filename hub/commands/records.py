"""`kinehub records`: what is stored, as a whole."""

from __future__ import annotations

import sys
from typing import Any

import click

from hub import service
from hub.commands.options import Options, echo, run
from hub.store.vault import BUT_CONSENTS


@click.group()
def records() -> None:
    """What is stored, as a whole."""


@records.command("upgrade")
@click.option("--dry-run", is_flag=True, help="Only count what would be renewed.")
@click.pass_obj
def records_upgrade(options: Options, /, *, dry_run: bool) -> None:
    """Bring every record to the standard, mappings and adapters as they are now, as new versions; beside a running hub, too.

    What a newer adapter reads is read again from the kept original; the rest is mapped again from the stored record.
    """
    from hub.intake.upgrade import upgrade

    async def work(hub: service.Hub) -> Any:
        async with hub.database.connection() as connection:
            count = await connection.fetchval(f"SELECT count(*) FROM records WHERE {BUT_CONSENTS} AND NOT deleted")  # noqa: S608 - constant
        with click.progressbar(length=count, label="records", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            return await upgrade(hub, dry_run=dry_run, step=bar.update)

    found = run(options, work)
    echo(options, found, ", ".join(f"{count} {name}" for name, count in found.items()))


@records.command("relabel")
@click.pass_obj
def records_relabel(options: Options, /) -> None:
    """Label every stored version by the rules as they are now (sensitivity, confidentiality); beside a running hub, too.

    The delivery worker does so by itself after a start with new rules. Nothing is shown meanwhile that the old rules or the new ones hide.
    """
    from hub.store.relabel import relabel

    async def work(hub: service.Hub) -> Any:
        with click.progressbar(length=0, label="versions", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            return await relabel(hub, step=bar.update)

    found = run(options, work)
    echo(options, found, ", ".join(f"{count} {name}" for name, count in found.items()))
