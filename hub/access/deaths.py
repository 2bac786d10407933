"""After a resident's death (PIPL 49): what they wanted, the death recorded by two persons, and the near relatives who may act then.

From the confirmation on nothing rests on a consent any more, nor on being the resident; the vault sees to it. What relatives reach is what a
representative reaches, by the resident's own wish: any near relative with a reason (where nothing was said), one person, or nobody. See docs/decisions/0028.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import msgspec

from hub.access import accounts, representatives
from hub.audit.trail import Entry
from hub.store import residents
from hub.store.database import Connection
from hub.store.ids import bucket_of
from hub.store.vault import Said, SystemPermit
from schemas.errors import BadRequest, Conflict, NotFound, Refused

if TYPE_CHECKING:
    from hub.service import Hub

Choice = Literal["relatives", "person", "close"]
CHOICES: tuple[Choice, ...] = ("relatives", "person", "close")
RIGHTS = frozenset({"records", "ask", "download"})
"""What the law names: consult, copy, correct, delete. Not who looked, not what was agreed to, and nothing that shows others more."""
SHORTEST, LONGEST = 10, 500
PERMIT = SystemPermit("deaths")


class Wish(msgspec.Struct, frozen=True):
    """What a resident wants after their death. `name` and `phone`: the one person who may act then, as their own entry here says."""

    choice: Choice = "relatives"
    name: str = ""
    phone: str = ""


class Evidence(msgspec.Struct, frozen=True):
    """The day of a death, and how it is known: which certificate, by whom, seen by whom."""

    on: date
    text: str


class Death(msgspec.Struct, frozen=True):
    """A death that was recorded; in force once it is `confirmed`."""

    resident: UUID
    recorder: str
    recorded: datetime
    confirmer: str | None
    confirmed: datetime | None
    evidence: Evidence


# the resident's wish


async def wish_of(hub: Hub, resident: UUID) -> Wish:
    """What a resident said; the law's default where they said nothing."""
    async with hub.database.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM wishes WHERE bucket = $1 AND resident = $2", bucket_of(resident), resident)
        return msgspec.json.decode(await hub.vault.arranged(connection, row, "wishes", PERMIT), type=Wish) if row else Wish()


async def arrange(hub: Hub, resident: UUID, wish: Wish) -> None:
    """Say what happens with one's records after one's death; until then it can be said anew.

    Raises BadRequest for a person without name or phone, Refused below the age of 14, when parents decide.
    """
    if wish.choice not in CHOICES or (wish.choice == "person" and not (0 < len(wish.name.strip()) <= 40 and 0 < len(wish.phone.strip()) <= 30)):
        raise BadRequest("Say who it is: name and telephone.", code="wish-person", field="name")
    kept = wish if wish.choice == "person" else Wish(wish.choice)
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        subject = (await hub.vault.subjects(connection, [resident]))[resident]
        if subject.adult_at is not None and subject.adult_at > datetime.now(UTC):
            raise Refused("Parents or a guardian decide below the age of 14.", code="too-young")
        await connection.execute(
            "INSERT INTO wishes (bucket, resident, body) VALUES ($1, $2, $3) "
            "ON CONFLICT (bucket, resident) DO UPDATE SET body = excluded.body, changed = clock_timestamp()",
            bucket_of(resident), resident, subject.seal("wishes", msgspec.json.encode(kept)),
        )  # fmt: skip
        await hub.trail.append(connection, [Entry(actor=f"Patient/{resident}", action="wish", outcome="success", resident=resident)])


# the death


async def record(hub: Hub, resident: UUID, evidence: Evidence, *, actor: str) -> None:
    """A first person records a death; nothing changes yet. Raises BadRequest, NotFound, Conflict where one is recorded already."""
    if not SHORTEST <= len(evidence.text.strip()) <= LONGEST:
        raise BadRequest(f"Say in {SHORTEST} to {LONGEST} letters which certificate was seen.", code="death-evidence", field="evidence")
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        subject = (await hub.vault.subjects(connection, [resident])).get(resident)
        zone = await residents.zone_of(connection, resident)
        if subject is None:
            raise NotFound("There is no such resident.", code="no-such-person")
        if evidence.on > datetime.now(zone).date():
            raise BadRequest("The day of the death has not come yet.", code="death-day", field="on")
        done = await connection.execute(
            "INSERT INTO deaths (bucket, resident, recorder, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            bucket_of(resident), resident, actor, subject.seal("deaths", msgspec.json.encode(evidence)),
        )  # fmt: skip
        if done == "INSERT 0 0":
            raise Conflict("This death is recorded already.", code="death-recorded")
        await hub.trail.append(connection, [_entry(actor, "death-record", resident)])


async def confirm(hub: Hub, resident: UUID, *, actor: str) -> None:
    """A second person confirms it: from the next request on the account is closed, and nobody sees anything but who acts after a death.

    Raises NotFound, Refused for who recorded it, Conflict where it is in force already.
    """
    wish = await wish_of(hub, resident)
    async with hub.database.connection() as connection:
        helpers = await representatives.acting_for(hub, connection, resident)
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        row = await connection.fetchrow("SELECT * FROM deaths WHERE bucket = $1 AND resident = $2 FOR UPDATE", bucket_of(resident), resident)
        _refuse_confirmation(row, actor)
        await connection.execute(
            "UPDATE deaths SET confirmer = $3, confirmed = clock_timestamp() WHERE bucket = $1 AND resident = $2", bucket_of(resident), resident, actor
        )
        await _close(connection, resident)
        await hub.trail.append(connection, [_entry(actor, "death-confirm", resident)])
    hub.vault.forget(resident)
    await _go_on(hub, resident, wish, [one.account for one in helpers if one.account], actor)


def _refuse_confirmation(row: Any, actor: str) -> None:
    if row is None:
        raise NotFound("No death of this resident is recorded.")
    if row["confirmed"]:
        raise Conflict("This death is recorded already.", code="death-recorded")
    if row["recorder"] == actor:
        raise Refused("A second person confirms a death.", code="own-death-record", advice="Ask another administrator.")


async def _close(connection: Connection[Any], resident: UUID) -> None:
    """The resident's own ways in, and the codes they gave; the epoch ends every permit."""
    await connection.execute("UPDATE residents SET deceased = true, epoch = epoch + 1 WHERE bucket = $1 AND id = $2", bucket_of(resident), resident)
    await connection.execute("DELETE FROM sessions WHERE account IN (SELECT id FROM accounts WHERE resident = $1)", resident)
    await connection.execute("UPDATE accounts SET ended = clock_timestamp() WHERE resident = $1 AND ended IS NULL", resident)
    await connection.execute("DELETE FROM visit_codes WHERE resident = $1", resident)


async def _go_on(hub: Hub, resident: UUID, wish: Wish, helpers: Sequence[UUID], actor: str) -> None:
    """Of those who helped, the person whom the resident named goes on, with a relative's rights; the others' rights have ended with the resident."""
    for account in helpers:
        if wish.choice == "person" and await _is_named(hub, account, wish):
            await representatives.add(hub, resident, account, "relative", RIGHTS, await _end_of(hub, resident, None), actor, None, "named by the resident")


async def _is_named(hub: Hub, account: UUID, wish: Wish) -> bool:
    """Whether the account is of a grown-up whose own entry says what the resident wrote of whom they named."""
    async with hub.database.connection() as connection:
        theirs = (await accounts.account(connection, hub.keyring, account)).resident
        return theirs is not None and await hub.vault.confirmed(connection, theirs, Said(wish.name, wish.phone), PERMIT)


async def withdraw(hub: Hub, resident: UUID, *, actor: str) -> None:
    """Take back what was recorded and is not confirmed yet. Raises NotFound."""
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        done = await connection.execute("DELETE FROM deaths WHERE bucket = $1 AND resident = $2 AND confirmed IS NULL", bucket_of(resident), resident)
        if done == "DELETE 0":
            raise NotFound("No death of this resident waits to be confirmed.")
        await hub.trail.append(connection, [_entry(actor, "death-withdraw", resident)])


async def undo(hub: Hub, resident: UUID, *, actor: str) -> None:
    """The resident lives: what was recorded was about somebody else. All is as before, but they sign in anew. Raises NotFound.

    An account that was ended before the death stays so.
    """
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        row = await connection.fetchrow("DELETE FROM deaths WHERE bucket = $1 AND resident = $2 RETURNING confirmed", bucket_of(resident), resident)
        if row is None:
            raise NotFound("No death of this resident is recorded.")
        await connection.execute("UPDATE residents SET deceased = false, epoch = epoch + 1 WHERE bucket = $1 AND id = $2", bucket_of(resident), resident)
        await connection.execute("UPDATE accounts SET ended = NULL WHERE resident = $1 AND ended >= $2", resident, row["confirmed"])
        await connection.execute(
            "UPDATE representatives SET ended = clock_timestamp() WHERE bucket = $1 AND resident = $2 AND relation = 'relative' AND ended IS NULL",
            bucket_of(resident), resident,
        )  # fmt: skip
        await hub.trail.append(connection, [_entry(actor, "death-undo", resident)])
    hub.vault.forget(resident)


async def listed(hub: Hub, *, actor: str, waiting: bool = False) -> list[Death]:
    """Deaths with their evidence, the newest first; `waiting`: those still to be confirmed. Each that is opened is in the audit."""
    async with hub.database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM deaths WHERE NOT $1 OR confirmed IS NULL ORDER BY recorded DESC LIMIT 200", waiting)
        found = [_death(row, await hub.vault.arranged(connection, row, "deaths", PERMIT)) for row in rows]
    for one in found:
        await hub.trail.note(_entry(actor, "death-read", one.resident))
    return found


def _death(row: Any, opened: bytes) -> Death:
    fields = {name: row[name] for name in ("resident", "recorder", "recorded", "confirmer", "confirmed")}
    return Death(**fields, evidence=msgspec.json.decode(opened, type=Evidence))


# relatives


async def relative(hub: Hub, resident: UUID, account: UUID, *, reason: str, last: date | None, actor: str) -> UUID:
    """A near relative, whose papers were seen, or the named person acts for a deceased resident until the end of a day, a year at most.

    Raises BadRequest without a reason of their own, Conflict while no death is in force, Refused where the resident wanted otherwise.
    """
    if not SHORTEST <= len(reason.strip()) <= LONGEST:
        raise BadRequest(f"Say in {SHORTEST} to {LONGEST} letters what they need it for.", field="reason")
    async with hub.database.connection() as connection:
        if not await connection.fetchval("SELECT deceased FROM residents WHERE bucket = $1 AND id = $2", bucket_of(resident), resident):
            raise Conflict("No death of this resident is recorded and confirmed.", code="no-death")
    wish = await wish_of(hub, resident)
    if wish.choice == "close" or (wish.choice == "person" and not await _is_named(hub, account, wish)):
        await hub.trail.note(_entry(actor, "relative-refused", resident, "refused"))
        raise Refused("The resident wanted otherwise.", code="against-the-wish", advice="What they wanted counts before what relatives ask for (PIPL 49).")
    return await representatives.add(hub, resident, account, "relative", RIGHTS, await _end_of(hub, resident, last), actor, None, reason.strip())


async def _end_of(hub: Hub, resident: UUID, last: date | None) -> datetime:
    async with hub.database.connection() as connection:
        zone = await residents.zone_of(connection, resident)
    today = datetime.now(zone).date()
    end = last or today + representatives.LONGEST
    if not today <= end <= today + representatives.LONGEST:
        raise BadRequest("It lasts a year at most.", field="until")
    return datetime.combine(end + timedelta(days=1), time(), tzinfo=zone).astimezone(UTC)


async def relatives(hub: Hub, resident: UUID) -> list[dict[str, Any]]:
    """Who acts or acted for a deceased resident, for what and until when."""
    async with hub.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT * FROM representatives WHERE bucket = $1 AND resident = $2 AND relation = 'relative' ORDER BY begun", bucket_of(resident), resident
        )
        reasons = await hub.vault.open_reasons(connection, rows, PERMIT)
    return [
        {"representative_id": str(row["id"]), "account": str(row["account"]), "reason": reason, "begun": row["begun"].isoformat(),
         "until": row["ends"].isoformat(), "ended": row["ended"].isoformat() if row["ended"] else None}
        for row, reason in zip(rows, reasons, strict=True)
    ]  # fmt: skip


def _entry(actor: str, action: str, resident: UUID, outcome: str = "success") -> Entry:
    return Entry(actor=actor, action=action, outcome=outcome, resident=resident)
