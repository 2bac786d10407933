"""`kinehub ingest`: files uploaded on the command line."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from hub import service
from hub.commands.options import Options, echo, run
from hub.intake.upload import Delivery, take
from hub.store import parties
from schemas.errors import KineHubError


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--party", "party_id", required=True, type=click.UUID)
@click.option("--resident", "resident_id", type=click.UUID)
@click.option("--format", "format_", default="auto", show_default=True)
@click.pass_obj
def ingest(options: Options, files: tuple[Path, ...], party_id: UUID, resident_id: UUID | None, format_: str) -> None:
    """Upload files as a party; one receipt a file."""

    async def work(hub: service.Hub) -> list[dict[str, Any]]:
        async with hub.database.connection() as connection:
            sender = await parties.by_id(connection, party_id)
        receipts = []
        with click.progressbar(files, label="files", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            for file in bar:
                receipts.append(await _ingest_one(hub, sender, file, resident_id, format_))
        return receipts

    receipts = run(options, work)
    echo(options, receipts if len(receipts) > 1 else receipts[0])
    if any("error" in receipt for receipt in receipts):
        sys.exit(1)


async def _ingest_one(hub: service.Hub, sender: parties.Party, file: Path, resident_id: UUID | None, format_: str) -> dict[str, Any]:
    try:
        _, receipt = await take(
            hub, Delivery(party=sender, body=await asyncio.to_thread(file.read_bytes), format=format_, filename=file.name, resident=resident_id)
        )
    except KineHubError as error:
        click.echo(f"{file}: {error.message} {error.advice}".strip(), err=True)
        return {"file": str(file), "error": {"code": error.code, "message": error.message, "advice": error.advice}}
    return {"file": str(file)} | receipt
