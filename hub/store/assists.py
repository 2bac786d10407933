"""Decisions that staff record for a resident at a desk or by phone: how they knew who it was, who witnessed it, the signed form.

A case lasts a working day. Nothing more is permitted before all that it needs is there; what takes away is done at once, and needs no witness.
What a case asks for, and why, is in docs/decisions/0027.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec

from consent import grant as wording
from consent.effect import Effect, Kinds, effect
from consent.grant import Assisted
from hub.access import accounts
from hub.access.sessions import Person
from hub.audit.trail import Entry
from hub.intake import identity
from hub.store import grants, parties, visit_codes
from hub.store.database import Connection
from hub.store.ids import bucket_of
from hub.store.parties import Party
from hub.store.residents import zone_of
from hub.store.vault import Said, SystemPermit
from schemas.classes import DataClass, codes_of
from schemas.errors import BadRequest, Conflict, NotFound, Refused
from schemas.records import Who

if TYPE_CHECKING:
    from hub.service import Hub

Channel = Literal["desk", "phone"]
CHECKS: dict[str, Channel] = {"id-card": "desk", "social-security-card": "desk", "call-back": "phone"}
"""How staff knew who it was, and where each way counts: a card seen; or called back at the registered number, with number and birth date asked."""
NUMBERS = {"id-number": "id_number", "health-card": "health_card", "member": "member_number"}
LASTS = timedelta(hours=8)
PAPER_LIMIT = 5 * 2**20
TYPES = {b"%PDF-": "application/pdf", b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
"""What a scan may be, by its first bytes; what its sender calls it counts for nothing."""
PERMIT = SystemPermit("assists")
UTC_DAYS = ZoneInfo("UTC")
"""What a consent does to whom does not depend on where days begin."""


class Choice(msgspec.Struct, frozen=True):
    """What the resident decided. A grant names all of it, a stop whom; a refusal shuts out everybody, until it is resumed."""

    does: Literal["grant", "stop", "refuse", "resume"]
    to: UUID | None = None
    purpose: str = ""
    classes: int = 0
    sensitive: tuple[str, ...] = ()
    abroad: bool = False
    until: date | None = None


class Paper(msgspec.Struct, frozen=True):
    """A scan of the signed form. `number`: which wording was signed, as it stands at its foot."""

    number: str
    type: str
    body: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


class Case(msgspec.Struct, frozen=True):
    """One resident being helped by one member of staff, for a party. `own`: it would let that very party see more."""

    id: UUID
    resident: UUID
    party: int
    account: UUID
    channel: Channel
    checked: str
    state: Literal["open", "chosen", "waiting", "recorded", "refused", "cancelled"]
    made: datetime
    expires: datetime
    witness: UUID | None
    decided: datetime | None
    consent: UUID | None
    signed: bool
    choice: Choice | None = None
    own: bool = False
    sealed: bytes | None = None

    @property
    def rule(self) -> str:
        """As it stands in the audit."""
        return f"assist/{self.id}"

    @property
    def delicate(self) -> bool:
        """What is not agreed to by phone: all but ordinary kinds, leaving the country, the helper's own organization, taking a refusal back."""
        choice = self.choice
        if choice is None or choice.does != "grant":
            return choice is not None and choice.does == "resume"
        return self.own or choice.abroad or bool(choice.sensitive) or not set(codes_of(choice.classes)) <= set(grants.ORDINARY)

    @property
    def needs_paper(self) -> bool:
        return self.channel == "desk" and self.delicate

    @property
    def needs_witness(self) -> bool:
        return self.channel == "phone" or self.own


async def open_case(hub: Hub, person: Person, party: Party, *, system: str, value: str, said: Said, checked: str) -> UUID:
    """Begin for the resident of this number, when all that was said is theirs. Raises BadRequest for an unknown way of checking.

    Who is not known, is somebody else or is under 18 is NotFound in the same words. Each is counted, and Refused after too many (`visit_codes`).
    """
    if system not in NUMBERS or not value.strip() or len(value) > 60 or checked not in CHECKS:
        raise BadRequest("Choose how the resident was identified, and enter the number.", field="value")
    if not said.name.strip() or (CHECKS[checked] == "phone" and not (said.phone and said.born)):
        raise BadRequest("The name is missing, or what is asked on the phone.", field="name")
    resident = await _resident(hub, person, party, system, value.strip(), said)
    case = uuid4()
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        await connection.execute("DELETE FROM assists WHERE party = $1 AND expires < clock_timestamp() AND state <> 'recorded'", party.number)
        await connection.execute(
            "INSERT INTO assists (bucket, id, resident, party, account, channel, checked, expires) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8::interval)",
            bucket_of(resident), case, resident, party.number, person.account, CHECKS[checked], checked, LASTS,
        )  # fmt: skip
        await hub.trail.append(connection, [_entry(person, party.number, "assist-open", checked, resident, case)])
    return case


async def _resident(hub: Hub, person: Person, party: Party, system: str, value: str, said: Said) -> UUID:
    who = msgspec.convert({NUMBERS[system]: value}, Who)
    async with hub.database.connection() as connection:
        await visit_codes.count_guess(connection, person.account, party.number)
        (found,) = await identity.match(connection, hub.keyring, [who], str(party.id))
        # A resident drawn for nobody's number makes the same look-ups.
        fits = await hub.vault.confirmed(connection, found.resident or uuid4(), said, PERMIT)
        if found.resident is not None and fits:
            await visit_codes.forgive_guess(connection, person.account)
            return found.resident
    await hub.trail.note(_entry(person, party.number, "assist-try", "not-confirmed", found.resident))
    raise NotFound("Number and person do not fit, or nobody can be helped here by it.", code="not-confirmed", advice="Check them, or send them to the kiosk.")


def _entry(person: Person, party: int, action: str, outcome: str, resident: UUID | None, case: UUID | None = None) -> Entry:
    rule = f"assist/{case}" if case else None
    return Entry(actor=f"Account/{person.account}", action=action, outcome=outcome, resident=resident, party=party, rule=rule)


# reading

_COLUMNS = "id, resident, party, account, channel, checked, state, made, expires, choice, witness, decided, consent, paper IS NOT NULL AS signed"


async def of_party(connection: Connection[Any], party: int) -> list[Case]:
    """The cases of a party that are open, newest first, without what was chosen."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM assists WHERE party = $1 AND expires > clock_timestamp() AND state IN ('open', 'chosen', 'waiting') "  # noqa: S608 - constant
        "ORDER BY made DESC LIMIT 20",
        party,
    )  # fmt: skip
    return [_case(row) for row in rows]


def _case(row: Any, choice: Choice | None = None, party: UUID | None = None) -> Case:
    names = ("id", "resident", "party", "account", "channel", "checked", "state", "made", "expires", "witness", "decided", "consent", "signed")
    own = choice is not None and choice.does == "grant" and choice.to == party
    return Case(**{name: row[name] for name in names}, choice=choice, own=own, sealed=row["choice"])


async def read(hub: Hub, case: UUID, *, party: Party | None = None, account: UUID | None = None, resident: UUID | None = None) -> Case:
    """A case for its resident, at any time, or for its party while it is open; `account`: for who began it. Raises NotFound for everybody else."""
    async with hub.database.connection() as connection:
        row = await connection.fetchrow(_READ, case, party.number if party else None, account, resident)
        if row is None or (party is None and resident is None):
            raise NotFound("There is no such case, or it is over.", code="no-such-case", advice="Begin again.")
        opened = await hub.vault.assisted(connection, row, "choice", PERMIT)
        helping = party or await parties.by_number(connection, row["party"])
    return _case(row, msgspec.json.decode(opened, type=Choice) if opened else None, helping.id)


_READ = f"""SELECT {_COLUMNS} FROM assists WHERE id = $1 AND ($2::int IS NULL OR (party = $2 AND expires > clock_timestamp()))
AND ($3::uuid IS NULL OR account = $3) AND ($4::uuid IS NULL OR resident = $4)"""  # noqa: S608 - constant


async def paper(hub: Hub, case: Case, actor: str) -> Paper:
    """The scan of a case; its opening is in the audit. Raises NotFound where there is none."""
    async with hub.database.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM assists WHERE bucket = $1 AND id = $2", bucket_of(case.resident), case.id)
        opened = await hub.vault.assisted(connection, row, "paper", PERMIT) if row else None
    if opened is None:
        raise NotFound("There is no scan.", code="not-found")
    await hub.trail.note(Entry(actor=actor, action="assist-paper", outcome="opened", resident=case.resident, party=case.party, rule=case.rule))
    return msgspec.msgpack.decode(opened, type=Paper)


async def of_consent(hub: Hub, resident: UUID, consent: UUID) -> Case | None:
    """The case in which staff recorded a consent; None for one that the resident gave."""
    async with hub.database.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {_COLUMNS} FROM assists WHERE bucket = $1 AND resident = $2 AND consent = $3", bucket_of(resident), resident, consent  # noqa: S608
        )
    return _case(row) if row else None


def paper_of(number: str, body: bytes) -> Paper:
    """A scan that came in. Raises BadRequest for what is no PDF, JPEG or PNG, or is empty or too large."""
    type_ = next((type_ for start, type_ in TYPES.items() if body.startswith(start)), None)
    if type_ is None or len(body) > PAPER_LIMIT:
        raise BadRequest("A scan is a PDF, JPEG or PNG of 5 MB at most.", code="odd-scan", field="file", advice="Scan it again; what was entered is kept.")
    return Paper(number, type_, body)


# what a case comes to


async def choose(hub: Hub, case: Case, person: Person, party: Party, choice: Choice) -> None:
    """Keep what the resident decided. What takes away is done now. Raises Refused for what is not agreed to by phone, Conflict where it is over."""
    chosen = msgspec.structs.replace(case, choice=choice, own=choice.does == "grant" and choice.to == party.id)
    if case.channel == "phone" and chosen.delicate:
        raise Refused("This is not agreed to by phone.", code="not-by-phone", advice="At a desk, with a signed form.")
    if case.state not in ("open", "chosen"):
        raise _over()
    await hub.vault.unlock([case.resident])
    async with hub.database.connection() as connection:
        subject = (await hub.vault.subjects(connection, [case.resident]))[case.resident]
    sealed = subject.seal("assists", msgspec.json.encode(choice), case.id.bytes, b"choice")
    if choice.does in ("stop", "refuse"):
        await _record(hub, case, chosen, person, party, choice=sealed)
    elif case.channel == "phone":
        await _move(hub, case, "waiting", [_entry(person, case.party, "assist-ask", "waiting", case.resident, case.id)], choice=sealed)
    else:
        await _move(hub, case, "chosen", [_entry(person, case.party, "assist-choose", choice.does, case.resident, case.id)], choice=sealed)


async def attach(hub: Hub, case: Case, person: Person, party: Party, scan: Paper) -> None:
    """The signed form has come: recorded, unless a witness is needed as well. Raises Conflict."""
    if case.channel != "desk" or case.state != "chosen":
        raise _over()
    await hub.vault.unlock([case.resident])
    async with hub.database.connection() as connection:
        subject = (await hub.vault.subjects(connection, [case.resident]))[case.resident]
    sealed = subject.seal("assists", msgspec.msgpack.encode(scan), case.id.bytes, b"paper")
    if case.needs_witness:
        await _move(hub, case, "waiting", [_entry(person, case.party, "assist-ask", "waiting", case.resident, case.id)], paper=sealed)
    else:
        await _record(hub, case, case, person, party, scan=scan, paper=sealed)


async def ask_witness(hub: Hub, case: Case, person: Person) -> None:
    """Have a colleague confirm in place of a signature. Raises Refused where the signature is needed, Conflict."""
    if case.needs_paper:
        raise Refused("This needs the resident's signature.", code="paper-needed", advice="Print the form, have it signed, and send the scan.")
    if case.state != "chosen":
        raise _over()
    await _move(hub, case, "waiting", [_entry(person, case.party, "assist-ask", "waiting", case.resident, case.id)])


async def confirm(hub: Hub, case: Case, person: Person, party: Party, heard: bool) -> None:
    """What a second member of staff says: they heard the resident decide so, or did not. Raises Refused for who recorded it, Conflict."""
    if person.account == case.account:
        raise Refused("Nobody is their own witness.", code="own-witness", advice="A colleague signs in and confirms.")
    if case.state != "waiting":
        raise _over()
    said = _entry(person, case.party, "assist-witness", "confirmed" if heard else "not-confirmed", case.resident, case.id)
    if not heard:
        await _move(hub, case, "refused", [said], witness=person.account, decided=datetime.now(UTC))
        return
    scan = await paper(hub, case, f"Account/{person.account}") if case.needs_paper else None
    await _record(hub, case, case, person, party, said, scan=scan, witness=person.account)


async def cancel(hub: Hub, case: Case, person: Person) -> None:
    """Leave it. Raises Conflict where it is recorded."""
    if case.state not in ("open", "chosen", "waiting"):
        raise _over()
    await _move(hub, case, "cancelled", [_entry(person, case.party, "assist-cancel", "cancelled", case.resident, case.id)], choice=None, paper=None)


def _over() -> Conflict:
    return Conflict("This was done already, or is over.", code="assist-over", advice="Look at the case again, or begin a new one.")


async def _move(hub: Hub, case: Case, to: str, entries: Sequence[Entry], **sets: object) -> None:
    """From the state and the choice that were read to another; nothing where either is another one by now."""
    named = "".join(f", {name} = ${number}" for number, name in enumerate(sets, 6))
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        done = await connection.execute(
            f"UPDATE assists SET state = $4{named} WHERE bucket = $1 AND id = $2 AND state = $3 AND choice IS NOT DISTINCT FROM $5 "  # noqa: S608 - constants
            "AND expires > clock_timestamp()",
            bucket_of(case.resident), case.id, case.state, to, case.sealed, *sets.values(),
        )  # fmt: skip
        if done == "UPDATE 0":
            raise _over()
        await hub.trail.append(connection, list(entries))


async def _record(hub: Hub, case: Case, chosen: Case, person: Person, party: Party, *said: Entry, scan: Paper | None = None, **sets: object) -> None:
    """Take the case, then write what it says: done twice it is one. A failure in between leaves it as it was, and nothing permitted."""
    choice, now = chosen.choice, datetime.now(UTC)
    assert choice is not None
    async with hub.database.connection() as connection:
        enterer = await accounts.account(connection, hub.keyring, case.account)
    by = Assisted(
        enterer=(str(enterer.id), enterer.name), organization=party.reference, channel=case.channel, checked=case.checked, at=now,
        witness=(str(person.account), person.name) if person.account != case.account else None,
        paper=wording.Paper(scan.number, scan.type, len(scan.body), scan.sha256) if scan else None,
    )  # fmt: skip
    actor = f"Account/{case.account}"
    noted = Entry(actor=actor, action="assist-record", outcome=choice.does, resident=case.resident, party=case.party, rule=case.rule)
    await _move(hub, case, "recorded", [*said, noted], decided=now, **sets)
    try:
        made = await _written(hub, case.resident, choice, actor, by)
    except Exception:
        async with hub.database.connection() as connection:
            await connection.execute(
                "UPDATE assists SET state = $3, choice = $4, decided = NULL, witness = NULL WHERE bucket = $1 AND id = $2",
                bucket_of(case.resident), case.id, case.state, case.sealed,
            )  # fmt: skip
        raise
    async with hub.database.connection() as connection:
        await connection.execute("UPDATE assists SET consent = $3 WHERE bucket = $1 AND id = $2", bucket_of(case.resident), case.id, made)


async def _written(hub: Hub, resident: UUID, choice: Choice, actor: str, by: Assisted) -> UUID | None:
    if choice.does == "refuse":
        return UUID(await grants.refuse(hub, resident, actor=actor, by=by))
    if choice.does == "resume":
        await _resume(hub, resident, actor, by)
        return None
    assert choice.to is not None
    async with hub.database.connection() as connection:
        to, zone = await parties.by_id(connection, choice.to), await zone_of(connection, resident)
    if choice.does == "stop":
        await _stop(hub, resident, to, actor, by)
        return None
    made = await grants.grant(
        hub, resident, to, purpose=choice.purpose, classes=DataClass(choice.classes), sensitive=choice.sensitive, valid_from=datetime.now(zone).date(),
        valid_until=choice.until, actor=actor, by=by,
    )  # fmt: skip
    return UUID(made)


async def _stop(hub: Hub, resident: UUID, to: Party, actor: str, by: Assisted) -> None:
    """Withdraw every consent by which `to` may see anything, those to everybody included: staff are not told which there were, and cannot ask back."""
    await _withdraw(hub, resident, lambda done: done.permits != Kinds() and (done.everybody or to.reference in done.named), actor, by)


async def _resume(hub: Hub, resident: UUID, actor: str, by: Assisted) -> None:
    """End every pause."""
    await _withdraw(hub, resident, lambda done: done.pauses, actor, by)


async def _withdraw(hub: Hub, resident: UUID, which: Callable[[Effect], bool], actor: str, by: Assisted) -> None:
    for consent in await grants.listing(hub, resident):
        if consent["status"] == "active" and which(effect(consent, UTC_DAYS)):
            with suppress(Conflict):  # withdrawn meanwhile, which is what was wanted
                await grants.withdraw(hub, resident, UUID(consent["id"]), actor=actor, by=by)
