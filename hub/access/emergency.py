"""Emergency access (break-glass): one doctor, one resident, a reason, hours. A legal basis beside consent, by itself on record.

The vault judges each request by the row of `emergencies` and the database's clock, so an end counts from the next request on. The resident is shown every
one; another person of the doctor's organization judges it afterwards, and who has one unjudged for three days opens no more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec

from hub.audit.trail import Entry
from hub.store import residents
from hub.store.ids import bucket_of
from hub.store.parties import Party
from hub.store.vault import SystemPermit
from schemas.errors import BadRequest, Conflict, NotFound, Refused
from schemas.resident import ZONE

if TYPE_CHECKING:
    from hub.access.sessions import Person
    from hub.service import Hub

PURPOSE = "BTG"
REASONS: dict[str, tuple[str, str]] = {
    "life": ("有生命危险", "life in danger"),
    "unconscious": ("昏迷，不能说话", "unconscious, cannot speak"),
    "unclear-mind": ("神志不清，不能自己决定", "confused, cannot decide"),
}
HOURS = (4, 1, 12, 24)
"""How long one may last; the first unless chosen."""
SHORTEST, LONGEST = 10, 500
"""Letters of the explanation."""
MOST_A_DAY = 5
UNJUDGED = timedelta(days=3)
OUTCOMES: dict[str, tuple[str, str]] = {"justified": ("合理", "justified"), "unjustified": ("不合理", "not justified"), "unclear": ("说不清", "unclear")}
_SHOW = SystemPermit("show-emergencies")


class Emergency(msgspec.Struct, frozen=True):
    """One emergency access. `reason` and `text` are gone once the resident is erased."""

    id: UUID
    resident: UUID
    account: UUID
    party: int
    opened: datetime
    expires: datetime
    ended: datetime | None
    live: bool
    outcome: str | None
    reason: str = ""
    text: str = ""

    @property
    def until(self) -> datetime:
        return min(self.expires, self.ended) if self.ended else self.expires

    @property
    def due(self) -> date:
        """The third working day after it, Saturdays and Sundays left out: when it is to be judged by."""
        day, left = self.opened.date(), 3
        while left:
            day += timedelta(days=1)
            left -= day.weekday() < 5
        return day


def may_open(party: Party) -> bool:
    return PURPOSE in party.purposes


async def open_(hub: Hub, person: Person, party: Party, resident: UUID, *, reason: str, text: str, hours: int) -> UUID:
    """A new emergency access. Raises BadRequest without a reason, Refused for who may not, Conflict while another one of theirs is open."""
    _check(party, reason, text, hours)
    identity = uuid4()
    async with hub.database.connection() as connection:
        subject = (await hub.vault.subjects(connection, [resident])).get(resident)
    if subject is None:
        raise NotFound("There is no such resident.")
    body = subject.seal("emergencies", msgspec.json.encode({"reason": reason, "text": text.strip()}), identity.bytes)
    opened = _entry(person, "emergency-open", "success", resident, identity)
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        # Two forms sent at once wait for each other here, so that both see what the first one made.
        await connection.fetchrow("SELECT FROM accounts WHERE id = $1 FOR UPDATE", person.account)
        _refuse(await connection.fetchrow(_STANDING, person.account, UNJUDGED))
        await connection.execute(
            "INSERT INTO emergencies (bucket, id, resident, account, party, expires, body) "
            "SELECT bucket, $2, id, $3, $4, clock_timestamp() + $5, $6 FROM residents WHERE bucket = $7 AND id = $1",
            resident, identity, person.account, party.number, timedelta(hours=hours), body, bucket_of(resident),
        )  # fmt: skip
        await hub.trail.append(connection, [opened])
    return identity


async def refuse(hub: Hub, person: Person, party: Party, *, reason: str, text: str, hours: int) -> None:
    """What `open_` would refuse whomever it is about: asked before a number is looked up, so that nobody learns from a refusal whether it is known."""
    _check(party, reason, text, hours)
    async with hub.database.connection() as connection:
        _refuse(await connection.fetchrow(_STANDING, person.account, UNJUDGED))


def _check(party: Party, reason: str, text: str, hours: int) -> None:
    if not may_open(party):
        raise Refused("This organization may not open emergency accesses.", advice="Ask the hub's administrator.")
    if reason not in REASONS:
        raise BadRequest("An emergency access needs its reason.", code="emergency-reason", field="reason")
    if not SHORTEST <= len(text.strip()) <= LONGEST:
        raise BadRequest(f"Say in {SHORTEST} to {LONGEST} letters what happened.", code="emergency-text", field="text")
    if hours not in HOURS:
        raise BadRequest("An emergency access lasts 1, 4, 12 or 24 hours.", field="hours")


_STANDING = """SELECT count(*) FILTER (WHERE reviewed IS NULL AND opened < clock_timestamp() - $2::interval) AS unjudged,
count(*) FILTER (WHERE ended IS NULL AND expires > clock_timestamp()) AS open, count(*) FILTER (WHERE opened > clock_timestamp() - interval '1 day') AS today
FROM emergencies WHERE account = $1"""


def _refuse(standing: Any) -> None:
    if standing["unjudged"]:
        raise Refused("An earlier emergency access of yours is still to be reviewed.", code="emergency-unreviewed", advice="Ask a colleague to review it.")
    if standing["open"]:
        raise Conflict("Another emergency access of yours is open.", code="emergency-open", advice="End it first.")
    if standing["today"] >= MOST_A_DAY:
        raise Refused("These were very many emergency accesses for one day.", code="emergency-often", advice="Ask a colleague.")


async def end(hub: Hub, found: Emergency, actor: str) -> None:
    """End one before it expires; permits made of it hold no longer."""
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        done = await connection.execute(
            "UPDATE emergencies SET ended = clock_timestamp() WHERE bucket = $1 AND id = $2 AND ended IS NULL AND expires > clock_timestamp()",
            bucket_of(found.resident), found.id,
        )  # fmt: skip
        if done == "UPDATE 0":
            return
        await residents.raise_epoch(connection, found.resident)
        entry = Entry(actor=actor, action="emergency-end", outcome="success", resident=found.resident, party=found.party, purpose=PURPOSE, rule=rule(found.id))
        await hub.trail.append(connection, [entry])


async def judge(hub: Hub, person: Person, identity: UUID, outcome: str) -> None:
    """Judge one of a colleague. Raises NotFound for another organization's, Refused for one's own, Conflict when it was judged before."""
    if outcome not in OUTCOMES:
        raise BadRequest("It was justified, unjustified or unclear.", field="outcome")
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        row = await connection.fetchrow("SELECT * FROM emergencies WHERE id = $1 AND party = $2 FOR UPDATE", identity, person.party)
        if row is None:
            raise NotFound("There is no such emergency access.")
        if row["account"] == person.account:
            raise Refused("Nobody reviews their own emergency access.", code="own-review", advice="Ask a colleague.")
        if row["reviewed"] is not None:
            raise Conflict("It was reviewed already.")
        await connection.execute(
            "UPDATE emergencies SET reviewer = $3, reviewed = clock_timestamp(), outcome = $4 WHERE bucket = $1 AND id = $2",
            row["bucket"], identity, person.account, outcome,
        )  # fmt: skip
        await hub.trail.append(connection, [_entry(person, "emergency-review", outcome, row["resident"], identity)])


async def of_account(hub: Hub, account: UUID) -> Emergency | None:
    """The one that a doctor has open now."""
    found = await _found(hub, "account = $1 AND ended IS NULL AND expires > clock_timestamp()", account)
    return found[0] if found else None


async def of_resident(hub: Hub, resident: UUID) -> list[Emergency]:
    """All about one resident, newest first, with their reasons."""
    return await _with_reasons(hub, "bucket = $1 AND resident = $2", bucket_of(resident), resident)


async def to_judge(hub: Hub, party: int, most: int = 50) -> list[Emergency]:
    """What a party's people have not judged yet, oldest first, with the reasons; each opening of a reason is on record."""
    found = (await _with_reasons(hub, "party = $1 AND reviewed IS NULL", party))[::-1][:most]
    for one in found:
        await hub.trail.note(Entry(actor="system", action="policy", outcome="opened", resident=one.resident, party=party, rule=f"system:{_SHOW.job}"))
    return found


async def counts(hub: Hub, months: int = 12, of: Collection[int] | None = None) -> list[tuple[str, str, int]]:
    """How many each organization (of these, or all) opened in each month: month, name, number, newest month first."""
    async with hub.database.connection() as connection:
        rows = await connection.fetch(_COUNTS, months, None if of is None else list(of))
    return [(row["month"], row["name"], row["n"]) for row in rows]


_COUNTS = f"""SELECT to_char(e.opened AT TIME ZONE '{ZONE}', 'YYYY-MM') AS month, p.name, count(*) AS n FROM emergencies e
JOIN parties p ON p.number = e.party WHERE e.opened > clock_timestamp() - make_interval(months => $1)
AND ($2::int[] IS NULL OR e.party = ANY($2)) GROUP BY 1, 2 ORDER BY 1 DESC, 2"""  # noqa: S608
_COLUMNS = "id, resident, account, party, opened, expires, ended, ended IS NULL AND expires > clock_timestamp() AS live, outcome"


async def _found(hub: Hub, where: str, *values: object) -> list[Emergency]:
    async with hub.database.connection() as connection:
        return [Emergency(**dict(row)) for row in await connection.fetch(f"SELECT {_COLUMNS} FROM emergencies WHERE {where}", *values)]  # noqa: S608


async def _with_reasons(hub: Hub, where: str, *values: object) -> list[Emergency]:
    async with hub.database.connection() as connection:
        rows = await connection.fetch(f"SELECT {_COLUMNS}, body FROM emergencies WHERE {where} ORDER BY opened DESC", *values)  # noqa: S608 - constant
        bodies = await hub.vault.open_emergencies(connection, rows, _SHOW)
    return [_told(row, body) for row, body in zip(rows, bodies, strict=True)]


def _told(row: Any, body: bytes | None) -> Emergency:
    told = msgspec.json.decode(body, type=dict[str, str]) if body else {}
    fields = {name: value for name, value in dict(row).items() if name != "body"}
    return Emergency(**fields, reason=told.get("reason", ""), text=told.get("text", ""))


async def note_refusal(hub: Hub, person: Person, resident: UUID | None) -> None:
    """One that was asked for and not opened."""
    await hub.trail.note(_entry(person, "emergency-open", "refused", resident, None))


def _entry(person: Person, action: str, outcome: str, resident: UUID | None, identity: UUID | None) -> Entry:
    return Entry(
        actor=f"Account/{person.account}", action=action, outcome=outcome, resident=resident, party=person.party, purpose=PURPOSE,
        rule=rule(identity) if identity else None,
    )  # fmt: skip


def rule(identity: UUID) -> str:
    """As it stands in the audit beside what was seen by it."""
    return f"emergency/{identity}"


def recent(found: Sequence[Emergency], now: datetime) -> list[Emergency]:
    """What the resident is told of on the first page: those open, and of the last week."""
    return [one for one in found if one.live or one.until > now - timedelta(days=7)]
