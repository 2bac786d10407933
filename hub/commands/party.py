"""`kinehub party`: organizations that send or receive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import orjson

from consent.terms import PURPOSES
from hub import service
from hub.access.keys import new_client_key, registrable
from hub.commands.options import Options, check_area, echo, run
from hub.delivery import address
from hub.store import assessments, parties
from schemas.errors import BadRequest
from schemas.resident import ZONE, zone_valid


def _checked_url(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    try:
        return None if url is None else address.checked(url)
    except BadRequest as error:
        raise click.BadParameter(error.message) from None


def _checked_contact(_context: click.Context, _option: click.Parameter, contact: str | None) -> str | None:
    if contact is not None and not (3 <= len(contact.strip()) <= 120 and contact.isprintable()):
        raise click.BadParameter("a contact is a telephone number, an e-mail or an address of 3 to 120 characters.")
    return contact and contact.strip()


@click.group()
def party() -> None:
    """Organizations that send or receive."""


@party.command("add")
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(parties.KINDS))
@click.option("--area", help="Division code of 4, 6, 9 or 12 digits.")
@click.option("--zone")
@click.option("--may-register", is_flag=True)
@click.option("--purpose", default="", help="Purposes of use it is registered for, comma-separated.")
@click.option("--deliver-to", callback=_checked_url, help="FHIR base URL that receives what it is owed: https, or http on this machine.")
@click.option("--token-url", callback=_checked_url, help="Its token endpoint, where that is not at the origin of --deliver-to; nothing is discovered then.")
@click.option("--notify-to", callback=_checked_url, help="URL that is told, signed, when a consent that names the party changes.")
@click.option("--contact", callback=_checked_contact, help="Telephone, e-mail or address where residents reach it; they read it before they agree.")
@click.option("--country", help="Where it handles what it receives: ISO 3166-1 alpha-2, such as CN.")
@click.option("--transfer-basis", help="Of a party abroad: the security assessment, standard contract or certification that lets records go there.")
@click.option("--jwks", type=click.Path(exists=True, path_type=Path), help="Its public keys; without it a pair is made.")
@click.option("--key-out", type=click.Path(path_type=Path), help="Where the private key made for it is written (0600).")
@click.pass_obj
def party_add(
    options: Options,
    name: str,
    kind: str,
    area: str | None,
    zone: str | None,
    may_register: bool,
    purpose: str,
    deliver_to: str | None,
    token_url: str | None,
    notify_to: str | None,
    contact: str | None,
    country: str | None,
    transfer_basis: str | None,
    jwks: Path | None,
    key_out: Path | None,
) -> None:
    """Register a party."""
    if jwks is None and key_out is None:
        raise click.UsageError("Name --jwks with its public keys, or --key-out for the private key to be made.")
    if token_url and not deliver_to:
        raise click.UsageError("--token-url is of use with --deliver-to only.")
    if zone and not zone_valid(zone):
        raise click.UsageError(f"--zone must be an IANA time zone such as {ZONE}, not {zone!r}.")
    if area:
        check_area(area)
    purposes = tuple(filter(None, purpose.split(",")))
    if not PURPOSES.issuperset(purposes):
        raise click.BadParameter("no v3 PurposeOfUse code; for example TREAT, PUBHLTH, HPAYMT, HRESCH.", param_hint="--purpose")

    async def work(hub: service.Hub, public: dict[str, Any]) -> parties.Party:
        async with hub.database.connection() as connection:
            if country not in (None, parties.HOME) and transfer_basis:
                await assessments.require(connection, name)
            return await parties.add(
                connection, name=name, kind=kind, jwks=public, area=area, zone=zone, purposes=purposes,
                may_register=may_register, deliver_to=deliver_to, token_url=token_url, notify_to=notify_to,
                contact=contact, country=country, transfer_basis=transfer_basis,
            )  # fmt: skip

    with _keys(jwks, key_out) as public:
        made = run(options, lambda hub: work(hub, public))
    echo(
        options,
        {"party_id": str(made.id), "client_id": made.client_id, "organization": made.reference},
        f"{made.name}: client {made.client_id}, party {made.id}" + _abroad(made),
    )


def _abroad(made: parties.Party) -> str:
    if not made.abroad:
        return ""
    return f"; in {made.country}, " + (f"receives on {made.transfer_basis}" if made.transfer_basis else "sends only")


def _keys_of(file: Path) -> Any:
    try:
        return orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError:
        raise click.UsageError("--jwks must hold a JWK set as JSON.") from None


@contextmanager
def _keys(jwks: Path | None, key_out: Path | None) -> Iterator[dict[str, Any]]:
    """A party's public keys; the private one made for it is kept when the party was registered."""
    if jwks is not None:
        yield registrable(_keys_of(jwks))
        return
    assert key_out is not None
    private, public = new_client_key()
    _write_secret(key_out, orjson.dumps(private))
    try:
        yield public
    except BaseException:
        key_out.unlink()
        raise


def _write_secret(path: Path, content: bytes) -> None:
    """Into a file of its own: what is there may be another party's only key. Raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


@party.command("contact")
@click.argument("party_id", type=click.UUID)
@click.argument("contact", callback=_checked_contact)
@click.pass_obj
def party_contact(options: Options, party_id: UUID, contact: str) -> None:
    """Where residents reach a party: a telephone number, an e-mail or an address."""

    async def work(hub: service.Hub) -> parties.Party:
        async with hub.database.connection() as connection:
            return await parties.reach(connection, party_id, contact)

    made = run(options, work)
    echo(options, {"party_id": str(made.id), "contact": made.contact}, f"{made.name}: {made.contact}")


@party.command("list")
@click.pass_obj
def party_list(options: Options) -> None:
    """Every party."""

    async def work(hub: service.Hub) -> list[dict[str, Any]]:
        async with hub.database.connection() as connection:
            found = await parties.everyone(connection)
        return [
            {
                "party_id": str(p.id), "name": p.name, "kind": p.kind, "client_id": p.client_id, "purposes": p.purposes,
                "deliver_to": p.deliver_to, "token_url": p.token_url, "contact": p.contact, "country": p.country, "transfer_basis": p.transfer_basis,
            }
            for p in found
        ]

    echo(options, run(options, work))
