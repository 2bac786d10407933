"""`kinehub audit`: the trail of who did what."""

from __future__ import annotations

import sys
from typing import Any
from uuid import UUID

import click
import msgspec

from hub import service
from hub.audit.verify import verify
from hub.commands.options import Options, echo, run
from hub.store import grants


@click.group()
def audit() -> None:
    """The trail of who did what."""


@audit.command("verify")
@click.pass_obj
def audit_verify(options: Options) -> None:
    """Recompute every chain and compare it with what is held outside the database."""

    async def work(hub: service.Hub) -> Any:
        async with hub.database.connection() as connection:
            return await verify(connection, hub.keyring, hub.settings.data_dir)

    found = run(options, work)
    echo(
        options,
        msgspec.to_builtins(found) if found.problem else {"entries": found.entries, "intact": True},
        f"{found.entries} entries, intact" if found.intact else None,
    )
    if not found.intact:
        click.echo(f"kinehub: {found.problem}", err=True)
        sys.exit(1)


@audit.command("list")
@click.option("--resident", "resident_id", required=True, type=click.UUID)
@click.pass_obj
def audit_list(options: Options, resident_id: UUID) -> None:
    """Who saw what of a resident, when, for what purpose, under which consent."""
    echo(options, run(options, lambda hub: grants.looks(hub, resident_id)))
