"""`kinehub delivery`: what is owed to receivers."""

from __future__ import annotations

from typing import Any

import click

from hub import service
from hub.commands.options import Options, echo, run
from hub.delivery import worker
from schemas.errors import NotFound


@click.group()
def delivery() -> None:
    """What is owed to receivers."""


@delivery.command("list")
@click.pass_obj
def delivery_list(options: Options) -> None:
    """What is owed, acknowledged, dead, and suppressed: held back because no consent reaches it, which is no failure."""

    async def work(hub: service.Hub) -> Any:
        async with hub.database.connection() as connection:
            return await worker.listing(connection)

    echo(options, run(options, work))


@delivery.command("replay")
@click.argument("ids", nargs=-1, required=True, type=click.IntRange(1, 2**63 - 1))
@click.pass_obj
def delivery_replay(options: Options, ids: tuple[int, ...]) -> None:
    """Send dead letters again."""

    async def work(hub: service.Hub) -> int:
        async with hub.database.connection() as connection:
            return await worker.replay(connection, list(ids))

    count = run(options, work)
    if not count:
        raise NotFound("No dead letter has such an id.", advice="`kinehub delivery list` shows them.")
    echo(options, {"replayed": count}, f"{count} will be sent again.")
