"""`kinehub resident`: registration, who acts for whom, deaths, erasure with its certificates, legal holds."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import msgspec
import orjson

from hub import service
from hub.access import accounts, deaths, representatives
from hub.commands.options import Options, echo, own_keyring, run
from hub.store import erasure, parties, residents
from schemas.errors import BadRequest
from schemas.resident import ZONE, MemberNumber, Resident, check_forms


@click.group()
def resident() -> None:
    """Residents."""


@resident.command("add")
@click.option("--from", "source", help="A JSON file, or - for standard input.")
@click.option("--name")
@click.option("--id-number")
@click.option("--birth-date")
@click.option("--gender", type=click.Choice(["male", "female", "unknown", "other"]))
@click.option("--phone", help="A mobile, a landline with its area code, or E.164.")
@click.option("--area", help="Division code: 4, 6, 9 or 12 digits for city, district, street or township, community.")
@click.option("--zone", default=None)
@click.option("--member-number", multiple=True, help="PARTY_ID|NUMBER, repeatable.")
@click.pass_obj
def resident_add(options: Options, /, source: str | None, **given: Any) -> None:
    """Register a resident; the same ID number again gives the same resident."""
    if source:
        text = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        try:
            fields = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise click.UsageError("--from must hold one JSON object.") from None
    else:
        numbers = [{"party": text.partition("|")[0], "number": text.partition("|")[2]} for text in given.pop("member_number")]
        fields = {key: value for key, value in given.items() if value is not None} | ({"member_numbers": numbers} if numbers else {})
    if not isinstance(fields, dict) or not fields.get("name"):
        raise click.UsageError("A resident needs at least a name.")
    numbers, person = fields.pop("member_numbers", []), _resident(fields)

    async def work(hub: service.Hub) -> tuple[UUID, bool]:
        async with hub.database.connection() as connection:
            known = {str(found.id) for found in await parties.everyone(connection)}
        members = [_member(entry, known) for entry in numbers]
        return await residents.register(hub, msgspec.structs.replace(person, member_numbers=members), actor="operator")

    identity, created = run(options, work)
    if not source:
        click.echo("Shells remember what is typed: use --from for real people.", err=True)
    echo(
        options,
        {"resident_id": str(identity), "patient": f"Patient/{identity}", "created": created},
        f"Patient/{identity}{'' if created else ' (known already)'}",
    )


def _resident(fields: dict[str, Any]) -> Resident:
    try:
        made = msgspec.convert({"zone": ZONE, **fields}, Resident)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The resident cannot be understood: {error}.", field="resident") from None
    try:
        check_forms(made)
    except BadRequest as wrong:
        raise click.UsageError(wrong.message) from None
    return made


def _member(entry: Any, known: set[str]) -> MemberNumber:
    """`{"party": ID, "number": N}` or `"ID|N"`."""
    party_id, number = entry.partition("|")[::2] if isinstance(entry, str) else (str(entry.get("party", "")), str(entry.get("number", "")))
    if party_id not in known or not number:
        raise BadRequest("A member number names a registered party and a number.", field="member_numbers")
    return MemberNumber(party=party_id, number=number)


@resident.command("represent")
@click.argument("resident_id", type=click.UUID)
@click.option("--login", required=True, help="Sign-in name of the parent or guardian, who has an account of their own.")
@click.option("--as", "relation", required=True, type=click.Choice(representatives.OF_A_CHILD))
@click.pass_obj
def resident_represent(options: Options, resident_id: UUID, login: str, relation: str) -> None:
    """A parent or guardian of somebody under 18, whose papers were seen, may act for them."""

    async def work(hub: service.Hub) -> UUID:
        async with hub.database.connection() as connection:
            account = await accounts.by_login(connection, hub.keyring, login)
        return await representatives.register(hub, resident_id, account.id, relation, actor="operator")

    made = run(options, work)
    echo(options, {"representative_id": str(made)}, str(made))


@resident.command("unrepresent")
@click.argument("resident_id", type=click.UUID)
@click.argument("representative_id", type=click.UUID)
@click.pass_obj
def resident_unrepresent(options: Options, resident_id: UUID, representative_id: UUID) -> None:
    """A parent, guardian or helper acts no more, from the next request on: a divorce, a death, a court's decision."""
    run(options, lambda hub: representatives.end(hub, resident_id, representative_id, "operator"))
    echo(options, {"ended": str(representative_id)}, f"Ended {representative_id}.")


@resident.command("died")
@click.argument("resident_id", type=click.UUID)
@click.option("--on", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The day of the death.")
@click.option("--evidence", required=True, help="Which certificate was seen: kind, number, who issued it.")
@click.pass_obj
def resident_died(options: Options, resident_id: UUID, on: datetime, evidence: str) -> None:
    """Record a death. Nothing changes before an administrator confirms it on /admin/deaths: then nobody sees anything, but for what the resident wanted."""
    run(options, lambda hub: deaths.record(hub, resident_id, deaths.Evidence(on.date(), evidence), actor="operator"))
    echo(options, {"recorded": str(resident_id)}, "Recorded; to be confirmed on /admin/deaths.")


@resident.command("alive")
@click.argument("resident_id", type=click.UUID)
@click.pass_obj
def resident_alive(options: Options, resident_id: UUID) -> None:
    """A death was recorded in error: all is as before, and no relative acts any more."""
    run(options, lambda hub: deaths.undo(hub, resident_id, actor="operator"))
    echo(options, {"alive": str(resident_id)}, f"{resident_id} is as before.")


@resident.command("relative")
@click.argument("resident_id", type=click.UUID)
@click.option("--login", required=True, help="Sign-in name of the relative, who has an account of their own.")
@click.option("--reason", required=True, help="What they need it for, and which papers were seen.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last day; a year from now unless said, which is the longest.")
@click.pass_obj
def resident_relative(options: Options, resident_id: UUID, login: str, reason: str, until: datetime | None) -> None:
    """A near relative of a deceased resident may look, download, and ask for corrections and deletions; not where the resident wanted otherwise."""

    async def work(hub: service.Hub) -> UUID:
        async with hub.database.connection() as connection:
            account = await accounts.by_login(connection, hub.keyring, login)
        return await deaths.relative(hub, resident_id, account.id, reason=reason, last=until.date() if until else None, actor="operator")

    made = run(options, work)
    echo(options, {"representative_id": str(made)}, str(made))


@resident.command("deaths")
@click.pass_obj
def resident_deaths(options: Options) -> None:
    """Deaths with their evidence, who recorded and who confirmed each, and which relatives act for what."""

    async def work(hub: service.Hub) -> list[dict[str, Any]]:
        found = await deaths.listed(hub, actor="operator")
        return [msgspec.to_builtins(one) | {"relatives": await deaths.relatives(hub, one.resident)} for one in found]

    echo(options, run(options, work))


@resident.command("erase")
@click.argument("resident_id", type=click.UUID)
@click.pass_obj
def resident_erase(options: Options, resident_id: UUID) -> None:
    """Destroy a resident's key: nothing of them can be read any more, here or in any copy. Writes a signed certificate; refused while a hold stands."""
    done = run(options, lambda hub: erasure.erase(hub, resident_id, actor="operator"))
    echo(options, done, f"Erased {done['resident_id']} at {done['erased_at']}. Certificate: {done['certificate']}")


@resident.command("hold")
@click.argument("resident_id", type=click.UUID)
@click.option("--reason", required=True, help="What for; an erasure that is refused says it.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last day it stands; until it is released unless said.")
@click.pass_obj
def resident_hold(options: Options, resident_id: UUID, reason: str, until: datetime | None) -> None:
    """A legal hold: the resident is not erased while it stands."""
    made = run(options, lambda hub: erasure.hold(hub, resident_id, reason=reason, until=until.date() if until else None, actor="operator"))
    echo(options, {"hold_id": str(made)}, str(made))


@resident.command("release")
@click.argument("resident_id", type=click.UUID)
@click.argument("hold_id", type=click.UUID)
@click.pass_obj
def resident_release(options: Options, resident_id: UUID, hold_id: UUID) -> None:
    """End a legal hold."""
    run(options, lambda hub: erasure.release(hub, resident_id, hold_id, actor="operator"))
    echo(options, {"released": str(hold_id)}, f"Released {hold_id}.")


@resident.command("holds")
@click.argument("resident_id", type=click.UUID, required=False)
@click.pass_obj
def resident_holds(options: Options, resident_id: UUID | None) -> None:
    """The legal holds of a resident, or of all; `stands` says which still keep from erasing."""
    echo(options, run(options, lambda hub: erasure.holds(hub, resident_id)))


@resident.command("certificate")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--jwks", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A copy of the hub's /oauth/jwks; this hub's own key unless given.")
@click.pass_obj
def resident_certificate(options: Options, file: Path, jwks: Path | None) -> None:
    """Check a certificate of erasure: that the hub signed exactly what it says. With --jwks it needs neither hub nor network."""
    echo(options, erasure.verified(file, erasure.public_key(jwks) if jwks else own_keyring(options).signing_key()))
