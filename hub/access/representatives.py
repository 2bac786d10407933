"""Who acts for a resident: parents and guardians of a child, family who help an elder. Judged on each request, by the database's clock.

A parent or guardian, registered by staff who saw the papers, has every right until the child turns 14, what the young person agreed to until 18, and none
afterwards; each begins at 00:00 where the child lives. Family is invited by the resident with a code, with chosen rights and a last day.
A relative acts for a resident who is deceased, and for nobody else; all others act for the living (`hub/access/deaths.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from hub.access import accounts
from hub.audit.trail import Entry
from hub.store import residents, visit_codes
from hub.store.database import Connection
from hub.store.ids import bucket_of, new_record_id
from hub.store.visit_codes import Agreeing
from schemas.errors import BadRequest, Conflict, NotFound
from schemas.labels import MINOR

if TYPE_CHECKING:
    from hub.access.sessions import Person
    from hub.service import Hub

RIGHTS: dict[str, tuple[str, str]] = {
    "look": ("看记录", "look at the records"),
    "grant": ("让别人看", "let others see"),
    "stop": ("停止给别人看", "stop others from seeing"),
    "visit": ("看病时出号码", "make a code for a visit"),
    "ask": ("请人更正、删除", "ask for corrections and deletions"),
    "download": ("下载、打印", "download and print"),
}
RELATIONS: dict[str, tuple[str, str]] = {
    "parent": ("父母", "parent"), "guardian": ("监护人", "guardian"), "family": ("家人", "family"), "relative": ("近亲属", "near relative"),
}  # fmt: skip
OF_A_CHILD = ("parent", "guardian")
CODE_LASTS = timedelta(days=1)
LONGEST = timedelta(days=366)
MOST = 6
PURPOSE = "FAMRQT"


class Representative(msgspec.Struct, frozen=True):
    """Somebody who acts for a resident. `rights` are those they have now."""

    id: UUID
    resident: UUID
    account: UUID | None
    relation: str
    agreed: frozenset[str]
    rights: frozenset[str]
    ends: datetime | None
    begun: datetime
    young: bool
    """The resident is 14 to 17: they say themselves what a parent may."""

    @property
    def rule(self) -> str:
        """As it stands in the audit."""
        return f"representative/{self.id}"

    @property
    def reference(self) -> str:
        """As Consents and the audit over FHIR name them."""
        return f"RelatedPerson/{self.id}"

    @property
    def of_a_child(self) -> bool:
        """A parent or guardian of somebody below 14, in whose place they agree."""
        return self.relation in OF_A_CHILD and bool(self.rights) and not self.young


async def invite(hub: Hub, resident: UUID, rights: Iterable[str], last: date) -> str:
    """A code by which somebody of the family becomes a representative, shown this once. Raises BadRequest, or Conflict where there are many."""
    chosen = frozenset(rights)
    zone, today = await _today(hub, resident)
    if not chosen or not chosen <= RIGHTS.keys():
        raise BadRequest("Say what they may do.", field="rights")
    if not today <= last <= today + LONGEST:
        raise BadRequest("It lasts a year at most.", field="until")
    code = visit_codes.drawn()
    ends = datetime.combine(last + timedelta(days=1), time(), tzinfo=zone)
    await add(hub, resident, None, "family", chosen, ends, f"Patient/{resident}", hub.keyring.token("representative", code))
    return code


async def register(hub: Hub, resident: UUID, account: UUID, relation: str, *, actor: str) -> UUID:
    """A parent or guardian whose papers were seen. Raises BadRequest unless the resident is known to be under 18."""
    if relation not in OF_A_CHILD:
        raise BadRequest("Staff register a parent or a guardian.", field="relation")
    fourteen = await _fourteen(hub, resident)
    if fourteen is None or _eighteen(fourteen) <= datetime.now(UTC):
        raise BadRequest("The resident is not known to be under 18.", field="relation", advice="An adult invites family on their own page.")
    return await add(hub, resident, account, relation, frozenset(), None, actor, None)


async def agreeing(hub: Hub, resident: UUID, identity: UUID | None) -> Agreeing | None:
    """Who agrees when a code for a visit is used: the resident, or the representative who made it, if they still may."""
    if identity is None:
        return Agreeing(f"Patient/{resident}")
    one = await standing(hub, identity)
    if one is None or "visit" not in one.rights:
        return None
    return Agreeing(f"Account/{one.account}", one.reference, (MINOR,) if one.of_a_child else ())


async def add(
    hub: Hub, resident: UUID, account: UUID | None, relation: str, rights: frozenset[str], ends: datetime | None, actor: str, code: bytes | None,
    reason: str = "",
) -> UUID:  # fmt: skip
    """A new representative, whoever may be one; that is the caller's to know. Raises Conflict where there are many."""
    identity = new_record_id(bucket_of(resident))  # like every id of the resident's, so that it tells its bucket
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        await connection.fetchrow("SELECT FROM residents WHERE bucket = $1 AND id = $2 FOR UPDATE", bucket_of(resident), resident)
        await connection.execute("DELETE FROM representatives WHERE resident = $1 AND account IS NULL AND code_expires < clock_timestamp()", resident)
        if await connection.fetchval(f"SELECT count(*) FROM representatives WHERE bucket = $1 AND resident = $2 AND {_STANDS}", bucket_of(resident), resident) >= MOST:  # noqa: S608, E501 - constant
            raise Conflict("There are many representatives already.", code="many-representatives", advice="End one first.")
        subject = (await hub.vault.subjects(connection, [resident]))[resident] if reason else None
        await connection.execute(
            "INSERT INTO representatives (bucket, id, resident, account, relation, rights, ends, code, code_expires, reason) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + $9::interval, $10)",
            bucket_of(resident), identity, resident, account, relation, sorted(rights), ends, code, CODE_LASTS,
            subject.seal("representatives", reason.encode(), identity.bytes) if subject else None,
        )  # fmt: skip
        await hub.trail.append(connection, [_entry(actor, "represent-add", resident, identity)])
    return identity


async def accept(hub: Hub, person: Person, typed: str) -> None:
    """Take up an invitation. Raises NotFound for a code that is wrong, used or too old, Refused after too many of those."""
    async with hub.database.connection() as connection:
        await visit_codes.count_guess(connection, person.account, person.party or 0)
        token = hub.keyring.token("representative", visit_codes.plain(typed))
        async with hub.trail.held(), connection.transaction():
            row = await connection.fetchrow(
                "UPDATE representatives SET account = $2, code = NULL WHERE code = $1 AND account IS NULL AND ended IS NULL "
                "AND code_expires > clock_timestamp() AND resident IS DISTINCT FROM $3 RETURNING id, resident",
                token, person.account, person.resident,
            )  # fmt: skip
            if row is None:
                raise NotFound("This code is not right, or was used, or is too old.", code="no-such-code", advice="Ask for a new one.")
            await hub.trail.append(connection, [_entry(f"Account/{person.account}", "represent-accept", row["resident"], row["id"])])
        await visit_codes.forgive_guess(connection, person.account)


async def of_resident(hub: Hub, resident: UUID) -> list[Representative]:
    """Everybody who acts for a resident, or is invited to."""
    return await _found(hub, f"bucket = $1 AND resident = $2 AND {_STANDS}", bucket_of(resident), resident)


async def name_of(hub: Hub, resident: UUID, reference: str) -> str:
    """The name of who acted as this `RelatedPerson/ID`, also when they do not any more; empty where their account is gone."""
    async with hub.database.connection() as connection:
        account = await connection.fetchval(
            "SELECT account FROM representatives WHERE bucket = $1 AND resident = $2 AND 'RelatedPerson/' || id = $3", bucket_of(resident), resident, reference
        )
        known = await accounts.several(connection, hub.keyring, [account] if account else [])
    return known[account].name if account in known else ""


async def of_account(hub: Hub, account: UUID) -> list[Representative]:
    """For whom somebody may act now."""
    return [one for one in await _found(hub, f"account = $1 AND {_STANDS}", account) if one.rights]


async def standing(hub: Hub, identity: UUID, account: UUID | None = None) -> Representative | None:
    """As what this account acts now (whichever has it, where none is named), when it still may do anything."""
    found = await _found(hub, f"id = $1 AND ($2::uuid IS NULL OR account = $2) AND {_STANDS}", identity, account)
    return found[0] if found and found[0].rights else None


async def once_for(hub: Hub, identity: UUID, account: UUID) -> UUID | None:
    """For whom this account acted so once, whatever became of it; None where it never did, or nothing of it is left."""
    async with hub.database.connection() as connection:
        found = await connection.fetchval("SELECT resident FROM representatives WHERE id = $1 AND account = $2", identity, account)
    return UUID(str(found)) if found else None


_STANDS = (
    "ended IS NULL AND (ends IS NULL OR ends > clock_timestamp()) AND (account IS NOT NULL OR code_expires > clock_timestamp()) AND (relation = 'relative') = "
    "(SELECT r.deceased FROM residents r WHERE r.bucket = representatives.bucket AND r.id = representatives.resident)"
)


async def acting_for(hub: Hub, connection: Connection[Any], resident: UUID) -> list[Representative]:
    """Everybody who may do anything for a resident now."""
    return [one for one in await _read(hub, connection, f"bucket = $1 AND resident = $2 AND {_STANDS}", bucket_of(resident), resident) if one.rights]


async def _found(hub: Hub, where: str, *values: object) -> list[Representative]:
    async with hub.database.connection() as connection:
        return await _read(hub, connection, where, *values)


async def _read(hub: Hub, connection: Connection[Any], where: str, *values: object) -> list[Representative]:
    rows = await connection.fetch(f"SELECT *, clock_timestamp() AS now FROM representatives WHERE {where} ORDER BY begun, id", *values)  # noqa: S608
    people = await hub.vault.subjects(connection, list({row["resident"] for row in rows}))
    return [_one(row, people[row["resident"]].adult_at) for row in rows if row["resident"] in people]


def _one(row: Any, fourteen: datetime | None) -> Representative:
    agreed, ends, young = frozenset(row["rights"]), row["ends"], False
    rights = agreed
    if row["relation"] in OF_A_CHILD:
        # Whose age is not known any more is nobody's child: the right ends rather than stays.
        age_14, age_18 = (fourteen, _eighteen(fourteen)) if fourteen else (row["now"], row["now"])
        young = age_14 <= row["now"] < age_18
        rights = frozenset(RIGHTS) if row["now"] < age_14 else agreed if young else frozenset()
        ends = age_14 if row["now"] < age_14 else age_18
    rights = rights if row["account"] else frozenset()
    return Representative(row["id"], row["resident"], row["account"], row["relation"], agreed, rights, ends, row["begun"], young)


def _eighteen(fourteen: datetime) -> datetime:
    """Who is born on a 29 February turns 14 and 18 in years without one: both on 1 March."""
    return fourteen.replace(year=fourteen.year + 4)


async def _fourteen(hub: Hub, resident: UUID) -> datetime | None:
    async with hub.database.connection() as connection:
        found = (await hub.vault.subjects(connection, [resident])).get(resident)
    return found.adult_at if found else None


async def _today(hub: Hub, resident: UUID) -> tuple[ZoneInfo, date]:
    async with hub.database.connection() as connection:
        zone = await residents.zone_of(connection, resident)
    return zone, datetime.now(zone).date()


async def agree(hub: Hub, resident: UUID, identity: UUID, rights: Iterable[str]) -> None:
    """Somebody of 14 to 17 says what a parent or guardian may. Raises NotFound for anybody else's, and for who is younger or older."""
    chosen = frozenset(rights) & RIGHTS.keys()
    if not any(one.id == identity and one.young for one in await of_resident(hub, resident)):
        raise NotFound("There is no such representative.")
    await _change(hub, resident, identity, "rights = $3", sorted(chosen), "represent-agree", f"Patient/{resident}")


async def end(hub: Hub, resident: UUID, identity: UUID, actor: str) -> None:
    """From the next request on, on live sessions too. Raises NotFound."""
    await _change(hub, resident, identity, "ended = $3, code = NULL", datetime.now(UTC), "represent-end", actor)


async def _change(hub: Hub, resident: UUID, identity: UUID, change: str, value: object, action: str, actor: str) -> None:
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        done = await connection.execute(
            f"UPDATE representatives SET {change} WHERE bucket = $1 AND id = $2 AND resident = $4 AND ended IS NULL",  # noqa: S608 - constants
            bucket_of(resident), identity, value, resident,
        )  # fmt: skip
        if done == "UPDATE 0":
            raise NotFound("There is no such representative.")
        await residents.raise_epoch(connection, resident)
        await hub.trail.append(connection, [_entry(actor, action, resident, identity)])


async def act(hub: Hub, person: Person, identity: UUID | None) -> None:
    """Have the session act as this representative from now on; None: for oneself. Raises NotFound."""
    if identity is not None and await standing(hub, identity, person.account) is None:
        raise NotFound("You do not act for this person, or not any more.")
    async with hub.database.connection() as connection:
        await connection.execute("UPDATE sessions SET acting = $2 WHERE token = $1", person.session, identity)


def _entry(actor: str, action: str, resident: UUID, identity: UUID) -> Entry:
    return Entry(actor=actor, action=action, outcome="success", resident=resident, rule=f"representative/{identity}")
