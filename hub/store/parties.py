"""Parties: organizations that send or receive. Each is an OAuth client and an Organization in the directory."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID, uuid4

import msgspec
from asyncpg import Record as Row

from hub.store import directory
from hub.store.database import Connection
from mappings.resident import organization
from schemas.codes import LISTS
from schemas.errors import BadRequest, NotFound

KINDS = tuple(LISTS["party-kind"])

DEFAULT_PURPOSES = {
    "hospital": ("TREAT",),
    "community-clinic": ("TREAT",),
    "city-cloud": ("PUBHLTH",),
    "insurer": ("HPAYMT",),
    "research": ("HRESCH",),
}
"""Purposes of use (v3 PurposeOfUse) a party is registered for unless said otherwise; other kinds only send."""

HOME = "CN"
"""The country whose law this hub is built for; a party in another one is abroad (PIPL, articles 38 to 40)."""


class Party(msgspec.Struct, frozen=True):
    """A registered party. `number` is what rows carry; `reference` is its FHIR Organization."""

    number: int
    id: UUID
    name: str
    kind: str
    area: str | None
    zone: str | None
    client_id: str
    jwks: dict[str, Any]
    purposes: tuple[str, ...]
    may_register: bool
    deliver_to: str | None
    token_url: str | None
    notify_to: str | None
    contact: str | None
    country: str | None
    transfer_basis: str | None

    @property
    def abroad(self) -> bool:
        return self.country not in (None, HOME)

    @property
    def reference(self) -> str:
        return f"Organization/{self.id}"

    @property
    def agreed_purposes(self) -> tuple[str, ...]:
        """What residents may agree to and clients ask for: BTG is neither, a doctor opens each emergency by hand."""
        return tuple(purpose for purpose in self.purposes if purpose != "BTG")


_COLUMNS = "number, id, name, kind, area, zone, client_id, jwks, purposes, may_register, deliver_to, token_url, notify_to, contact, country, transfer_basis"


def _party(row: Row) -> Party:
    fields = dict(row)
    return Party(**fields | {"purposes": tuple(fields["purposes"])})


async def add(
    connection: Connection[Any],
    *,
    name: str,
    kind: str,
    jwks: dict[str, Any],
    area: str | None = None,
    zone: str | None = None,
    purposes: tuple[str, ...] = (),
    may_register: bool = False,
    deliver_to: str | None = None,
    token_url: str | None = None,
    notify_to: str | None = None,
    contact: str | None = None,
    country: str | None = None,
    transfer_basis: str | None = None,
) -> Party:
    """Register a party. Raises BadRequest for an unknown kind or country, and for one abroad that is to receive without what lets records go there."""
    if kind not in KINDS:
        raise BadRequest(f"Unknown kind of party {kind!r}; known: {', '.join(KINDS)}.", field="kind")
    purposes = purposes or DEFAULT_PURPOSES.get(kind, ())
    _check_country(country, transfer_basis, bool(purposes or deliver_to))
    identity = uuid4()
    async with connection.transaction():
        row = await connection.fetchrow(
            f"INSERT INTO parties (id, name, kind, area, zone, client_id, jwks, purposes, may_register, deliver_to, token_url, notify_to, "  # noqa: S608 - constant columns
            f"contact, country, transfer_basis) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING {_COLUMNS}",
            identity, name, kind, area, zone, f"{kind}-{secrets.token_hex(6)}", msgspec.json.encode(jwks).decode(),
            list(purposes), may_register, deliver_to, token_url, notify_to, contact, country, transfer_basis,
        )  # fmt: skip
        assert row is not None
        made = _party(row)
        await directory.put_organization(connection, made.number, str(made.id), organization(made))
    return made


async def reach(connection: Connection[Any], party_id: UUID, contact: str) -> Party:
    """Change where residents reach a party. Raises NotFound."""
    async with connection.transaction():
        row = await connection.fetchrow(f"UPDATE parties SET contact = $2 WHERE id = $1 RETURNING {_COLUMNS}", party_id, contact)  # noqa: S608 - constant columns
        if row is None:
            raise NotFound("There is no such party.")
        made = _party(row)
        await directory.put_organization(connection, made.number, str(made.id), organization(made))
    return made


def _check_country(country: str | None, transfer_basis: str | None, receives: bool) -> None:
    if country is not None and not (len(country) == 2 and country.isascii() and country.isupper()):
        raise BadRequest("A country is two capital letters (ISO 3166-1 alpha-2), such as CN.", field="country")
    if country in (None, HOME):
        if transfer_basis:
            raise BadRequest("A transfer basis is for a party in another country.", field="transfer_basis", advice="Name its country.")
    elif receives and not transfer_basis:
        raise BadRequest(
            f"A party in {country} receives nothing without what lets records leave the country.", field="transfer_basis",
            advice="Name the security assessment, standard contract or certification (PIPL, article 38), or register it to send only.",
        )  # fmt: skip


async def _one(connection: Connection[Any], where: str, value: object) -> Party:
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM parties WHERE {where}", value)  # noqa: S608 - constant columns
    if row is None:
        raise NotFound("There is no such party.")
    return _party(row)


async def by_id(connection: Connection[Any], party_id: UUID) -> Party:
    return await _one(connection, "id = $1", party_id)


async def by_number(connection: Connection[Any], number: int) -> Party:
    return await _one(connection, "number = $1", number)


async def by_client(connection: Connection[Any], client_id: str) -> Party:
    return await _one(connection, "client_id = $1", client_id)


async def everyone(connection: Connection[Any]) -> list[Party]:
    """Every party, oldest first."""
    return [_party(row) for row in await connection.fetch(f"SELECT {_COLUMNS} FROM parties ORDER BY number")]  # noqa: S608 - constant columns
