"""`kinehub directory`: FHIR resources about no resident."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import orjson

from hub import service
from hub.audit.trail import Entry
from hub.commands.options import Options, echo, run
from hub.exchange.entries import checked
from hub.store import directory as entries
from hub.store import parties


@click.group()
def directory() -> None:
    """What is about no resident: venues, practitioners and their roles, services, device kinds."""


@directory.command("add")
@click.option("--party", "party_id", required=True, type=click.UUID, help="Whose entry it is.")
@click.option("--from", "source", required=True, help="A file with one FHIR R4 resource, or - for standard input.")
@click.pass_obj
def directory_add(options: Options, party_id: UUID, source: str) -> None:
    """Add a Location, Practitioner, PractitionerRole, HealthcareService or DeviceDefinition; the same identifier again updates it."""
    text = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise click.UsageError("--from must hold one FHIR resource as JSON.") from None

    async def work(hub: service.Hub) -> tuple[entries.Entry, str]:
        async with hub.database.connection() as connection:
            owner = await parties.by_id(connection, party_id)
            made, outcome = await entries.put(connection, hub.keyring, owner.number, checked(body, owner.reference))
        named = f"{made.reference}/_history/{made.version}"
        await hub.trail.note(Entry(actor="operator", action="directory-add", outcome=outcome, party=owner.number, rule=named))
        return made, outcome

    made, outcome = run(options, work)
    echo(options, {"type": made.type, "id": made.id, "reference": made.reference, "version": made.version, "status": outcome}, f"{made.reference}: {outcome}")


@directory.command("list")
@click.option("--party", "party_id", type=click.UUID, help="Only what is this party's.")
@click.pass_obj
def directory_list(options: Options, party_id: UUID | None) -> None:
    """Every entry in its newest version, without private contacts."""

    async def work(hub: service.Hub) -> list[dict[str, Any]]:
        async with hub.database.connection() as connection:
            owners = {found.number: str(found.id) for found in await parties.everyone(connection)}
            number = (await parties.by_id(connection, party_id)).number if party_id else None
            found = await entries.newest(connection, number)
        return [
            {"type": one.type, "id": one.id, "version": one.version, "updated": one.updated, "party_id": owners[one.party], "content": one.body}
            for one in found
        ]

    echo(options, run(options, work))
