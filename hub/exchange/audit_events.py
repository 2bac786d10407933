"""The audit as FHIR AuditEvent, made for one reader out of the entries that are theirs to see, never stored.

A resident sees every entry about themselves. A party sees its own accesses: who of it asked, when, for what; of a resident only what it was shown
anything of, so that a refusal tells it no more than the refusal did. Consents, details (which fields) and other parties are the resident's alone.
Successful reads and queries follow IHE BALP 1.1 (`IHE.BasicAudit.PatientRead` and so on), and claim it: docs/decisions/0018.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import orjson

from hub.access import accounts
from hub.audit.trail import ACCESSES, ANSWERED, REFUSED
from hub.exchange import reading, related, values
from hub.exchange.clauses import Clause
from hub.exchange.compartment import Compartment, Resource
from hub.exchange.parameters import Query
from hub.exchange.search import Page
from hub.store.vault import Asked
from schemas.errors import BadRequest

if TYPE_CHECKING:
    from hub.service import Hub

TYPE = "AuditEvent"
CHUNK, MOST = 500, 5000
"""Entries read at once, and for one page at most: a page that found little by then ends there, and names the next."""

_BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_TYPES = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_REST = "http://hl7.org/fhir/restful-interaction"
_ROLES = "http://terminology.hl7.org/CodeSystem/object-role"
_KINDS = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

Content = dict[str, Any]


class Kind(NamedTuple):
    """What an action is in FHIR. `balp`: the profile of a success, once for a patient and once for none."""

    type: Content
    action: str
    subtype: Content | None = None
    balp: tuple[str, str] | None = None


def _coding(system: str, code: str, display: str) -> Content:
    return {"system": system, "code": code, "display": display}


_RESTFUL = _coding(_TYPES, "rest", "Restful Operation")
_RECORD = _coding(_DICOM, "110110", "Patient Record")
_EXPORT, _IMPORT = _coding(_DICOM, "110106", "Export"), _coding(_DICOM, "110107", "Import")

_ACTIONS: dict[str, Kind] = {
    "read X": Kind(_RESTFUL, "R", _coding(_REST, "read", "read"), ("PatientRead", "Read")),
    "search X": Kind(_RESTFUL, "E", _coding(_REST, "search-type", "search-type"), ("PatientQuery", "Query")),
    "history X": Kind(_RESTFUL, "R", _coding(_REST, "history-instance", "history-instance")),
    "everything": Kind(_RESTFUL, "E", _coding(_REST, "operation", "operation")),
    "read": Kind(_RECORD, "R"),
    "upload": Kind(_IMPORT, "C"),
    "register": Kind(_RECORD, "C"),
    "deliver": Kind(_EXPORT, "R", _coding("http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "disclose", "Disclose Record Lifecycle Event")),
    "download": Kind(_EXPORT, "R"),
    "export": Kind(_EXPORT, "R"),
    "erase": Kind(_RECORD, "D"),
    "consent-grant": Kind(_RECORD, "C"),
    "consent-refuse": Kind(_RECORD, "C"),
    "consent-unrefuse": Kind(_RECORD, "U"),
    "consent-withdraw": Kind(_RECORD, "U"),
    "consent-change": Kind(_RECORD, "U"),
    "sign-in": Kind(_coding(_DICOM, "110114", "User Authentication"), "E", _coding(_DICOM, "110122", "Login")),
}
_OTHER = Kind(_RECORD, "E")

_ROWS = """SELECT chain, seq, at, resident, party, actor, action, purpose, rule, outcome, detail FROM audit WHERE {whose}
AND ($2::uuid IS NULL OR resident = $2) AND ($3::timestamptz IS NULL OR at >= $3) AND ($4::timestamptz IS NULL OR at <= $4)
AND ($5::timestamptz IS NULL OR (at, chain, seq) < ($5, $6, $7)) ORDER BY at DESC, chain DESC, seq DESC LIMIT $8"""
_OF_RESIDENT = _ROWS.format(whose="resident = $1")
_OF_PARTY = _ROWS.format(whose=f"party = $1 AND {ACCESSES} AND ($2::uuid IS NULL OR {ANSWERED})")
_ONE = "SELECT chain, seq, at, resident, party, actor, action, purpose, rule, outcome, detail FROM audit WHERE chain = $1 AND seq = $2 AND {whose}"
_ONE_OF_RESIDENT = _ONE.format(whose="resident = $3")
_ONE_OF_PARTY = _ONE.format(whose=f"party = $3 AND {ACCESSES}")

Place = tuple[datetime, int, int]


class _Reader(NamedTuple):
    """Who reads, and the names that they may know."""

    hub: Hub
    asked: Asked
    parties: dict[int, str]
    people: dict[str, accounts.Account]
    delegates: dict[tuple[str, UUID], list[Any]]
    """By account and resident: as which representatives it acts or acted, the newest first."""

    @property
    def is_resident(self) -> bool:
        return self.asked.self_access


async def one(hub: Hub, connection: Any, asked: Asked, id_: str) -> Resource | None:
    """An entry by its id; None when there is none that this reader may see."""
    if (number := hub.keyring.entry_number(id_)) is None:
        return None
    whose, key = (_ONE_OF_RESIDENT, asked.resident) if asked.self_access else (_ONE_OF_PARTY, asked.party)
    rows = await connection.fetch(whose, *number, key)
    return (await _events(hub, connection, asked, rows))[0] if rows else None


async def every(hub: Hub, connection: Any, asked: Asked) -> list[Resource]:
    """All entries of a resident about themselves, newest first."""
    found: list[Resource] = []
    after: Place | None = None
    while True:
        rows = await _rows(connection, asked, None, None, None, after)
        found += await _events(hub, connection, asked, rows)
        if len(rows) < CHUNK:
            return found
        after = rows[-1]["at"], rows[-1]["chain"], rows[-1]["seq"]


async def page(hub: Hub, connection: Any, asked: Asked, query: Query, position: bytes) -> Page:
    """A page of a search, newest first. Raises BadRequest for another order, or a total over too many entries."""
    if any(key.code != "date" or not key.is_descending for key in query.sort):
        raise BadRequest("A search over AuditEvent is in one order: newest first.", field="_sort", code="not-supported")
    counted = query.total == "accurate" or query.summary == "count"
    patient = _patient(query)
    after: Place | None = _place(position)
    since, until = _bounds(query)
    found: list[tuple[Place, Resource]] = []
    read, more = 0, True
    while more and read < MOST and (counted or len(found) <= query.count):
        rows = await _rows(connection, asked, patient, since, until, after)
        for row, event in zip(rows, await _events(hub, connection, asked, rows), strict=True):
            if query.matches(event.content, Compartment()):
                found.append(((row["at"], row["chain"], row["seq"]), event))
        read, more = read + len(rows), len(rows) == CHUNK
        after = (rows[-1]["at"], rows[-1]["chain"], rows[-1]["seq"]) if rows else after
    if counted and more:
        raise BadRequest("There are too many entries to be counted.", field="_total", advice="Narrow the search with date=.", code="too-costly")
    shown = found[: query.count]
    if len(found) > query.count > 0:
        after, more = shown[-1][0], True
    total = len(found) if counted else None
    return Page([event for _, event in shown], [], total, _position(after) if more and after and query.count else None)


async def _rows(connection: Any, asked: Asked, patient: UUID | None, since: datetime | None, until: datetime | None, after: Place | None) -> list[Any]:
    statement, key = (_OF_RESIDENT, asked.resident) if asked.self_access else (_OF_PARTY, asked.party)
    return list(await connection.fetch(statement, key, patient, since, until, *(after or (None, None, None)), CHUNK))


def _patient(query: Query) -> UUID | None:
    """The one patient that the search names, None when it names none; nobody when what it names is no id."""
    if len(set(query.patient)) > 1:
        raise BadRequest("A search is about one patient.", field="patient", advice="Search patient by patient.")
    try:
        return UUID(query.patient[0]) if query.patient else None
    except ValueError:
        return UUID(int=0)


def _bounds(query: Query) -> tuple[datetime | None, datetime | None]:
    """A time before and after which no entry can match: wide, as the clauses are asked of every entry anyway."""
    since: list[datetime | None] = []
    until: list[datetime | None] = []
    for clause in query.clauses:
        if clause.code == "date" and not clause.modifier and len(clause.texts) == 1:
            prefix, start, end = _span(clause, query)
            since += [start] if prefix in ("eq", "ge", "gt", "sa") else []
            until += [end] if prefix in ("eq", "le", "lt", "eb") else []
    return max(filter(None, since), default=None), min(filter(None, until), default=None)


def _span(clause: Clause, query: Query) -> tuple[str, datetime | None, datetime | None]:
    text = clause.texts[0]
    prefix, rest = (text[:2], text[2:]) if text[:1].isalpha() else ("eq", text)
    start, end = values.span_of(rest, query.zone)
    return prefix, _moment(start - _DAY), _moment(end + _DAY)


_DAY = 86_400_000_000


def _moment(micros: int) -> datetime | None:
    """None beyond what a clock can say, where nothing is."""
    try:
        return reading.EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None


def _position(place: Place) -> bytes:
    return orjson.dumps([place[0].astimezone(UTC).isoformat(), place[1], place[2]])


def _place(position: bytes) -> Place | None:
    if not position:
        return None
    at, chain, seq = orjson.loads(position)
    return datetime.fromisoformat(at), chain, seq


# An entry as a resource


async def _events(hub: Hub, connection: Any, asked: Asked, rows: Sequence[Any]) -> list[Resource]:
    references = await hub.vault.references(connection, [row["party"] for row in rows if row["party"]])
    people = await accounts.of_actors(connection, hub.keyring, rows)
    reader = _Reader(hub, asked, references, people, await _delegates(connection, rows, people))
    sealed = [row["detail"] for row in rows]
    details = await hub.vault.open_details(connection, asked.resident, sealed) if asked.self_access and any(sealed) else [None] * len(rows)
    return [_resource(reader, row, detail or {}) for row, detail in zip(rows, details, strict=True)]


async def _delegates(connection: Any, rows: Sequence[Any], people: dict[str, accounts.Account]) -> dict[tuple[str, UUID], list[Any]]:
    """As what residents acted for other residents in these entries."""
    acting = {people[row["actor"]].id for row in rows if _for_another(people.get(row["actor"]), row)}
    found: dict[tuple[str, UUID], list[Any]] = {}
    if acting:
        query = "SELECT id, resident, account, relation, begun FROM representatives WHERE account = ANY($1::uuid[]) ORDER BY begun DESC"
        for one in await connection.fetch(query, list(acting)):
            found.setdefault((f"Account/{one['account']}", one["resident"]), []).append(one)
    return found


def _for_another(account: accounts.Account | None, row: Any) -> bool:
    return bool(account and account.resident and row["resident"] and account.resident != row["resident"])


def _resource(reader: _Reader, row: Any, detail: Content) -> Resource:
    content = _event(reader, row, detail)
    return Resource(orjson.dumps(content), TYPE, content["id"], reading.micros(row["at"]), content)


def _event(reader: _Reader, row: Any, detail: Content) -> Content:
    verb, _, about = row["action"].partition(" ")
    kind = _ACTIONS.get(f"{verb} X" if about else verb, _OTHER)
    failed = row["outcome"] in REFUSED
    told = row["resident"] is not None and (reader.is_resident or not failed)
    at = row["at"].astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    claimed = [_BALP + kind.balp[not told]] if kind.balp and not failed else []
    event: Content = {
        "resourceType": TYPE,
        "id": reader.hub.keyring.entry_id(row["chain"], row["seq"]),
        "meta": {"versionId": "1", "lastUpdated": at} | ({"profile": claimed} if claimed else {}),
        "type": kind.type,
        "subtype": [kind.subtype] if kind.subtype else [],
        "action": kind.action,
        "recorded": at,
        "outcome": "4" if failed else "0",
        "outcomeDesc": row["outcome"],
        "purposeOfEvent": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": row["purpose"]}]}] if row["purpose"] else [],
        "agent": _agents(reader, row, kind),
        "source": {
            "site": reader.hub.settings.base_url, "observer": _hub(reader),
            "type": [_coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")],
        },
        "entity": _entities(row, about, kind, _details(row, detail) if reader.is_resident else [], told=told),
    }  # fmt: skip
    return {name: value for name, value in event.items() if value != []}


def _hub(reader: _Reader) -> Content:
    return {"identifier": {"system": "urn:ietf:rfc:3986", "value": reader.hub.settings.base_url}, "display": "KineHub"}


def _agents(reader: _Reader, row: Any, kind: Kind) -> list[Content]:
    """Client and hub, as BALP has them: data flows to the client of a read, a query flows from it; and the person, where there was one."""
    source, destination = _coding(_DICOM, "110153", "Source Role ID"), _coding(_DICOM, "110152", "Destination Role ID")
    client, server = (destination, source) if kind.action == "R" else (source, destination)
    person = _person(reader, row)
    unknown = {"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}
    policies = [one for one in (row["rule"] or "").split(", ") if one.startswith("Consent/")] if reader.is_resident else []
    asks: Content = {"type": {"coding": [client]}, "who": _client(reader, row), "requestor": person is None}
    asks |= {"policy": policies} if policies else {}
    answers = {"type": {"coding": [server]}, "who": _hub(reader), "requestor": False}
    answers |= {"network": {"address": reader.hub.settings.base_url, "type": "5"}}
    return [asks | {"network": unknown}, answers, *([person] if person else [])]


def _client(reader: _Reader, row: Any) -> Content:
    reference = reader.parties.get(row["party"]) if row["party"] else ""
    if reference:
        return {"reference": reference}
    actor = str(row["actor"])
    return {"reference": actor} if actor.startswith(("Patient/", "Organization/")) else {"display": "KineHub" if actor in ("system", "operator") else "browser"}


def _person(reader: _Reader, row: Any) -> Content | None:
    account = reader.people.get(row["actor"])
    if account is None:
        return None
    recipient = _coding("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient")
    person: Content = {"type": {"coding": [recipient]}, "name": account.name, "requestor": True}
    if not _for_another(account, row):
        return person | {"who": {"reference": f"Patient/{account.resident}"} if account.resident else {"display": account.name}}
    one = _delegate(reader, row)
    if one is None:  # they are nobody's patient here: whose own record they are is not the reader's to know
        return person | {"who": {"display": account.name}}
    return person | {"role": [{"coding": [related.role(one["relation"])]}], "who": {"reference": f"RelatedPerson/{one['id']}", "display": account.name}}


def _delegate(reader: _Reader, row: Any) -> Any:
    """As which representative the entry was made: by its rule, or else the newest that had begun."""
    known = reader.delegates.get((row["actor"], row["resident"]), [])
    named = [one for one in known if row["rule"] == f"representative/{one['id']}"]
    return next(iter(named or [one for one in known if one["begun"] <= row["at"]]), None)


def _details(row: Any, detail: Content) -> list[Content]:
    """For the resident alone: the entry's place, by which it is proven; how many resources of which type or records of which kind, and which fields of them."""
    counts = {**detail.get("shown", {}), **detail.get("kinds", {})}
    told = [("entry", f"{row['chain']}-{row['seq']}")]
    told += [("shown", f"{name} {count}") for name, count in counts.items()]
    told += [("field", name) for name in detail.get("fields", ())]
    if detail.get("cut"):
        told.append(("partly-withheld", str(detail["cut"])))
    return [{"type": type_, "valueString": text} for type_, text in told]


def _entities(row: Any, about: str, kind: Kind, details: list[Content], *, told: bool) -> list[Content]:
    found: list[Content] = []
    if told:
        patient = {"reference": f"Patient/{row['resident']}"}
        entity = {"what": patient, "type": _coding(_KINDS, "1", "Person"), "role": _coding(_ROLES, "1", "Patient")}
        found.append(entity | ({"detail": details} if details else {}))
    system = _coding(_KINDS, "2", "System Object")
    if kind.action == "E" and kind.subtype and about:
        # what was asked may be somebody's number: it is kept nowhere
        hidden = {"extension": [{"url": _ABSENT, "valueCode": "masked"}]}
        found.append({"type": system, "role": _coding(_ROLES, "24", "Query"), "description": about, "_query": hidden})
    elif about:
        found.append({"what": {"type": about, "display": about}, "type": system, "role": _coding(_ROLES, "4", "Domain Resource")})
    return found
