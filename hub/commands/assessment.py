"""`kinehub assessment`: impact assessments on record, and which are due."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from hub import service
from hub.commands.options import Options, echo, run
from hub.store import assessments
from hub.store.assessments import Kept


@click.group()
def assessment() -> None:
    """Impact assessments (PIPL 55): kept sealed, for three years and longer."""


@assessment.command("add")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--about", required=True, help="`sensitive`, `automated`, or the name of an organization, which may be registered later.")
@click.option("--author", required=True, help="Who made it.")
@click.option("--on", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The day it was made.")
@click.pass_obj
def assessment_add(options: Options, file: Path, about: str, author: str, on: datetime) -> None:
    """Record an assessment: any document of up to a mebibyte. It is not removed any more."""
    kept = Kept(author, file.name, file.read_bytes())
    made = run(options, lambda hub: assessments.add(hub, about=about, made=on.date(), kept=kept, actor="operator"))
    echo(options, {"assessment_id": str(made)}, str(made))


@assessment.command("list")
@click.pass_obj
def assessment_list(options: Options) -> None:
    """Those on record, and what wants one that has none of the last three years."""

    async def work(hub: service.Hub) -> dict[str, Any]:
        async with hub.database.connection() as connection:
            due = await assessments.due(connection)
        return {"recorded": await assessments.listed(hub), "due": [one._asdict() for one in due]}

    echo(options, run(options, work))


@assessment.command("show")
@click.argument("assessment_id", type=click.UUID)
@click.pass_obj
def assessment_show(options: Options, assessment_id: UUID) -> None:
    """The document itself, as it was recorded."""
    kept = run(options, lambda hub: assessments.read(hub, assessment_id))
    click.echo(kept.content, nl=False)
