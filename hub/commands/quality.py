"""`kinehub quality`: judge what came in, and read how good each source is. Great Expectations runs in a process of its own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click
import msgspec

from hub import service
from hub.commands.options import Options, database, echo, run
from hub.quality import alerts, reports, worker
from hub.store import parties


@click.group()
def quality() -> None:
    """How good the data of each source is."""


@quality.command("run")
@click.option("--party", type=click.UUID, help="Only this party's.")
@click.option("--receipt", type=click.UUID, help="This receipt, whether or not it was judged before.")
@click.pass_obj
def quality_run(options: Options, party: UUID | None, receipt: UUID | None) -> None:
    """Judge now what no run has judged yet."""
    with database(options) as (settings, dsn):
        done = worker.judge_apart(settings, dsn, worker.Wanted(party, receipt))
    echo(options, {"runs": done}, f"{len(done)} runs over {sum(one['records'] for one in done)} records.")


@quality.command("show")
@click.option("--party", type=click.UUID, help="Only this party's.")
@click.option("--most", type=click.IntRange(1, 1000), default=30, show_default=True, help="Runs of each party.")
@click.pass_obj
def quality_show(options: Options, party: UUID | None, most: int) -> None:
    """Each source's runs with their scores, newest first, and what failed in them."""

    async def work(hub: service.Hub) -> Any:
        async with hub.database.connection() as connection:
            known = [await parties.by_id(connection, party)] if party else await parties.everyone(connection)
            return [{"party_id": str(one.id), "name": one.name, "runs": await _runs(hub, connection, one.number, most)} for one in known]

    echo(options, {"sources": run(options, work)})


async def _runs(hub: service.Hub, connection: Any, party: int, most: int) -> list[dict[str, Any]]:
    found = []
    for kept in await reports.latest(connection, party, most):
        _, report = await reports.read(connection, hub.keyring, party, kept.id)
        shown = msgspec.to_builtins(kept)
        del shown["party"]
        failed = [msgspec.to_builtins(result) for result in report.results if not result.success]
        found.append(shown | {"shares": report.shares, "kinds": report.kinds, "expectations": len(report.results), "failed": failed})
    return found


@quality.command("hook")
@click.argument("url")
@click.option("--party", type=click.UUID, help="Only about this party; without it about every source.")
@click.pass_obj
def quality_hook(options: Options, url: str, party: UUID | None) -> None:
    """Tell URL when a source gets worse."""

    async def work(hub: service.Hub) -> UUID:
        async with hub.database.connection() as connection:
            number = (await parties.by_id(connection, party)).number if party else None
            return await alerts.register(connection, url, number)

    made = run(options, work)
    echo(options, {"hook_id": str(made)}, f"Webhook {made} is told.")


@quality.command("hooks")
@click.pass_obj
def quality_hooks(options: Options) -> None:
    """Every webhook, and the alerts it is owed."""

    async def work(hub: service.Hub) -> Any:
        async with hub.database.connection() as connection:
            return await alerts.hooks(connection)

    echo(options, {"hooks": run(options, work)})


@quality.command("unhook")
@click.argument("hook", type=click.UUID)
@click.pass_obj
def quality_unhook(options: Options, hook: UUID) -> None:
    """Tell a webhook nothing more."""

    async def work(hub: service.Hub) -> None:
        async with hub.database.connection() as connection:
            await alerts.remove(connection, hook)

    run(options, work)
    echo(options, {"removed": str(hook)}, "It is told nothing more.")
