"""Impact assessments that the hub's operator made (PIPL 55, 56): documents, kept sealed, each about sensitive records, automated results or one organization.

The program judges none of them. There is no way to remove one: the law wants them for three years, and they say later what was known at the time.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid4

import msgspec

from hub.audit.trail import Entry
from hub.store import parties
from hub.store.database import Connection
from hub.store.parties import Party
from schemas.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from hub.service import Hub

OF_THE_HUB = {"sensitive": "health data and what is more private", "automated": "scores, grades and quality marks"}
"""What every hub does and has to assess, beside whom it gives records to."""
YEARS = 3
"""As long as the law wants one kept; an older one is due again, for nobody need have it any more."""
LARGEST = 2**20


class Kept(msgspec.Struct, frozen=True):
    """What is sealed of an assessment."""

    author: str
    filename: str
    content: bytes


class Due(NamedTuple):
    """What wants an assessment: `sensitive`, `automated`, or an organization by its name; `abroad`: which is in another country."""

    about: str
    why: str
    abroad: bool = False


async def add(hub: Hub, *, about: str, made: date, kept: Kept, actor: str) -> UUID:
    """Record an assessment. `about`: one of `OF_THE_HUB`, or an organization's name, before it is registered or afterwards. Raises BadRequest."""
    if not about.strip() or not kept.author.strip():
        raise BadRequest("An assessment says what it is about and who made it.", field="about")
    if not 0 < len(kept.content) <= LARGEST:
        raise BadRequest("The document is empty, or larger than a mebibyte.", field="file")
    if made > datetime.now(UTC).date():
        raise BadRequest("An assessment is made before it is recorded.", field="on")
    identity, sha256 = uuid4(), hashlib.sha256(kept.content).hexdigest()
    body = hub.keyring.hub_sealer("assessments").seal(msgspec.msgpack.encode(kept), identity.bytes, about.encode(), made.isoformat().encode())
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        await connection.execute("INSERT INTO assessments (id, about, made, body) VALUES ($1, $2, $3, $4)", identity, about, made, body)
        await hub.trail.append(connection, [Entry(actor=actor, action="assessment", outcome="recorded", rule=f"assessment/{identity} sha256:{sha256}")])
    return identity


async def listed(hub: Hub) -> list[dict[str, Any]]:
    """Every assessment without its text, the newest first."""
    async with hub.database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM assessments ORDER BY made DESC, recorded DESC")
    opened = [(row, _opened(hub, row)) for row in rows]
    return [
        {"assessment_id": str(row["id"]), "about": row["about"], "made": row["made"].isoformat(), "recorded": row["recorded"].isoformat(),
         "author": kept.author, "filename": kept.filename, "sha256": hashlib.sha256(kept.content).hexdigest()}
        for row, kept in opened
    ]  # fmt: skip


async def read(hub: Hub, identity: UUID) -> Kept:
    """One assessment with its text. Raises NotFound."""
    async with hub.database.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM assessments WHERE id = $1", identity)
    if row is None:
        raise NotFound("There is no such assessment.")
    return _opened(hub, row)


def _opened(hub: Hub, row: Any) -> Kept:
    opened = hub.keyring.hub_sealer("assessments").open(row["body"], row["id"].bytes, row["about"].encode(), row["made"].isoformat().encode())
    return msgspec.msgpack.decode(opened, type=Kept)


async def due(connection: Connection[Any]) -> list[Due]:
    """What has no assessment of the last three years: what the hub does itself, and each organization that receives."""
    fresh = {row["about"] for row in await connection.fetch("SELECT about FROM assessments WHERE made > current_date - $1 * interval '1 year'", YEARS)}
    wanted = [Due(about, why) for about, why in OF_THE_HUB.items()]
    receiving = [one for one in await parties.everyone(connection) if _gets(one)]
    wanted += [Due(one.name, f"receives in {one.country}" if one.abroad else "receives", one.abroad) for one in receiving]
    return [one for one in wanted if one.about not in fresh]


def _gets(party: Party) -> bool:
    return bool(party.agreed_purposes or party.deliver_to) and (not party.abroad or bool(party.transfer_basis))


async def require(connection: Connection[Any], name: str) -> None:
    """Before records may go to an organization abroad. Raises BadRequest where its assessment is not recorded."""
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM assessments WHERE about = $1 AND made > current_date - $2 * interval '1 year')", name, YEARS
    ):
        raise BadRequest(
            "There is no impact assessment of this organization, which PIPL 55 wants before records go abroad.", code="no-assessment", field="country",
            advice="Record it first: kinehub assessment add FILE --about NAME.",
        )  # fmt: skip
