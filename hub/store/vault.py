"""The vault: the only place where a resident's sealed content is opened, and only against a permit.

`disclose` opens a record, applies the consent decision to every resource of it and yields only what passed.
`history` reads a resident's rows, the consent epoch and the database's clock in one snapshot, so a withdrawal is never missed.
System permits (rotation, delivery's re-check, replay) are named and cannot be made from a request.
Guards against forgetting, not against hostile code in the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import orjson
from asyncpg import Record as Row

from consent.decision import (
    DERIVATIONS,
    Decision,
    Policy,
    Verdict,
    compile_policy,
    decide,
    either,
    emergency,
    nothing,
    outlived,
    own_upload,
    representative,
    self_access,
)
from consent.permit import Permit
from consent.request import Facts, Request
from hub.intake import identity
from hub.store.body import Body, Header, Slot
from hub.store.chunks import series
from hub.store.database import Connection, Database
from hub.store.ids import bucket_of, join
from hub.store.keyring import Keyring, WrappedKey
from hub.store.parties import HOME
from hub.store.seal import Sealer, mac, pack, unpack
from mappings import sampled
from mappings.face import ORIGINAL
from schemas.codes import CODE_SYSTEMS
from schemas.errors import Conflict, NotFound, PermitRequired
from schemas.labels import NONE, RULES, Label, of_age, stricter
from schemas.quality import flags_of, numbers
from schemas.records import KINDS, DaySummary, Envelope, Series, decode
from schemas.resident import ZONE, Resident, birth_date, id_number_gender
from schemas.standard import STANDARD

KIND_NUMBERS = {code: kind.number for code, kind in STANDARD.items()} | {"resident": 20, "consent": 21}
KIND_NAMES = {number: kind for kind, number in KIND_NUMBERS.items()}
BUT_CONSENTS = f"kind <> {KIND_NUMBERS['consent']}"
OF_RESIDENTS = f"kind NOT IN ({KIND_NUMBERS['resident']}, {KIND_NUMBERS['consent']})"
"""SQL: what sources say of residents, without the resident's own entry and consents."""
DERIVED = frozenset(KIND_NUMBERS[kind] for kind, struct in KINDS.items() if "inputs" in struct.__struct_fields__ and kind in KIND_NUMBERS)
"""Numbers of the kinds of record that name what they were made of."""
CHANNELS = {"heart-rate": 1, "power": 2, "cadence": 3, "speed": 4, "altitude": 5, "distance": 6, "latitude": 7, "longitude": 8, "temperature": 9}

WAITING = frozenset({"pending", "receipts"})
"""Tables of what is about no resident yet."""
_CACHE = 4096
_DETAIL = 128
"""Particulars of audit entries are padded to a multiple of it: nearly all of one resource are alike in length."""


class Subject(msgspec.Struct, frozen=True):
    """Whose data key seals a value, with the sealers made so far. `adult_at`: when they turn fourteen, where it was looked up and is known."""

    id: UUID
    suite: str
    data_key: bytes
    sealers: dict[str, Sealer]
    adult_at: datetime | None = None

    def sealer(self, table: str) -> Sealer:
        found = self.sealers.get(table)
        if found is None:
            found = self.sealers[table] = Sealer(self.suite, self.data_key, table)
        return found

    def token(self, *parts: bytes) -> bytes:
        """Blind token (16 bytes) inside this subject's own space."""
        return mac(self.suite, self.sealer("records").token_key, *parts)[:16]

    def seal_body(self, plain: bytes, record: UUID, version: int) -> bytes:
        return self.sealer("records").seal(pack(plain), *_body_place(self.id, record, version))

    def seal(self, table: str, plain: bytes, *where: bytes) -> bytes:
        """Compress and seal a value of another table; the subject is part of the place."""
        return self.sealer(table).seal(pack(plain), self.id.bytes, *where)


def _body_place(subject: UUID, record: UUID, version: int) -> tuple[bytes, ...]:
    return b"body", subject.bytes, record.bytes, str(version).encode()


class Asked(msgspec.Struct, frozen=True):
    """Who asks for whose data: the part of a request that a decision depends on, time aside. `emergency`: by this emergency access, not by consent.

    representative: by being this representative of the resident
    """

    resident: UUID
    actor: str
    acts_for: str | None = None
    purpose: str | None = None
    action: str = "access"
    party: int | None = None
    self_access: bool = False
    emergency: UUID | None = None
    representative: UUID | None = None


class SystemPermit(msgspec.Struct, frozen=True):
    """Lets a job of the hub's own, by name, open consents. `disclose` refuses it: no record leaves by it."""

    job: str


def _require(permit: object, what: str) -> None:
    """Raises PermitRequired for anything but a system permit."""
    if not isinstance(permit, SystemPermit):
        raise PermitRequired(f"{what} asked for without a system permit.")


class Said(msgspec.Struct, frozen=True):
    """What somebody said of themselves to staff; `phone` and `born` where they were asked for it."""

    name: str
    phone: str | None = None
    born: date | None = None

    def fits(self, person: Resident) -> bool:
        return (
            identity.plain(self.name) == identity.plain(person.name or "")
            and (self.phone is None or identity.phone_digits(self.phone) == identity.phone_digits(person.phone or ""))
            and (self.born is None or self.born == birth_date(person.birth_date, person.id_number))
        )


_STANDING = f"""SELECT clock_timestamp() AS now, r.id AS resident, r.epoch, r.zone, r.deceased, k.kek, k.erasure, k.wrapped, d.id, d.version, d.body,
p.version AS person_version, p.body AS person
FROM unnest($1::smallint[], $2::uuid[], $3::bigint[]) AS w(bucket, id, epoch) JOIN residents r ON r.bucket = w.bucket AND r.id = w.id
JOIN data_keys k ON k.bucket = r.bucket AND k.subject = r.id
LEFT JOIN records d ON d.bucket = r.bucket AND d.resident = r.id AND d.kind = {KIND_NUMBERS["consent"]} AND NOT d.deleted AND r.epoch <> w.epoch
LEFT JOIN records p ON p.bucket = r.bucket AND p.id = r.id AND r.epoch <> w.epoch
ORDER BY d.recorded, d.id"""  # noqa: S608 - constant columns
"""Residents with their keys; of those whose epoch is not the one that is known, their Consents and their own entry as well."""
_UNKNOWN = -1
_PEOPLE = """SELECT k.subject, k.kek, k.erasure, k.wrapped, r.zone, r.deceased, p.version AS person_version, p.body AS person FROM data_keys k
LEFT JOIN residents r ON r.bucket = k.bucket AND r.id = k.subject LEFT JOIN records p ON p.bucket = k.bucket AND p.id = k.subject
WHERE (k.bucket, k.subject) IN (SELECT * FROM unnest($1::smallint[], $2::uuid[]))"""


class Derived:
    """The row of a record that names what it was made of, with the rows of that, however many deep; reads like the row itself.

    made_of: what it says that of what is in it; ordered_by: the plans that it follows; lost: deeper than is followed
    """

    __slots__ = ("lost", "made_of", "ordered_by", "row")

    def __init__(self, row: Row, made_of: list[Row], ordered_by: list[Row], *, lost: bool) -> None:
        self.row, self.made_of, self.ordered_by, self.lost = row, made_of, ordered_by, lost

    def __getitem__(self, name: str) -> Any:
        return self.row[name]


class _Sources(NamedTuple):
    """Rows of what derived records name, by natural key (None: nothing is stored under it), and the keys that each record names: inputs, and plans."""

    rows: dict[bytes, Row | None]
    keys: dict[tuple[UUID, int], tuple[set[bytes], set[bytes]]]

    def stored(self) -> list[Row]:
        return [row for row in self.rows.values() if row is not None]

    def derived(self, row: Row) -> Derived:
        """A derived record's row with all that it goes back to; what goes in circles is met once."""
        made_of: set[bytes] = set()
        plans: set[bytes] = set()
        level = [row]
        for _ in range(DERIVATIONS):
            named = [self.keys[one["id"], one["version"]] for one in level]
            new = {key for inputs, _ in named for key in inputs} - made_of
            made_of |= new
            plans = plans.union(*(ordered for _, ordered in named))
            level = [found for key in new if (found := self.rows[key]) is not None and found["kind"] in DERIVED]
        return Derived(row, self._others(made_of, row), self._others(plans, row), lost=bool(level))

    def _others(self, keys: set[bytes], row: Row) -> list[Row]:
        return [found for key in keys if (found := self.rows.get(key)) is not None and found["id"] != row["id"]]


class _Named(msgspec.Struct):
    """What a derived record says it was made of, and which plan it follows, by the ids that their source gave them."""

    inputs: list[str] = []
    prescription: str | None = None


class Disclosed(msgspec.Struct, frozen=True):
    """A record as far as a permit reaches: `resources` are (slot, bytes as served); `record` only when nothing was held back or redacted.

    quality: the rules of `schemas/quality.py` that the quality worker found broken, beside the record's own flags
    """

    id: UUID
    version: int
    kind: str
    starts: datetime
    ends: datetime
    party: int
    header: Header
    resources: list[tuple[Slot, bytes]]
    rules: tuple[str, ...]
    record: bytes | None
    quality: tuple[str, ...] = ()
    label: Label = NONE


class Measured(msgspec.Struct, frozen=True):
    """What the quality worker sees of a record: figures by name, and its flags; no words, names or identifiers of a person.

    flags: codes with the field they are about; found: rules that an earlier run found broken, None when none ever looked
    """

    id: UUID
    version: int
    resident: UUID
    kind: str
    starts: datetime
    figures: dict[str, float]
    flags: frozenset[tuple[str, str]]
    found: tuple[str, ...] | None


class Sampled(msgspec.Struct, frozen=True):
    """The samples of one channel that a permit reaches: the slot of their resource, that resource without values, and they themselves."""

    slot: int
    face: dict[str, Any]
    series: list[Series]
    rules: tuple[str, ...]


class _Standing(msgspec.Struct, frozen=True):
    """A resident's row, key and compiled policy as of one epoch. `deceased`: nothing rests on a consent, or on being the resident, any more."""

    epoch: int
    subject: Subject
    policy: Policy
    zone: str
    deceased: bool = False


class Vault:
    """Keys, policies and decisions of one process, cached only by what they depend on."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database, self._keyring = database, keyring
        self._subjects: dict[tuple[UUID, bytes], Subject] = {}
        self._standings: dict[UUID, _Standing] = {}
        self._permits: dict[Asked, Permit] = {}
        self._party_references: dict[int, str] = {}
        self._shut: set[int] = set()
        self._adult_at: dict[tuple[UUID, int, str | None], datetime | None] = {}
        self.rules = RULES

    # keys

    def subject(self, identity: UUID, row: Row) -> Subject:
        """The subject whose wrapped key is in `row` (kek, erasure, wrapped). Sealing needs no permit."""
        key = (identity, row["wrapped"])
        found = self._subjects.get(key)
        if found is None:
            found = self._unwrapped(identity, row)
            _remember(self._subjects, key, found)
        return found

    def _unwrapped(self, identity: UUID, row: Row) -> Subject:
        data_key = self._keyring.unwrap(str(identity), WrappedKey(row["kek"], row["erasure"], row["wrapped"]))
        return Subject(identity, self._keyring.suite, data_key, {})

    async def unlocked(self, rows: Iterable[Row], column: str = "resident") -> None:
        """Open the data keys of rows that are not open yet, off the event loop when the back end is elsewhere: `subject` finds them then."""
        if not self._keyring.remote:
            return
        shut = {key: row for row in rows if (key := (row[column], row["wrapped"])) not in self._subjects}
        found = await asyncio.gather(*(asyncio.to_thread(self._unwrapped, who, row) for (who, _), row in shut.items()))
        for key, subject in zip(shut, found, strict=True):
            _remember(self._subjects, key, subject)

    async def unlock(self, residents: Collection[UUID]) -> None:
        """Open the data keys of residents before something is held that others wait for."""
        if self._keyring.remote:
            async with self._database.connection() as connection:
                await self.subjects(connection, list(residents))

    async def subjects(self, connection: Connection[Any], identities: Sequence[UUID]) -> dict[UUID, Subject]:
        """Several subjects in one round trip, with when they turn fourteen; those without a key (erased, unknown) are left out."""
        rows = await connection.fetch(_PEOPLE, [bucket_of(identity) for identity in identities], list(identities))
        await self.unlocked(rows, "subject")
        return {row["subject"]: self._aged(self.subject(row["subject"], row), row) for row in rows}

    def _aged(self, subject: Subject, row: Row) -> Subject:
        """With the moment at which they turn fourteen, out of their own entry (person_version, person) and zone."""
        if row["person"] is None:
            return subject
        key = subject.id, row["person_version"], row["zone"]
        if key not in self._adult_at:
            person = _person(subject, row)
            born = birth_date(person.birth_date, person.id_number) if person else None
            _remember(self._adult_at, key, of_age(born, row["zone"]))
        return msgspec.structs.replace(subject, adult_at=self._adult_at[key])

    def refuse_outdated(self, wraps: Iterable[tuple[str, str]]) -> None:
        """Raises Conflict when wraps about to be committed were overtaken by a rotation or an erasure."""
        if any(not self._keyring.is_current(kek, erasure) for kek, erasure in wraps):
            raise Conflict("The keys changed meanwhile.", advice="Send the same request again.")

    def forget(self, resident: UUID) -> None:
        """Drop what is cached of a resident; correctness never depends on it (epochs are compared on every read)."""
        self._standings.pop(resident, None)
        for asked in [asked for asked in self._permits if asked.resident == resident]:
            del self._permits[asked]

    # decisions

    async def permit(self, connection: Connection[Any], asked: Asked, *, fresh: bool = False) -> Permit:
        """The permit for `asked`, from the cache or decided now. Raises NotFound when the resident does not exist."""
        found = self._permits.get(asked)
        if found is not None and not fresh:
            return found
        now, standing = await self._standing(connection, asked.resident)
        basis = _basis(asked)
        if standing.deceased and asked.representative is None:
            basis, decision = "consent", nothing()
        elif asked.emergency is not None:
            decision = emergency(standing.policy, _request(asked, now), f"emergency/{asked.emergency}", await _emergency_ends(connection, asked))
        elif asked.representative is not None:
            ends = await _representation_ends(connection, asked)
            decision = representative(standing.policy, _request(asked, now), f"representative/{asked.representative}", ends)
        else:
            decision = self._decide(standing, asked, now, await self._source_of(connection, asked.party))
        permit = Permit(
            resident=str(asked.resident), recipient=asked.acts_for or asked.actor, purpose=asked.purpose or "", decision=decision,
            resident_epoch=standing.epoch, issued_at=now, valid_until=decision.valid_until, basis=basis,
        )  # fmt: skip
        _remember(self._permits, asked, permit)
        return permit

    async def policy(self, connection: Connection[Any], resident: UUID, permit: SystemPermit) -> tuple[Policy, list[dict[str, Any]]]:
        """The compiled policy and the Consents behind it (newest versions, withdrawn ones too), for `consent/` and the resident only.

        The caller notes the opening in the audit under the permit's job.
        """
        _require(permit, "A resident's consents were")
        rows = await self._standing_rows(connection, {resident: None})
        if not rows:
            raise NotFound("There is no such resident.")
        standing = self._stands(self._standings.get(resident), rows)
        return standing.policy, _opened(standing.subject, rows)

    async def policies(self, connection: Connection[Any], residents: Collection[UUID], permit: SystemPermit) -> dict[UUID, Policy]:
        """The compiled policies of many residents in one query; one who does not exist is left out. The caller notes each opening."""
        _require(permit, "Residents' consents were")
        found: dict[UUID, list[Row]] = {}
        known = {resident: self._standings.get(resident) for resident in residents}
        for row in await self._standing_rows(connection, known):
            found.setdefault(row["resident"], []).append(row)
        return {resident: self._stands(known[resident], rows).policy for resident, rows in found.items()}

    def _decide(self, standing: _Standing, asked: Asked, now: datetime, source: str | None) -> Decision:
        if asked.self_access:
            return self_access(f"Patient/{asked.resident}")
        if asked.party in self._shut:
            return nothing()
        decision = decide(standing.policy, _request(asked, now))
        return either(decision, own_upload(source)) if source else decision

    async def _standing(self, connection: Connection[Any], resident: UUID) -> tuple[datetime, _Standing]:
        """The database's clock and how the resident stands, in one query. Raises NotFound."""
        known = self._standings.get(resident)
        rows = await self._standing_rows(connection, {resident: known})
        if not rows:
            raise NotFound("There is no such resident.")
        return rows[0]["now"], self._stands(known, rows)

    async def _standing_rows(self, connection: Connection[Any], known: dict[UUID, _Standing | None]) -> list[Row]:
        epochs = [standing.epoch if standing else _UNKNOWN for standing in known.values()]
        rows = await connection.fetch(_STANDING, [bucket_of(resident) for resident in known], list(known), epochs)
        await self.unlocked(rows)
        return list(rows)

    def _stands(self, known: _Standing | None, rows: Sequence[Row]) -> _Standing:
        """What was known before `rows` were asked for, or what they say: they hold no Consents when it still holds."""
        return known if known is not None and known.epoch == rows[0]["epoch"] else self._compiled(rows)

    def _compiled(self, rows: Sequence[Row]) -> _Standing:
        """The standing of one resident, whose rows these are."""
        row = rows[0]
        subject, zone = self._aged(self.subject(row["resident"], row), row), row["zone"] or ZONE
        policy = compile_policy(_opened(subject, rows), resident=f"Patient/{row['resident']}", zone=zone)
        standing = _Standing(row["epoch"], subject, outlived(policy) if row["deceased"] else policy, zone, row["deceased"])
        _remember(self._standings, row["resident"], standing)
        return standing

    async def _source_of(self, connection: Connection[Any], party: int | None) -> str | None:
        if party is None:
            return None
        return (await self.references(connection, [party]))[party]

    async def references(self, connection: Connection[Any], seen: Iterable[int] = ()) -> dict[int, str]:
        """Party numbers to Organization references; read again when a number is `seen` that is not known yet."""
        if not self._party_references or not self._party_references.keys() >= set(seen):
            rows = await connection.fetch(f"SELECT number, id, coalesce(country, '{HOME}') <> '{HOME}' AND transfer_basis IS NULL AS shut FROM parties")  # noqa: S608 - constant
            self._shut = {row["number"] for row in rows if row["shut"]}
            self._party_references = {row["number"]: f"Organization/{row['id']}" for row in rows} | {0: ""}
        return self._party_references

    def seal_detail(self, resident: UUID, detail: object) -> bytes | None:
        """What an audit entry tells in particular, sealed for the resident; None when nothing of them is at hand."""
        standing = self._standings.get(resident)
        told = orjson.dumps(detail)
        padded = told.ljust(-(-len(told) // _DETAIL) * _DETAIL)
        return standing.subject.sealer("audit").seal(padded, resident.bytes) if standing else None

    async def open_details(self, connection: Connection[Any], resident: UUID, sealed: Sequence[bytes | None]) -> list[Any]:
        """The particulars of audit entries, for the resident's own list of who looked."""
        sealer = (await self._standing(connection, resident))[1].subject.sealer("audit")
        return [orjson.loads(sealer.open(value, resident.bytes)) if value else None for value in sealed]

    async def open_emergencies(self, connection: Connection[Any], rows: Sequence[Row], permit: SystemPermit) -> list[bytes | None]:
        """Why each emergency access was opened; None after an erasure. The caller notes it in the audit, unless the resident reads."""
        _require(permit, "The reason of an emergency access was")
        subjects = await self.subjects(connection, list({row["resident"] for row in rows}))
        found = [(subjects.get(row["resident"]), row) for row in rows]
        return [unpack(who.sealer("emergencies").open(row["body"], who.id.bytes, row["id"].bytes)) if who and row["body"] else None for who, row in found]

    async def petitioned(self, connection: Connection[Any], row: Row, permit: SystemPermit) -> tuple[str, str]:
        """What a resident says in a petition, and what was answered, for the two who wrote it. The caller notes the opening in the audit."""
        _require(permit, "A petition was")
        sealer, place = (await self._standing(connection, row["resident"]))[1].subject.sealer("petitions"), (row["resident"].bytes, row["id"].bytes)
        said = [unpack(sealer.open(row[name], *place, name.encode())).decode() if row[name] else "" for name in ("words", "answer")]
        return said[0], said[1]

    async def confirmed(self, connection: Connection[Any], resident: UUID, said: Said, permit: SystemPermit) -> bool:
        """Whether everything that was said of a resident is what their own entry says, and they are known to be of age. Nothing else leaves here."""
        _require(permit, "A resident's entry was")
        (row,) = await connection.fetch(_PEOPLE, [bucket_of(resident)], [resident]) or (None,)
        if row is None:
            return False
        await self.unlocked([row], "subject")
        subject = self._aged(self.subject(resident, row), row)
        person = _person(subject, row)
        now = await connection.fetchval("SELECT clock_timestamp()")
        if row["deceased"]:
            return False
        return person is not None and said.fits(person) and subject.adult_at is not None and subject.adult_at.replace(year=subject.adult_at.year + 4) <= now

    async def has_id_number(self, connection: Connection[Any], resident: UUID, permit: SystemPermit) -> bool:
        """Whether a resident's own entry says an ID number. Nothing else leaves here."""
        _require(permit, "A resident's entry was")
        rows = await connection.fetch(_PEOPLE, [bucket_of(resident)], [resident])
        await self.unlocked(rows, "subject")
        return any(person.id_number for row in rows if (person := _person(self.subject(resident, row), row)))

    async def arranged(self, connection: Connection[Any], row: Row, table: str, permit: SystemPermit) -> bytes:
        """What a resident wants after their death (`wishes`), or what was recorded of it (`deaths`). The caller notes it, unless the resident reads."""
        _require(permit, "What concerns a death was")
        sealer = (await self._standing(connection, row["resident"]))[1].subject.sealer(table)
        return unpack(sealer.open(row["body"], row["resident"].bytes))

    async def open_reasons(self, connection: Connection[Any], rows: Sequence[Row], permit: SystemPermit) -> list[str]:
        """What relatives of the deceased act for. The caller notes it in the audit."""
        _require(permit, "A relative's reason was")
        subjects = await self.subjects(connection, list({row["resident"] for row in rows}))
        found = [(subjects[row["resident"]], row) for row in rows]
        return [unpack(who.sealer("representatives").open(row["reason"], who.id.bytes, row["id"].bytes)).decode() for who, row in found]

    async def named(self, connection: Connection[Any], resident: UUID, record: UUID, permit: SystemPermit) -> list[str]:
        """References of a record's resources, to be hidden; none where it is not theirs. Nothing else of it leaves here."""
        _require(permit, "A record was")
        row = await connection.fetchrow(_ONE, bucket_of(record), record, resident)
        if row is None:
            return []
        await self.unlocked([row])
        return [f"{slot.type}/{join(str(record), slot.slot)}" for slot in _open(self.subject(resident, row), row).header.slots]

    async def assisted(self, connection: Connection[Any], row: Row, column: str, permit: SystemPermit) -> bytes | None:
        """The `choice` or the `paper` of an assisted decision, for its resident and who recorded it; None where there is none.

        The caller notes it in the audit.
        """
        _require(permit, "An assisted decision was")
        sealer = (await self._standing(connection, row["resident"]))[1].subject.sealer("assists")
        return unpack(sealer.open(row[column], row["resident"].bytes, row["id"].bytes, column.encode())) if row[column] else None

    # what a job of the hub's own opens

    def reopened(self, row: Row, permit: SystemPermit) -> tuple[Body, list[Series]]:
        """A record with its samples, to be sealed again as its next version. `row` is one of `STORED`; the caller notes the run in the audit."""
        _require(permit, "A record was")
        subject = self.subject(row["resident"], row)
        stored = set(row["channels"] or ())
        return _open(subject, row), [_series(subject, row, name) for name, number in CHANNELS.items() if number in stored]

    async def original(self, connection: Connection[Any], row: Row, permit: SystemPermit) -> tuple[bytes, datetime] | None:
        """The bytes that a record came from and when they came, as `reopened`; None where none are kept."""
        _require(permit, "An original was")
        found = await connection.fetchrow(
            "SELECT received, body FROM originals WHERE bucket = $1 AND id = $2 AND resident = $3", row["bucket"], row["original"], row["resident"]
        )
        if found is None:
            return None
        subject = self.subject(row["resident"], row)
        return unpack(subject.sealer("originals").open(found["body"], subject.id.bytes, row["original"].bytes)), found["received"]

    async def open_figures(self, connection: Connection[Any], wanted: Sequence[UUID], permit: SystemPermit) -> list[Measured]:
        """The figures of records, with the age and sex of whom they are about. The caller notes the run in the audit."""
        _require(permit, "Figures of records were")
        rows = await connection.fetch(_MEASURED, [bucket_of(record) for record in wanted], list(wanted))
        await self.unlocked(rows)
        people: dict[UUID, Resident | None] = {}
        return [found for row in rows if (found := self._figures(row, people)) is not None]

    def _figures(self, row: Row, people: dict[UUID, Resident | None]) -> Measured | None:
        subject = self.subject(row["resident"], row)
        if subject.id not in people:
            people[subject.id] = _person(subject, row)
        try:
            record = decode(_open(subject, row).record)
        except msgspec.ValidationError:  # of a version of the standard that this one does not read
            return None
        figures = numbers(record, row["recorded"]) | _about(people[subject.id], record)
        flags = frozenset((flag.code, flag.field if flag.field in figures else "") for flag in record.flags)
        found = _found(subject, row)
        return Measured(row["id"], row["version"], subject.id, KIND_NAMES[row["kind"]], row["starts"], figures, flags, found)

    # reading

    async def history(
        self, connection: Connection[Any], asked: Asked, *, kinds: Sequence[str], after: tuple[datetime, UUID] | None = None, limit: int = 200,
        since: datetime | None = None, until: datetime | None = None,
    ) -> tuple[Permit, list[Row]]:  # fmt: skip
        """A permit and the candidate rows it may reach, newest first, read in one snapshot with the epoch it was decided under."""
        permit, rows = await self._decided(connection, asked, lambda permit: self._candidates(connection, permit, asked, kinds, after, limit, since, until))
        if not rows:
            raise NotFound("There is no such resident.")
        return permit, [row for row in rows if row["id"] is not None]

    async def _decided(self, connection: Connection[Any], asked: Asked, read: Callable[[Permit], Awaitable[list[Row]]]) -> tuple[Permit, list[Row]]:
        """A permit and the rows that `read` finds under it, until their own epoch and clock say that it holds.

        Each row carries the resident's epoch and the database's clock of its own snapshot (`_KEY`).
        """
        permit = await self.permit(connection, asked)
        for _ in range(5):
            rows = await read(permit)
            if not rows or permit.holds(rows[0]["now"], rows[0]["epoch"]):
                await self.unlocked(row for row in rows if row["resident"] is not None)
                await self.references(connection, {row["party"] for row in rows if row["party"] is not None})
                sources = await self._sources(connection, asked.resident, rows)
                if any(row["label_rules"] is not None and row["label_rules"] < self.rules.version for row in (*rows, *sources.stored())):
                    await self._standing(connection, asked.resident)  # the age by which they are labelled anew
                return permit, [sources.derived(row) if row["kind"] in DERIVED else row for row in rows]
            self.forget(asked.resident)
            permit = await self.permit(connection, asked, fresh=True)
        raise PermitRequired("Consent changed again and again while it was read.")

    async def _sources(self, connection: Connection[Any], resident: UUID, rows: Sequence[Row]) -> _Sources:
        """What the rows of derived records were made of, and that in turn."""
        found = _Sources({}, {})
        new = [row for row in rows if row["kind"] in DERIVED]
        for _ in range(DERIVATIONS):
            keys = {(row["id"], row["version"]): self._keys(row) for row in new}
            found.keys.update(keys)
            wanted = {key for inputs, plans in keys.values() for key in (*inputs, *plans)} - found.rows.keys()
            if not wanted:
                break
            new = await connection.fetch(_SOURCES, bucket_of(resident), resident, list(wanted))
            found.rows.update(dict.fromkeys(wanted) | {row["natural_key"]: row for row in new})
            new = [row for row in new if row["kind"] in DERIVED]
        return found

    def _keys(self, row: Row) -> tuple[set[bytes], set[bytes]]:
        """Natural keys that what a derived record names can have: inputs of any kind, and a plan. Of its own source alone, whose ids they are."""
        subject, party = self.subject(row["resident"], row), str(row["party"]).encode()
        named = msgspec.json.decode(_open(subject, row).record, type=_Named)

        def key(kind: str, id_: str) -> bytes:
            return subject.token(b"natural_key", party, kind.encode(), b"id", id_.encode())

        return {key(kind, id_) for id_ in named.inputs for kind in STANDARD}, {key("prescription", named.prescription)} if named.prescription else set()

    async def _candidates(
        self,
        connection: Connection[Any],
        permit: Permit,
        asked: Asked,
        kinds: Sequence[str],
        after: tuple[datetime, UUID] | None,
        limit: int,
        since: datetime | None,
        until: datetime | None,
    ) -> list[Row]:
        decision = permit.decision
        references = await self.references(connection)
        sources = None if decision.sources is None else [number for number, reference in references.items() if reference in decision.sources]
        rows: list[Row] = await connection.fetch(
            _CANDIDATES, bucket_of(asked.resident), asked.resident, [KIND_NUMBERS[kind] for kind in kinds], decision.classes,
            permit.basis == "self", _later(decision.since, since), _earlier(decision.until, until), sources, decision.restricted,
            after[0] if after else None, after[1] if after else None, limit,
        )  # fmt: skip
        return rows

    async def one(self, connection: Connection[Any], asked: Asked, record: UUID) -> tuple[Permit, Row] | None:
        """A permit and one record's row, or None when there is none of this resident."""
        permit, rows = await self._decided(connection, asked, lambda _: connection.fetch(_ONE, bucket_of(record), record, asked.resident))
        return (permit, rows[0]) if rows else None

    async def versions(self, connection: Connection[Any], asked: Asked, record: UUID) -> tuple[Permit, list[Row]]:
        """A permit and every version of a record, newest first."""
        return await self._decided(connection, asked, lambda _: connection.fetch(_VERSIONS, bucket_of(record), record, asked.resident))

    async def sensitive(self, connection: Connection[Any], asked: Asked) -> tuple[Permit, list[Row]]:
        """A permit and the records that carry a sensitivity, or may by rules newer than theirs."""
        values = bucket_of(asked.resident), asked.resident, self.rules.version
        return await self._decided(connection, asked, lambda _: connection.fetch(_SENSITIVE, *values))

    def disclose(self, permit: Permit, rows: Sequence[Row], type_: str | None = None) -> Iterator[Disclosed]:
        """Open rows as far as the permit reaches. Rows carry the wrapped key of their resident. The only way out.

        type_: hand out resources of this type alone (all are judged)
        """
        if not isinstance(permit, Permit):
            raise PermitRequired("Data of a resident was asked for without a permit.")
        for row in rows:
            if str(row["resident"]) != permit.resident:
                raise PermitRequired("A permit for one resident was used for another.")
            body = _open(self.subject(row["resident"], row), row)
            yield self._passed(permit, row, body, type_)

    async def sampled(
        self, connection: Connection[Any], asked: Asked, records: Sequence[UUID], slots: Collection[int], *, every_version: bool = False
    ) -> tuple[Permit, list[Row]]:
        """A permit and sessions of one resident with the sealed samples behind these slots: newest versions, or all, newest first."""
        query = _SAMPLED_VERSIONS if every_version else _SAMPLED
        numbers = [CHANNELS[name] for slot in slots for name in sampled.CHANNELS[slot].series]
        values = bucket_of(asked.resident), list(records), asked.resident, KIND_NUMBERS["session"], numbers
        return await self._decided(connection, asked, lambda _: connection.fetch(query, *values))

    def disclose_samples(self, permit: Permit, rows: Sequence[Row]) -> Iterator[tuple[Disclosed, list[Sampled]]]:
        """As `disclose`, with the channels that the permit reaches, each judged as the resource that shows it."""
        for row, one in zip(rows, self.disclose(permit, rows), strict=True):
            yield one, self._channels(permit, row, one)

    def _channels(self, permit: Permit, row: Row, one: Disclosed) -> list[Sampled]:
        subject, stored = self.subject(row["resident"], row), set(row["channels"] or ())
        slots = [slot for slot, channel in sampled.CHANNELS.items() if stored.issuperset(CHANNELS[name] for name in channel.series)]
        body = _open(subject, row)
        group, label = body.slot(sampled.GROUP), self._label(row, body)
        if not slots or group is None or (permit.basis != "self" and (label is None or _is_hidden(permit.decision, body.header, str(one.id)))):
            return []
        about = orjson.loads(body.stored(group))
        found = []
        for slot in slots:
            channel, face = sampled.CHANNELS[slot], _with_labels(sampled.shell(slot, str(one.id), about), one.label)
            verdict = self._verdict(permit, self._facts(row, one.label, int(channel.data_class), "Observation", f"Observation/{face['id']}"), face)
            if verdict.decision == "permit":
                found.append(Sampled(slot, _pointing_at(face, one), [_series(subject, row, name) for name in channel.series], verdict.rule[:1]))
        return found

    def _verdict(self, permit: Permit, facts: Facts, resource: dict[str, Any]) -> Verdict:
        return Verdict("permit") if permit.basis == "self" else permit.decision.check(facts, resource)

    def _passed(self, permit: Permit, row: Row, body: Body, type_: str | None) -> Disclosed:
        header, record_id, label = body.header, str(row["id"]), self._label(row, body)
        passed: list[tuple[Slot, bytes | None]] = []
        rules: tuple[str, ...] = ()
        if permit.basis == "self":
            passed = [(slot, None) for slot in header.slots]
        elif label is not None and self._may_derive(permit.decision, row):
            passed, rules = self._judged(permit.decision, row, body, record_id, label)
        security = _security(label) if label is not None else b""
        kept = [(slot, redacted or body.resource(record_id, slot, security)) for slot, redacted in passed if type_ is None or slot.type == type_]
        whole = len(passed) == len(header.slots) and not any(redacted for _, redacted in passed)
        if len(passed) < len(header.slots):
            shown = {slot.slot for slot, _ in passed}
            hidden = frozenset(f"{slot.type}/{join(record_id, slot.slot)}" for slot in header.slots if slot.slot not in shown)
            kept = [(slot, _scrubbed(served, hidden)) for slot, served in kept]
        if permit.basis != "self" and permit.recipient != self._party_references.get(row["party"]):
            kept = [(slot, ORIGINAL.sub(b"", served) if slot.type == "Provenance" else served) for slot, served in kept]
        quality = _found(self.subject(row["resident"], row), row) or ()
        if quality:
            kept = _tagged(header, kept, quality)
        return Disclosed(
            row["id"], row["version"], header.kind, row["starts"], row["ends"], row["party"], header, kept, rules, body.record if whole else None, quality,
            label or NONE,
        )  # fmt: skip

    def _may_derive(self, decision: Decision, row: Row | Derived) -> bool:
        """Whether all that a record was made of may be seen: it tells of that."""
        return not isinstance(row, Derived) or (not row.lost and all(self._whole(decision, source) for source in row.made_of))

    def _whole(self, decision: Decision, row: Row) -> bool:
        body = _open(self.subject(row["resident"], row), row)
        label = self._own_label(row, body)
        if label is None:
            return False
        passed, _ = self._judged(decision, row, body, str(row["id"]), label)
        return sum(bool(slot.classes) for slot in body.header.slots) == len(passed) and not any(redacted for _, redacted in passed)

    def _judged(self, decision: Decision, row: Row, body: Body, record_id: str, label: Label) -> tuple[list[tuple[Slot, bytes | None]], tuple[str, ...]]:
        """The slots that pass, each with its redacted bytes when a part of it was removed, and the rules that let them."""
        header = body.header
        if _is_hidden(decision, header, record_id):
            return [], ()
        facts = self._facts(row, label, 0, "", "")
        passed: list[tuple[Slot, bytes | None]] = []
        rules: dict[str, None] = {}
        by_classes: dict[int, Verdict] = {}
        for slot in header.slots:
            verdict = by_classes.get(slot.classes)
            if verdict is None:
                verdict = _judgement(decision, facts, slot, body, record_id, label)
                if decision.exact:
                    by_classes[slot.classes] = verdict
            if verdict.decision == "deny":
                continue
            if verdict.rule:
                rules[verdict.rule[0]] = None
            passed.append((slot, orjson.dumps(verdict.resource) if verdict.decision == "redact" else None))
        if len(passed) < len(header.slots) and all(slot.type in _BESIDE for slot, _ in passed):
            return [], ()
        return passed, tuple(rules)

    def _facts(self, row: Row, label: Label, classes: int, type_: str, reference: str) -> Facts:
        return Facts(
            classes=classes, starts=row["starts"], ends=row["ends"], source=self._party_references.get(row["party"]),
            sensitivity=label.names, confidentiality=label.confidentiality, resource_type=type_, reference=reference,
        )  # fmt: skip

    def _label(self, row: Row | Derived, body: Body) -> Label | None:
        """A record's label, and with it those of what it was made of as they are now. None where nothing ever labelled it or one of them, or can."""
        label = self._own_label(row, body)
        if isinstance(row, Derived):
            for source in (*row.made_of, *row.ordered_by):
                other = self._own_label(source, _open(self.subject(source["resident"], source), source))
                label = None if label is None or other is None else stricter(label, other)
        return label

    def _own_label(self, row: Row | Derived, body: Body) -> Label | None:
        """As it is stored; of older rules, the stricter of that and of what the rules in force say."""
        stored = Label(tuple(body.header.sensitivity), body.header.confidentiality)
        if row["label_rules"] >= self.rules.version:
            return stored
        standing = self._standings.get(row["resident"])
        anew = self._labelled(row, body, standing.subject) if standing is not None and row["label_rules"] > 0 else None
        return None if anew is None else stricter(stored, anew)

    def _labelled(self, row: Row, body: Body, subject: Subject) -> Label | None:
        if body.header.kind not in KINDS:
            return NONE
        try:
            return self.rules.label(decode(body.record), row["starts"], subject.adult_at)
        except msgspec.ValidationError:  # of a version of the standard that this one does not read
            return None

    def relabelled(self, row: Row, permit: SystemPermit) -> tuple[Label, bytes | None] | None:
        """A stored version's label by the rules in force, with its body sealed again where that is another one; None where it cannot be read.

        `row` is one of `hub/store/relabel.py`. The caller notes the run in the audit.
        """
        _require(permit, "A record was")
        subject = self._aged(self.subject(row["resident"], row), row)
        body = _open(subject, row)
        label = self._labelled(row, body, subject)
        if label is None or label == (tuple(body.header.sensitivity), body.header.confidentiality):
            return None if label is None else (label, None)
        return label, subject.seal_body(body.labelled(list(label.sensitivity), label.confidentiality), row["id"], row["version"])


def _request(asked: Asked, now: datetime) -> Request:
    return Request(actor=asked.actor, acts_for=asked.acts_for, purpose=asked.purpose, action=asked.action, at=now)


def _basis(asked: Asked) -> str:
    return "self" if asked.self_access else "emergency" if asked.emergency else "representative" if asked.representative else "consent"


async def _emergency_ends(connection: Connection[Any], asked: Asked) -> datetime:
    """When the emergency access ends that `asked` names. Raises NotFound when it has, or is another party's or about somebody else."""
    ends = await connection.fetchval(
        "SELECT expires FROM emergencies WHERE bucket = $1 AND id = $2 AND resident = $3 AND party = $4 AND ended IS NULL AND expires > clock_timestamp()",
        bucket_of(asked.resident), asked.emergency, asked.resident, asked.party,
    )  # fmt: skip
    if ends is None:
        raise NotFound("There is no such emergency access, or it has ended.")
    return cast(datetime, ends)


async def _representation_ends(connection: Connection[Any], asked: Asked) -> datetime | None:
    """Until when somebody acts for the resident. Raises NotFound when they do not, or no longer."""
    row = await connection.fetchrow(
        "SELECT ends FROM representatives p JOIN residents r ON r.bucket = p.bucket AND r.id = p.resident WHERE p.bucket = $1 AND p.id = $2 "
        "AND p.resident = $3 AND account IS NOT NULL AND ended IS NULL AND (ends IS NULL OR ends > clock_timestamp()) "
        "AND (relation = 'relative') = r.deceased",
        bucket_of(asked.resident), asked.representative, asked.resident,
    )  # fmt: skip
    if row is None:
        raise NotFound("Nobody acts for this resident so.")
    return cast("datetime | None", row["ends"])


def _is_hidden(decision: Decision, header: Header, record_id: str) -> bool:
    """Whether a refusal hides the record by name, told by its Provenance, which each version has: what a later version adds is hidden as well."""
    return bool(decision.hidden) and any(slot.type == "Provenance" and f"Provenance/{join(record_id, slot.slot)}" in decision.hidden for slot in header.slots)


_BESIDE = frozenset({"Provenance", "Device"})
"""What tells of a record's other resources: where none of those may be seen, that there is a record is all that these would say."""
_NO_CLASS = Verdict("deny", (), "what has no class is for the resident alone")


def _judgement(decision: Decision, facts: Facts, slot: Slot, body: Body, record_id: str, label: Label) -> Verdict:
    """The verdict on one resource; an exact decision says the same of every resource of the record with these classes."""
    if not slot.classes:
        return _NO_CLASS
    if decision.exact:
        return decision.check(msgspec.structs.replace(facts, classes=slot.classes))
    own = msgspec.structs.replace(facts, classes=slot.classes, resource_type=slot.type, reference=f"{slot.type}/{join(record_id, slot.slot)}")
    return decision.check(own, orjson.loads(body.resource(record_id, slot, _security(label))))


@lru_cache(maxsize=1024)
def _security(label: Label) -> bytes:
    """A record's label as it follows the data class in `meta.security`."""
    return b"".join(b"," + orjson.dumps(coding) for coding in label.security)


def _with_labels(face: dict[str, Any], label: Label) -> dict[str, Any]:
    return face | {"meta": face["meta"] | {"security": [*face["meta"]["security"], *label.security]}}


_KEY = "k.kek, k.erasure, k.wrapped, r.epoch, clock_timestamp() AS now"
_QUALITY = (
    "(SELECT q.body FROM quality_flags q WHERE q.bucket = r.bucket AND q.record = d.id AND q.version = d.version ORDER BY q.run DESC LIMIT 1) AS quality"
)
_ROW = f"d.id, d.version, d.kind, d.labels, d.restricted, d.label_rules, d.starts, d.ends, d.party, d.recorded, d.deleted, d.body, r.id AS resident, {_QUALITY}"

_CANDIDATES = f"""SELECT {_KEY}, {_ROW} FROM residents r JOIN data_keys k ON k.bucket = r.bucket AND k.subject = r.id
LEFT JOIN LATERAL (
  SELECT * FROM records d WHERE d.bucket = $1 AND d.resident = $2 AND NOT d.deleted AND d.kind = ANY($3::smallint[])
  AND ($5 OR d.labels & $4::int <> 0) AND ($6::timestamptz IS NULL OR d.ends >= $6) AND ($7::timestamptz IS NULL OR d.starts <= $7)
  AND ($8::int[] IS NULL OR d.party = ANY($8)) AND ($9 OR $5 OR NOT d.restricted)
  AND ($10::timestamptz IS NULL OR (d.starts, d.id) < ($10, $11::uuid))
  ORDER BY d.starts DESC, d.id DESC LIMIT $12) d ON true
WHERE r.bucket = $1 AND r.id = $2 ORDER BY d.starts DESC, d.id DESC"""  # noqa: S608 - constant columns

_ONE = f"""SELECT {_KEY}, {_ROW} FROM records d JOIN residents r ON r.bucket = d.bucket AND r.id = d.resident
JOIN data_keys k ON k.bucket = r.bucket AND k.subject = r.id WHERE d.bucket = $1 AND d.id = $2 AND d.resident = $3 AND NOT d.deleted"""  # noqa: S608 - constant columns

_SENSITIVE = f"""SELECT {_KEY}, {_ROW} FROM records d JOIN residents r ON r.bucket = d.bucket AND r.id = d.resident
JOIN data_keys k ON k.bucket = r.bucket AND k.subject = r.id
WHERE d.bucket = $1 AND d.resident = $2 AND NOT d.deleted
AND (d.restricted OR d.label_rules < $3 OR d.kind IN ({", ".join(map(str, sorted(DERIVED)))}))"""  # noqa: S608 - constant columns

_SOURCES = f"""SELECT {_KEY}, {_ROW}, d.natural_key FROM records d JOIN residents r ON r.bucket = d.bucket AND r.id = d.resident
JOIN data_keys k ON k.bucket = r.bucket AND k.subject = r.id WHERE d.bucket = $1 AND d.resident = $2 AND d.natural_key = ANY($3::bytea[])"""  # noqa: S608 - constant columns
"""Deleted ones too: what was made of them still tells of them."""

_ANY_VERSION = "bucket, id, version, kind, labels, restricted, label_rules, starts, ends, party, recorded, deleted, body, resident"

_STANDING_RECORD = "EXISTS (SELECT FROM records g WHERE g.bucket = d.bucket AND g.id = d.id AND NOT g.deleted)"
"""SQL: no version is shown of a record that was deleted."""

_VERSIONS = f"""SELECT {_KEY}, {_ROW} FROM (SELECT * FROM record_columns($1, $2)) d JOIN residents r ON r.bucket = $1 AND r.id = d.resident
JOIN data_keys k ON k.bucket = r.bucket AND k.subject = r.id WHERE d.resident = $3 AND {_STANDING_RECORD} ORDER BY d.version DESC""".replace(  # noqa: S608 - constant columns
    "SELECT * FROM record_columns($1, $2)",
    " UNION ALL ".join(
        f"SELECT {_ANY_VERSION} FROM {table} WHERE bucket = $1 AND id = $2"  # noqa: S608
        for table in ("records", "record_history")
    ),
)

_SAMPLED = f"""SELECT {_KEY}, {_ROW}, s.channels, s.chunks, s.bodies FROM records d JOIN residents r ON r.bucket = $1 AND r.id = d.resident
JOIN data_keys k ON k.bucket = r.bucket AND k.subject = r.id CROSS JOIN LATERAL (
  SELECT array_agg(channel ORDER BY channel, chunk) AS channels, array_agg(chunk ORDER BY channel, chunk) AS chunks,
  array_agg(body ORDER BY channel, chunk) AS bodies
  FROM series WHERE bucket = $1 AND record = d.id AND version = d.version AND channel = ANY($5::smallint[])) s
WHERE d.bucket = $1 AND d.id = ANY($2::uuid[]) AND d.resident = $3 AND d.kind = $4 AND {_STANDING_RECORD}
ORDER BY d.starts DESC, d.id DESC, d.version DESC"""  # noqa: S608 - constant columns

_SAMPLED_VERSIONS = _SAMPLED.replace(
    "FROM records d",
    "FROM (" + " UNION ALL ".join(f"SELECT {_ANY_VERSION} FROM {table} WHERE bucket = $1" for table in ("records", "record_history")) + ") d",  # noqa: S608
)


STORED = f"""SELECT k.kek, k.erasure, k.wrapped, r.zone, d.bucket, d.id, d.version, d.resident, d.party, d.natural_key, d.original, d.body,
s.channels, s.chunks, s.bodies FROM records d JOIN residents r ON r.bucket = d.bucket AND r.id = d.resident
JOIN data_keys k ON k.bucket = d.bucket AND k.subject = d.resident CROSS JOIN LATERAL (
  SELECT array_agg(channel ORDER BY channel, chunk) AS channels, array_agg(chunk ORDER BY channel, chunk) AS chunks,
  array_agg(body ORDER BY channel, chunk) AS bodies FROM series WHERE bucket = d.bucket AND record = d.id AND version = d.version) s
WHERE (d.bucket, d.id) > ($1, $2) AND d.{BUT_CONSENTS} AND NOT d.deleted ORDER BY d.bucket, d.id LIMIT $3"""  # noqa: S608 - constant
"""The newest versions of records of all residents, their own entries among them, in the order of their ids, for jobs of the hub's own (`Vault.reopened`)."""


_MEASURED = f"""SELECT {_KEY}, {_ROW}, p.version AS person_version, p.body AS person FROM records d
JOIN unnest($1::smallint[], $2::uuid[]) AS w(bucket, id) ON d.bucket = w.bucket AND d.id = w.id
JOIN residents r ON r.bucket = d.bucket AND r.id = d.resident JOIN data_keys k ON k.bucket = r.bucket AND k.subject = r.id
LEFT JOIN records p ON p.bucket = d.bucket AND p.id = d.resident WHERE d.{OF_RESIDENTS} AND NOT d.deleted"""  # noqa: S608 - constant


def seal_found(subject: Subject, record: UUID, version: int, rules: Sequence[str]) -> bytes:
    """The rules that a version of a record breaks, as they are kept beside it."""
    return subject.seal("quality_flags", orjson.dumps(list(rules)), record.bytes, str(version).encode())


def _found(subject: Subject, row: Row) -> tuple[str, ...] | None:
    if row["quality"] is None:
        return None
    opened = subject.sealer("quality_flags").open(row["quality"], subject.id.bytes, row["id"].bytes, str(row["version"]).encode())
    return tuple(orjson.loads(unpack(opened)))


def _person(subject: Subject, row: Row) -> Resident | None:
    if row["person"] is None:
        return None
    opened = subject.sealer("records").open(row["person"], *_body_place(subject.id, subject.id, row["person_version"]))
    return msgspec.json.decode(Body(unpack(opened)).record, type=Resident)


def _about(person: Resident | None, record: Envelope) -> dict[str, float]:
    """Age in completed years on the record's day where the resident lives, and sex, where they are known: all that leaves here of who somebody is."""
    if person is None:
        return {}
    found = {}
    born = birth_date(person.birth_date, person.id_number)
    if born is not None:
        day = _day(record, person.zone)
        found["age"] = float(day.year - born.year - ((day.month, day.day) < (born.month, born.day)))
    gender = person.gender or id_number_gender(person.id_number)
    if gender in ("female", "male"):
        found["female"] = 1.0 if gender == "female" else 0.0
    return found


def _day(record: Envelope, zone: str | None) -> date:
    """The day a record began. A date, or a wall clock without a zone, is that of its place already."""
    if isinstance(record, DaySummary):
        return record.date
    start = record.start
    if start.at is None:
        return cast(datetime, start.local).date()
    if start.precision == "day":
        return (start.at + timedelta(minutes=start.offset_minutes or 0)).date()
    return start.at.astimezone(ZoneInfo(zone or ZONE)).date()


def _tagged(header: Header, kept: list[tuple[Slot, bytes]], rules: Sequence[str]) -> list[tuple[Slot, bytes]]:
    """What the quality worker found, as tags of the resource that carries the record's own flags.

    R4 lets tags change without a new version; a resource's own extensions never do.
    """
    codes = dict.fromkeys(flag.code for flag in flags_of(header.kind, rules))
    tags = b'"meta":{"tag":' + orjson.dumps([{"system": CODE_SYSTEMS + "quality-flag", "code": code} for code in codes]) + b","
    panel = any(slot.slot == _PANEL for slot in header.slots)
    return [
        (slot, served.replace(b'"meta":{', tags, 1) if slot.slot == _PANEL or (not panel and slot.type == "Observation") else served)
        for slot, served in kept
    ]  # fmt: skip


_PANEL = 1
"""The slot that says what is said once of a record; where a kind has none, each of its resources does."""


def _series(subject: Subject, row: Row, name: str) -> Series:
    """The samples of a channel out of its chunks."""
    number, place = CHANNELS[name], (subject.id.bytes, row["id"].bytes, bytes((CHANNELS[name],)))
    sealer = subject.sealer("series")
    chunks = zip(row["channels"], row["chunks"], row["bodies"], strict=True)
    parts = [unpack(sealer.open(body, *place, str((row["version"], chunk)).encode())) for channel, chunk, body in chunks if channel == number]
    return series(name, parts)


def _pointing_at(face: dict[str, Any], one: Disclosed) -> dict[str, Any]:
    """Without references to resources of its own record that are held back."""
    shown = {f"{slot.type}/{join(str(one.id), slot.slot)}" for slot, _ in one.resources}
    kept = {name: value for name, value in face.items() if name not in ("device", "derivedFrom")}
    device, sources = face.get("device", {}), [source for source in face["derivedFrom"] if source["reference"] in shown]
    return kept | ({"device": device} if device.get("reference") in shown else {}) | ({"derivedFrom": sources} if sources else {})


def superseded(subject: Subject, row: Row) -> Body:
    """System permit of `hub/store/writer.py`: the version that a new one replaces, so that unchanged resources keep their versions."""
    return _open(subject, row)


def open_waiting(subject: Subject, table: str, sealed: bytes, *where: bytes) -> bytes:
    """System permit of `hub/intake`: what an uploader's own file said and nobody was found for yet, under the receipt's own key.

    Raises PermitRequired for a resident's tables.
    """
    if table not in WAITING:
        raise PermitRequired("Only what waits for its resident is opened without a permit.")
    return unpack(subject.sealer(table).open(sealed, subject.id.bytes, *where))


def _open(subject: Subject, row: Row) -> Body:
    return Body(unpack(subject.sealer("records").open(row["body"], *_body_place(subject.id, row["id"], row["version"]))))


def _opened(subject: Subject, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The Consents in rows of `_STANDING`."""
    bodies = ((row["id"], _open(subject, row)) for row in rows if row["id"] is not None)
    return [orjson.loads(body.resource(str(identity), slot)) for identity, body in bodies for slot in body.header.slots]


def _scrubbed(served: bytes, hidden: frozenset[str]) -> bytes:
    """A resource without the references to resources that are held back (panel members, Provenance targets, results, an activity's order)."""
    if b"\\" not in served and not any(reference.encode() in served for reference in hidden):
        return served
    return orjson.dumps(_without(orjson.loads(served), hidden))


def _without(value: Any, hidden: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: left for key, child in value.items() if not _points_at(child, hidden) and (left := _without(child, hidden)) not in ([], {})}
    if isinstance(value, list):
        return [left for child in value if not _points_at(child, hidden) and (left := _without(child, hidden)) != {}]
    return value


def _points_at(value: Any, hidden: frozenset[str]) -> bool:
    reference = value.get("reference") if isinstance(value, dict) else None
    return isinstance(reference, str) and reference in hidden


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment), default=None)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment), default=None)


def _remember(cache: dict[Any, Any], key: Any, value: Any) -> None:
    if len(cache) >= _CACHE:
        for old in list(cache)[: _CACHE // 4]:
            del cache[old]
    cache[key] = value
