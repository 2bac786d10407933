"""FHIR R4 under /fhir. What consent hides does not exist: one answer for hidden, erased and never existing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import msgspec
import orjson
from fastapi import APIRouter, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.routing import BaseRoute, Route

from consent.effect import Kinds, effect
from hub.access.caller import Caller, caller, require
from hub.access.requests import body, hub_of
from hub.access.sessions import require_person, require_recent, session
from hub.exchange import audit_events, directory, explained, formats, linkage, occupancy, published, reading, related, sampled, terminology, validate
from hub.exchange.capability import capability_statement, smart_configuration, terminology_capabilities
from hub.exchange.compartment import Compartment, Resource
from hub.exchange.definitions import resource_types, search_parameters
from hub.exchange.parameters import Query, parse
from hub.exchange.search import Page, bundle, leaving, run, search_url
from hub.exchange.shape import is_shaped, shaped
from hub.exchange.valid import check
from hub.exchange.written import written
from hub.intake import identity
from hub.service import Hub
from hub.store import residents
from hub.store.ids import bucket_of, split
from hub.store.residents import save_consent
from hub.store.vault import KIND_NUMBERS, Asked
from schemas.errors import BadRequest, NotFound, Refused
from schemas.records import Who
from schemas.resident import HEALTH_CARD_SYSTEM, ID_NUMBER_SYSTEM, MEMBER_SYSTEM, id_number_valid

router = APIRouter(prefix="/fhir", tags=["fhir"])

FHIR_JSON = "application/fhir+json"
NOBODY = UUID(int=0)
MOST_FIELDS = 200
"""Parameters of a search by POST."""
STATEMENT_DATE = "2026-11-22"
READS = ("read", "vread", "history-instance", "search-type")
TYPES: dict[str, tuple[str, ...]] = dict.fromkeys((*reading.KINDS_OF_TYPE, *directory.TYPES, occupancy.TYPE), READS) | {"OperationDefinition": ("read",)}
TYPES |= dict.fromkeys(published.TYPES, ("read", "search-type"))
TYPES["Consent"] = (*READS, "create", "update")
TYPES |= dict.fromkeys(("AuditEvent", *reading.COMPUTED), ("read", "search-type"))
OPERATIONS: dict[str, dict[str, str]] = {
    "Patient": {"everything": "http://hl7.org/fhir/OperationDefinition/Patient-everything"},
    "Observation": {"sampled": sampled.OPERATION},
    "Consent": {"explain": explained.OPERATION},
    **terminology.OPERATIONS,
}
OPERATIONS = {type_: OPERATIONS.get(type_, {}) | {"validate": validate.OPERATION} for type_ in TYPES}
WITHHELD = ("identifier", "patient.identifier", "subject.identifier", "patient:Patient.identifier", "subject:Patient.identifier")
PRIVATE_IN_URL = (ID_NUMBER_SYSTEM, HEALTH_CARD_SYSTEM)


class _NotHere(NotFound):
    """The one answer for what does not exist for this caller."""

    def __init__(self) -> None:
        super().__init__("There is no such resource.")


class _SeveralPatients(BadRequest):
    """A search that goes by ids of more than one resident."""

    def __init__(self) -> None:
        super().__init__("A search is about one patient.", field="_id", advice="Search patient by patient.")


# Discovery


@router.get("/metadata")
async def metadata(request: Request) -> Response:
    """The CapabilityStatement, or with `mode=terminology` the TerminologyCapabilities; needs no token."""
    base, mode = f"{hub_of(request).settings.base_url}/fhir", request.query_params.get("mode", "full")
    if mode == "terminology":
        return _fhir(orjson.dumps(terminology_capabilities(base, "0.1.0", published.every("CodeSystem"), STATEMENT_DATE)), cors=True)
    if mode not in ("full", "normative"):
        raise BadRequest("mode is full, normative or terminology.", field="mode")
    return _fhir(orjson.dumps(capability_statement(base, "0.1.0", TYPES, STATEMENT_DATE, OPERATIONS)), cors=True)


@router.get("/.well-known/smart-configuration")
async def smart(request: Request) -> Response:
    """SMART App Launch 2.2 discovery; needs no token."""
    body = orjson.dumps(smart_configuration(f"{hub_of(request).settings.base_url}/fhir"))
    return Response(body, 200, {"Access-Control-Allow-Origin": "*"}, "application/json")


@router.get("/OperationDefinition/observation-sampled")
async def sampled_definition() -> Response:
    """What `$sampled` takes and answers; needs no token."""
    return _fhir(orjson.dumps(sampled.operation_definition(STATEMENT_DATE)), cors=True)


# Who asks


async def _asking(request: Request, type_: str, letter: str) -> tuple[Caller | None, Asked]:
    """The caller and a question without its resident yet: a party by token, or a resident by their own sign-in."""
    if "authorization" not in request.headers and (signed_in := await session(request)) is not None and signed_in.person and signed_in.person.resident:
        return None, Asked(resident=signed_in.person.resident, actor=f"Patient/{signed_in.person.resident}", self_access=True)
    who = await caller(request)
    require(who, type_, letter)
    return who, Asked(resident=NOBODY, actor=who.actor, acts_for=who.reference, purpose=who.purpose, party=who.party)


def _about(asked: Asked, resident: UUID) -> Asked:
    """The question about one resident; a signed-in resident can only ask about themselves."""
    if asked.self_access and asked.resident != resident:
        raise _NotHere
    return msgspec.structs.replace(asked, resident=resident)


def _known_type(type_: str) -> None:
    if type_ not in TYPES:
        if type_ in resource_types():
            raise NotFound(f"This hub does not serve {type_}.", code="not-supported")
        raise NotFound("There is no such resource type.")


# Reading


@router.get("/{type_}/{id_}")
async def read(request: Request, type_: str, id_: str) -> Response:
    """One resource in its newest version."""
    _known_type(type_)
    if type_ in published.TYPES:
        return _resource(request, published.held(type_, id_), cors=True)
    _, asked = await _asking(request, type_, "r")
    resource = await _one(hub_of(request), asked, type_, id_, shape=_shape(request, type_))
    return _resource(request, resource)


@router.get("/Observation/{id_}/$sampled")
async def sampled_window(request: Request, id_: str) -> Response:
    """The samples of one channel at a coarser period, or some of them."""
    _, asked = await _asking(request, "Observation", "r")
    window = sampled.window_of(request.query_params.multi_items())
    return _fhir((await _one(hub_of(request), asked, "Observation", id_, window)).raw)


@router.get("/{type_}/{id_}/_history/{version}")
async def vread(request: Request, type_: str, id_: str, version: str) -> Response:
    """One resource in one version; each version is judged by itself."""
    _known_type(type_)
    _, asked = await _asking(request, type_, "r")
    found = await _versions(hub_of(request), asked, type_, id_, version, shape=_shape(request, type_))
    if not found:
        raise _NotHere
    return _resource(request, found[0])


@router.get("/{type_}/{id_}/_history")
async def history(request: Request, type_: str, id_: str) -> Response:
    """Every version of one resource that the caller may see, newest first."""
    _known_type(type_)
    _, asked = await _asking(request, type_, "r")
    hub = hub_of(request)
    found = await _versions(hub, asked, type_, id_)
    if not found:
        raise _NotHere
    base = f"{hub.settings.base_url}/fhir"
    entries = [
        b'{"fullUrl":'
        + orjson.dumps(f"{base}/{type_}/{id_}")
        + b',"resource":'
        + one.raw
        + b',"request":{"method":"'
        + (b"POST" if _version(one) == "1" else b"PUT")
        + b'","url":'
        + orjson.dumps(type_ if _version(one) == "1" else f"{type_}/{id_}")
        + b'},"response":{"status":"'
        + (b"201" if _version(one) == "1" else b"200")
        + b'","lastModified":'
        + orjson.dumps(one.content["meta"]["lastUpdated"])
        + b"}}"
        for one in found
    ]
    link = orjson.dumps([{"relation": "self", "url": f"{base}/{type_}/{id_}/_history"}])
    return _fhir(b'{"resourceType":"Bundle","type":"history","total":%d,"link":' % len(found) + link + b',"entry":[' + b",".join(entries) + b"]}")


async def _one(hub: Hub, asked: Asked, type_: str, id_: str, window: sampled.Window | None = None, *, shape: Query | None = None) -> Resource:
    async with hub.database.connection() as connection:
        if type_ in directory.TYPES:
            entry = (await directory.lookup(hub, connection, asked.party, _any_type))(type_, id_)
            if entry is None:
                raise _NotHere
            return entry
        if type_ == occupancy.TYPE:
            for newest in (await occupancy.versions(hub, connection, asked.party, id_))[:1]:
                return newest
            raise _NotHere
        if type_ == audit_events.TYPE:
            return await _audit_event(hub, connection, asked, id_)
        about, record = await _whose(connection, id_, type_)
        if where := sampled.place(type_, id_):
            may_ask = _may_ask(asked, about)
            one, rules = await sampled.newest(hub, connection, _about(asked, about), where, window or sampled.WHOLE) if may_ask else (None, ())
        else:
            shown, rules = await _shown(hub, connection, asked, about, record, type_) if window is None else ([], ())
            one = next((resource for resource in shown if resource.type == type_ and resource.id == id_), None)
    seen = [one] if one else []
    await reading.note(
        hub, asked, f"read {type_}", "shown" if one else "nothing", rules=rules if one else (), resident=about, shown=seen, served=_served(shape, seen)
    )
    if one is None:
        raise _NotHere
    return one


async def _audit_event(hub: Hub, connection: Any, asked: Asked, id_: str) -> Resource:
    event = await audit_events.one(hub, connection, asked, id_)
    await reading.note(hub, asked, f"read {audit_events.TYPE}", "shown" if event else "nothing")
    if event is None:
        raise _NotHere
    return event


def _may_ask(asked: Asked, about: UUID) -> bool:
    """Whether there is such a resident, and not another than the one who asks for their own."""
    return bool(about.int) and not (asked.self_access and asked.resident != about)


async def _shown(hub: Hub, connection: Any, asked: Asked, about: UUID, record: UUID, type_: str) -> tuple[list[Resource], tuple[str, ...]]:
    """The resources of one record that the caller may see; of what is in no record all that there are (which session counts is for every session to say)."""
    if type_ in reading.COMPUTED:
        return await reading.visible(hub, connection, _about(asked, about), [type_]) if _may_ask(asked, about) else ([], ())
    row = await _row_of(hub, connection, asked, about, record)
    disclosed = list(hub.vault.disclose(*row)) if row else []
    return reading.resources(disclosed), tuple(rule for found in disclosed for rule in found.rules)


async def _row_of(hub: Hub, connection: Any, asked: Asked, about: UUID, record: UUID) -> tuple[Any, list[Any]] | None:
    if not _may_ask(asked, about):
        return None
    found = await hub.vault.one(connection, _about(asked, about), record)
    return (found[0], [found[1]]) if found and not found[1]["deleted"] else None


async def _whose(connection: Any, id_: str, type_: str = "") -> tuple[UUID, UUID]:
    """(resident, record) of a resource id, or nobody's; the look-up costs the same either way."""
    table = "representatives" if type_ == related.TYPE else "records"
    found = split(id_) or linkage.records_of(id_)
    record = found[0] if found else NOBODY
    resident = await connection.fetchval(f"SELECT resident FROM {table} WHERE bucket = $1 AND id = $2", bucket_of(record), record)  # noqa: S608 - constants
    return resident or NOBODY, record


async def _versions(hub: Hub, asked: Asked, type_: str, id_: str, wanted: str = "", *, shape: Query | None = None) -> list[Resource]:
    """The distinct versions of one resource, or the one that is wanted, newest first, as far as visible; noted in the audit."""
    async with hub.database.connection() as connection:
        if type_ in directory.TYPES:
            return _only(wanted, await directory.versions(hub, connection, asked.party, type_, id_))
        if type_ == occupancy.TYPE:
            return _only(wanted, await occupancy.versions(hub, connection, asked.party, id_))
        about, record = await _whose(connection, id_)
        found: list[Resource] = []
        if _may_ask(asked, about) and (where := sampled.place(type_, id_)):
            found, _ = await sampled.versions(hub, connection, _about(asked, about), where)
        elif _may_ask(asked, about):
            permit, rows = await hub.vault.versions(connection, _about(asked, about), record)
            found = [one for one in reading.resources(hub.vault.disclose(permit, rows)) if one.type == type_ and one.id == id_]
    distinct = _only(wanted, list({_version(one): one for one in reversed(found)}.values())[::-1])
    outcome = "shown" if distinct else "nothing"
    await reading.note(hub, asked, f"history {type_}", outcome, resident=about, shown=distinct, served=_served(shape, distinct))
    return distinct


def _only(wanted: str, versions: list[Resource]) -> list[Resource]:
    return [one for one in versions if not wanted or _version(one) == wanted]


def _version(resource: Resource) -> str:
    return str(resource.content["meta"]["versionId"])


# Searching


@router.get("/Patient/{id_}/$everything")
async def everything(request: Request, id_: str) -> Response:
    """Everything of one resident that the caller may see, Patient first, then newest first."""
    who, asked = await _asking(request, "*", "r") if "authorization" not in request.headers else await _asking(request, "Patient", "r")
    hub = hub_of(request)
    pairs = list(request.query_params.multi_items())
    wanted = _everything_parameters(pairs)
    found = split(id_)
    resident = found[0] if found and found[1] == -1 else NOBODY
    asked = _about(asked, resident)
    bound = reading.binding(asked, who.client_id if who else "self", [("everything", id_), *pairs])
    cursor = reading.open_cursor(hub, bound, wanted.cursor)
    try:
        async with hub.database.connection() as connection:
            shown, rules = await reading.visible(hub, connection, asked, ["*"])
            epoch = await reading.epoch_of(hub, connection, asked, cursor)
    except NotFound:
        shown, rules, epoch = [], (), 0
    shown = [one for one in shown if _covered(who, one.type) and wanted.keeps(one)]
    shown.sort(key=lambda one: (one.type != "Patient", -one.at, one.id))
    start = int(cursor.position or b"0")
    page = shown[start : start + wanted.count]
    await reading.note(hub, asked, "everything", "shown" if shown else "nothing", rules=rules, shown=page)
    if not shown:
        raise _NotHere
    base = f"{hub.settings.base_url}/fhir"
    links = [{"relation": "self", "url": f"{base}/Patient/{id_}/$everything"}]
    if start + wanted.count < len(shown):
        further = reading.seal_cursor(hub, bound, position=str(start + wanted.count).encode(), epoch=epoch)
        kept = urlencode([pair for pair in pairs if pair[0] != "_cursor"] + [("_cursor", further)])
        links.append({"relation": "next", "url": f"{base}/Patient/{id_}/$everything?{kept}"})
    entries = [b'{"fullUrl":' + orjson.dumps(f"{base}/{one.type}/{one.id}") + b',"resource":' + one.raw + b',"search":{"mode":"match"}}' for one in page]
    return _fhir(
        b'{"resourceType":"Bundle","type":"searchset","total":%d,"link":' % len(shown) + orjson.dumps(links) + b',"entry":[' + b",".join(entries) + b"]}"
    )


class _Everything(msgspec.Struct):
    """Parameters of $everything: `_type`, `_since`, `start`, `end`, `_count`."""

    count: int = 200
    cursor: str = ""
    types: frozenset[str] = frozenset()
    since: int | None = None
    start: int | None = None
    end: int | None = None

    def keeps(self, one: Resource) -> bool:
        if self.types and one.type not in self.types:
            return False
        if self.since is not None and reading.micros(datetime.fromisoformat(one.content["meta"]["lastUpdated"])) < self.since:
            return False
        return one.type == "Patient" or ((self.start is None or one.at >= self.start) and (self.end is None or one.at <= self.end))


def _everything_parameters(pairs: Sequence[tuple[str, str]]) -> _Everything:
    wanted = _Everything()
    for name, text in pairs:
        try:
            if name == "_count":
                if (count := int(text)) < 1:
                    raise BadRequest("_count is a whole number from 1.", field=name)
                wanted.count = min(1000, count)
            elif name == "_cursor":
                wanted.cursor = text
            elif name == "_type":
                wanted.types = frozenset(text.split(","))
                if not wanted.types <= resource_types():
                    raise BadRequest("_type names resource types of R4.", field=name)
            elif name in ("_since", "start", "end"):
                moment = datetime.fromisoformat(text if "T" in text else f"{text}T{'23:59:59.999' if name == 'end' else '00:00:00'}+08:00")
                if moment.tzinfo is None:
                    raise BadRequest(f"{name} needs an offset.", field=name)
                setattr(wanted, name.removeprefix("_"), reading.micros(moment))
            elif name not in ("_format", "_pretty"):
                raise BadRequest(f"Unknown parameter {name[:40]}.", field=name[:40])
        except ValueError:
            raise BadRequest(f"{name} cannot be understood.", field=name) from None
    return wanted


def _any_type(_: str) -> bool:
    return True


def _covered(who: Caller | None, type_: str) -> bool:
    if who is None:
        return True
    try:
        require(who, type_, "r")
    except Refused:
        return False
    return True


@router.get("/{type_}")
async def search(request: Request, type_: str) -> Response:
    """Search by GET."""
    return await _search(request, type_, list(request.query_params.multi_items()), by_get=True)


@router.post("/{type_}/_search")
async def search_by_post(request: Request, type_: str) -> Response:
    """Search by POST: the way for identifiers of people."""
    try:
        fields = parse_qsl((await body(request)).decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest(f"A search has at most {MOST_FIELDS} parameters.") from None
    formats.check(fields)
    pairs = [*request.query_params.multi_items(), *fields]
    return await _search(request, type_, pairs, by_get=False)


async def _search(request: Request, type_: str, pairs: list[tuple[str, str]], *, by_get: bool) -> Response:
    _known_type(type_)
    hub = hub_of(request)
    if type_ in published.TYPES:
        return _fhir(_published_page(hub, _query(request, type_, pairs)), cors=True)
    who, asked = await _asking(request, type_, "s")
    if by_get and any(_is_private(text) for _, text in pairs):
        raise BadRequest("ID and card numbers never go into a URL.", field="identifier", advice=f"Use POST /fhir/{type_}/_search.")
    query = _query(request, type_, pairs)
    if type_ in directory.TYPES or type_ == occupancy.TYPE:
        return _fhir(await _directory_page(hub, who, asked, query))
    if type_ == audit_events.TYPE:
        return _fhir(await _audit_page(hub, who, asked, query))
    resident = await _subject(hub, who, asked, query)
    if resident is None:
        return _fhir(await _nothing(hub, asked, query))
    asked = msgspec.structs.replace(asked, resident=resident)
    return _fhir(await _page(hub, who, asked, query))


def _query(request: Request, type_: str, pairs: list[tuple[str, str]]) -> Query:
    lenient = "handling=lenient" in request.headers.get("prefer", "").replace(" ", "").lower()
    return parse(type_, pairs, lenient=lenient, base_url=f"{hub_of(request).settings.base_url}/fhir")


def _is_private(text: str) -> bool:
    """Whether a value holds an ID or card number, whatever parameter it stands in, alone or among others."""
    return any(f"{system}|" in text for system in PRIVATE_IN_URL) or any(id_number_valid(number) for number in _EIGHTEEN.findall(text))


_EIGHTEEN = re.compile(r"(?<!\d)\d{17}[\dXx]")


def _withheld(query: Query, *names: str) -> set[str]:
    """Parameters whose values stand in no link of an answer: `names`, and those that hold such a number."""
    return {*names, *(name for name, text in query.pairs if _is_private(text))}


async def _nothing(hub: Hub, asked: Asked, query: Query) -> bytes:
    """The page of a resident who does not exist: the same as one who has not agreed. What was asked for is not in the audit."""
    await reading.note(hub, asked, f"search {query.resource_type}", "nothing", resident=NOBODY)
    total = 0 if query.total != "none" or query.summary == "count" else None
    return bundle(query, Page([], [], total, None), search_url(query, withheld=_withheld(query, *WITHHELD)))


async def _subject(hub: Hub, who: Caller | None, asked: Asked, query: Query) -> UUID | None:
    """The one resident a search is about; None when there is none for this caller. Raises BadRequest when it names none."""
    named = list(dict.fromkeys(query.patient))
    if asked.self_access:
        return asked.resident if all(name == str(asked.resident) for name in named) else None
    assert who is not None
    if len(named) > 1:
        raise BadRequest("A search is about one patient.", field="patient", advice="Search patient by patient; cohorts go through bulk export.")
    if named:
        found = split(named[0])
        return found[0] if found and found[1] == -1 else None
    tokens = [token for name in WITHHELD for token in query.tokens(name)]
    if (ids := query.ids or _referenced(query)) and not tokens:
        return await _resident_of_ids(hub, asked, ids, query.resource_type)
    if not tokens:
        raise _unnamed(query.resource_type)
    return await _identified(hub, who, tokens)


def _unnamed(type_: str) -> BadRequest:
    if type_ == "Linkage":  # R4 gives it no parameter for a patient
        advice = "Name an Observation with item= or source=, or ask for _revinclude=Linkage:item in a search over Observation."
        return BadRequest("A search over Linkage needs an item.", field="item", advice=advice)
    return BadRequest(f"A search over {type_} needs a patient.", field="patient", advice="Name it with patient=, or search Patient by identifier.")


def _referenced(query: Query) -> list[str]:
    """Ids of resources that reference parameters name (`Provenance?target=Observation/…`): they too say whose compartment it is."""
    known = search_parameters(query.resource_type)
    codes = {code for code, one in known.items() if one.type == "reference" and (not one.targets or one.targets & reading.KINDS_OF_TYPE.keys())}
    clauses = [clause for clause in query.clauses if clause.code in codes and not clause.modifier]
    parts = [text.rpartition("/") for clause in clauses for text in clause.texts]
    return [id_ for base, _, id_ in parts if not base or base.rpartition("/")[2] in reading.KINDS_OF_TYPE]


async def _resident_of_ids(hub: Hub, asked: Asked, ids: Sequence[str], type_: str) -> UUID | None:
    """Whose ids they are, as far as the caller may know: that an id is another resident's is never told apart from that it is nobody's."""
    found = [(id_, record[0]) for id_ in ids[:100] if (record := split(id_) or linkage.records_of(id_))]
    if len({bucket_of(record) for _, record in found}) > 1:  # no two of a resident's ids differ in it: read off the ids, not the store
        raise _SeveralPatients
    async with hub.database.connection() as connection:
        owners = dict.fromkeys([owner for owner, _ in [await _whose(connection, id_, type_) for id_ in ids[:100]] if owner.int])
        if len(owners) > 1:
            owners = dict.fromkeys([owner for owner in owners if await _sees_any(hub, connection, _about(asked, owner), found)])
    if len(owners) > 1:
        raise _SeveralPatients
    return next(iter(owners), None)


async def _sees_any(hub: Hub, connection: Any, asked: Asked, ids: Sequence[tuple[str, UUID]]) -> bool:
    shown, _ = await reading.visible(hub, connection, asked, ["*"])
    samples, _ = await sampled.of_sessions(hub, connection, asked, [record for _, record in ids])
    return not {id_ for id_, _ in ids}.isdisjoint(one.id for one in (*shown, *samples))


async def _identified(hub: Hub, who: Caller, tokens: Sequence[tuple[str | None, str | None]]) -> UUID | None:
    named = [(_FIELDS.get(system or ""), value) for system, value in tokens]
    people = [msgspec.convert({field: value}, Who) for field, value in named if field and value]
    if not people:
        return None
    async with hub.database.connection() as connection:
        matches = await identity.match(connection, hub.keyring, people, str(who.party_id))
    found = {match.resident for match in matches}
    return found.pop() if len(found) == 1 else None


_FIELDS = {ID_NUMBER_SYSTEM: "id_number", HEALTH_CARD_SYSTEM: "health_card", MEMBER_SYSTEM: "member_number"}


async def _page(hub: Hub, who: Caller | None, asked: Asked, query: Query) -> bytes:
    client = who.client_id if who else "self"
    turned = _by_id(query, asked.resident)
    bound = reading.binding(asked, client, [(query.resource_type, ""), *turned.pairs])
    begins = reading.open_cursor(hub, bound, query.cursor)
    plain = not query.content and not query.ids and not begins.position
    quick = plain and query.total in ("", "none") and query.summary != "count" and query.count > 0 and _newest_first(query)
    try:
        async with hub.database.connection() as connection:
            if quick:
                shown, more, rules = await reading.newest(hub, connection, asked, query.resource_type, query.count, begins.place)
                epoch = await reading.epoch_of(hub, connection, asked, begins)
                page = Page(shown, [], len(shown) if not (query.total or query.cursor or more) else None, None)
                cursor = reading.seal_cursor(hub, bound, place=more, epoch=epoch) if more else ""
            else:
                found, rules = await reading.visible(hub, connection, asked, {query.resource_type, *query.reaches})
                epoch = await reading.epoch_of(hub, connection, asked, begins)
                samples, more_rules = await sampled.named(hub, connection, asked, query)
                found = [one for one in (*found, *samples) if one.type == query.resource_type or _covered(who, one.type)]
                compartment = Compartment(found, await directory.lookup(hub, connection, asked.party, partial(_covered, who)))
                page = run(query, compartment.of_type(query.resource_type), compartment, begins.position or None)
                page, include_rules = await sampled.included(hub, connection, asked, query, page)
                rules = tuple(dict.fromkeys((*rules, *more_rules, *include_rules)))
                cursor = reading.seal_cursor(hub, bound, position=page.position, epoch=epoch) if page.position else ""
    except NotFound:
        return await _nothing(hub, asked, query)
    seen = [*page.matches, *page.included]
    left = leaving(query, page)
    told = bool(seen or page.total)  # a count alone is told as well
    await reading.note(
        hub, asked, f"search {query.resource_type}", "shown" if told else "nothing", rules=rules if told else (), shown=seen,
        served=[*left.matches, *left.included],
    )  # fmt: skip
    withheld = _withheld(query, *WITHHELD)
    return bundle(query, left, search_url(query, withheld=withheld), search_url(turned, cursor, withheld) if cursor else None)


def _by_id(query: Query, resident: UUID) -> Query:
    """The search with the resident's id in place of the number that named them: its next page, which is there for who sees something of them."""
    name = "_id" if query.resource_type == "Patient" else "patient"
    is_by_number = not query.patient and not query.ids and any(query.tokens(one) for one in WITHHELD)
    if not is_by_number or name not in ("_id", *search_parameters(query.resource_type)):
        return query
    return replace(query, pairs=(*(pair for pair in query.pairs if pair[0] not in WITHHELD), (name, str(resident))))


async def _directory_page(hub: Hub, who: Caller | None, asked: Asked, query: Query) -> bytes:
    bound = reading.binding(asked, who.client_id if who else "self", [(query.resource_type, ""), *query.pairs])
    position = reading.open_cursor(hub, bound, query.cursor).position
    async with hub.database.connection() as connection:
        find = occupancy.page if query.resource_type == occupancy.TYPE else directory.page
        page = await find(hub, connection, asked.party, partial(_covered, who), query, position)
    cursor = reading.seal_cursor(hub, bound, position=page.position) if page.position else ""
    withheld = _withheld(query)
    return bundle(query, leaving(query, page), search_url(query, withheld=withheld), search_url(query, cursor, withheld) if cursor else None)


async def _audit_page(hub: Hub, who: Caller | None, asked: Asked, query: Query) -> bytes:
    """A page of the entries that are the reader's to see; looking there is noted as well."""
    bound = reading.binding(asked, who.client_id if who else "self", [(query.resource_type, ""), *query.pairs])
    position = reading.open_cursor(hub, bound, query.cursor).position
    async with hub.database.connection() as connection:
        page = await audit_events.page(hub, connection, asked, query, position)
    await reading.note(hub, asked, f"search {audit_events.TYPE}", "shown" if page.matches else "nothing")
    cursor = reading.seal_cursor(hub, bound, position=page.position) if page.position else ""
    withheld = _withheld(query)
    return bundle(query, leaving(query, page), search_url(query, withheld=withheld), search_url(query, cursor, withheld) if cursor else None)


def _published_page(hub: Hub, query: Query) -> bytes:
    """A page of what is published: for everybody, so a cursor is bound to the search alone."""
    bound = reading.binding(Asked(resident=NOBODY, actor="anybody"), "anybody", [(query.resource_type, ""), *query.pairs])
    position = reading.open_cursor(hub, bound, query.cursor).position
    held = published.compartment()
    page = run(query, held.of_type(query.resource_type), held, position or None)
    cursor = reading.seal_cursor(hub, bound, position=page.position) if page.position else ""
    return bundle(query, leaving(query, page), search_url(query), search_url(query, cursor) if cursor else None)


def _newest_first(query: Query) -> bool:
    """Whether the records' own order is the answer's; what is computed is in no record."""
    plain = query.resource_type not in reading.COMPUTED and not query.include and not query.revinclude
    return plain and all(key.code == "date" and key.is_descending for key in query.sort)


# Validation


@router.post("/{type_}/$validate")
async def validate_type(request: Request, type_: str) -> Response:
    """Whether a resource is valid R4, as an OperationOutcome; nothing of it is kept."""
    if type_ not in resource_types():
        raise NotFound("There is no such resource type.")
    await validate.admit(request)
    return _fhir(validate.outcome(validate.judged(type_, await validate.asked(request), TYPES.get(type_, ()))))


@router.post("/{type_}/{id_}/$validate")
async def validate_one(request: Request, type_: str, id_: str) -> Response:
    """The same of a resource that may be read: of the one in the body, or of the one that is kept."""
    _known_type(type_)
    await validate.admit(request)
    if type_ in published.TYPES:
        call, kept = await validate.asked(request), published.held(type_, id_)
    else:
        _, asked = await _asking(request, type_, "r")
        call = await validate.asked(request)
        kept = await _one(hub_of(request), asked, type_, id_)
    call = call._replace(resource=call.resource or dict(kept.content))
    return _fhir(validate.outcome(validate.judged(type_, call, TYPES[type_], id_)))


# Consent, by the resident


@router.post("/Consent", status_code=201)
async def create_consent(request: Request) -> Response:
    """A resident's own Consent, in their own sign-in; one that lets anybody see anything asks for a recent one."""
    hub, resident, consent = await _own_consent(request)
    await _require_confirmed(request, resident, consent)
    identity_ = await save_consent(hub, resident, lambda id_: consent | {"id": id_}, actor=f"Patient/{resident}", action="consent-grant")
    return await _consent_answer(request, resident, identity_, 201)


@router.put("/Consent/{id_}")
async def update_consent(request: Request, id_: str) -> Response:
    """A new version of one's own Consent, for example with status `inactive`."""
    hub, resident, consent = await _own_consent(request)
    found = split(id_)
    if found is None or not await _is_own(hub, resident, found[0]):
        raise _NotHere
    before = await _one(hub, Asked(resident=resident, actor=f"Patient/{resident}", self_access=True), "Consent", id_)
    await _require_confirmed(request, resident, consent, before.content)
    await save_consent(hub, resident, lambda _: consent | {"id": id_}, actor=f"Patient/{resident}", consent_id=found[0], action="consent-change")
    return await _consent_answer(request, resident, id_, 200)


async def _own_consent(request: Request) -> tuple[Hub, UUID, dict[str, Any]]:
    signed_in = await session(request)
    if signed_in is None or signed_in.person is None or signed_in.person.resident is None:
        raise Refused("A Consent is given by the resident, signed in as themselves.")
    if request.headers.get("x-csrf-token") != signed_in.csrf:
        raise Refused("The request does not come from the resident's own page.", code="csrf")
    resource = await written(request, "Consent")
    check(resource)
    resident = signed_in.person.resident
    if resource.get("patient", {}).get("reference") != f"Patient/{resident}":
        raise BadRequest("The patient of the Consent must be the signed-in resident.", field="Consent.patient")
    return hub_of(request), resident, {key: value for key, value in resource.items() if key not in ("id", "meta")}


async def _require_confirmed(request: Request, resident: UUID, consent: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> None:
    """What may show more asks for a recent sign-in; withdrawing what lets anybody see never does."""
    async with hub_of(request).database.connection() as connection:
        zone = await residents.zone_of(connection, resident)
    active = consent.get("status") == "active"
    if (active and (before is not None or effect(consent, zone).permits != Kinds())) or (before is not None and effect(before, zone).permits == Kinds()):
        require_recent(await require_person(request, "resident"))


async def _is_own(hub: Hub, resident: UUID, consent: UUID) -> bool:
    async with hub.database.connection() as connection:
        return bool(await connection.fetchval(
            "SELECT 1 FROM records WHERE bucket = $1 AND id = $2 AND resident = $3 AND kind = $4",
            bucket_of(consent), consent, resident, KIND_NUMBERS["consent"],
        ))  # fmt: skip


async def _consent_answer(request: Request, resident: UUID, id_: str, status: int) -> Response:
    hub = hub_of(request)
    one = await _one(hub, Asked(resident=resident, actor=f"Patient/{resident}", self_access=True), "Consent", id_)
    version = _version(one)
    headers = {"Location": f"{hub.settings.base_url}/fhir/Consent/{id_}/_history/{version}", "ETag": f'W/"{version}"'}
    return Response(one.raw, status, headers | {"Cache-Control": "no-store"}, FHIR_JSON)


# The hot way in


class _TypeName(StringConvertor):
    """A path part that is spelled like a resource type, which `metadata` is not."""

    regex = "[A-Z][A-Za-z]*"


class _OwnId(StringConvertor):
    """A path part that is spelled like an id of ours; others take the ordinary way."""

    regex = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:-[0-9]+)?"


def hot_routes() -> list[BaseRoute]:
    """Search and read as plain Starlette routes, matched first: FastAPI's own matching took as long as opening the records.

    The same functions stand in `router`, which describes them.
    """
    register_url_convertor("type", _TypeName())
    register_url_convertor("own", _OwnId())
    named: list[tuple[str, Callable[..., Awaitable[Response]]]] = [("/fhir/{type_:type}", search), ("/fhir/{type_:type}/{id_:own}", read)]
    routes = [Route(path, _with_path(endpoint), methods=["GET"], include_in_schema=False) for path, endpoint in named]
    for route in routes:
        route.methods = {"GET"}
    return list(routes)


def _with_path(endpoint: Callable[..., Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await endpoint(request, **request.path_params)

    return answer


# Answers


def _resource(request: Request, one: Resource, *, cors: bool = False) -> Response:
    meta = one.content.get("meta", {})
    headers = {"ETag": f'W/"{meta["versionId"]}"'} if "versionId" in meta else {}
    if "lastUpdated" in meta:
        headers["Last-Modified"] = format_datetime(datetime.fromisoformat(meta["lastUpdated"]), usegmt=True)
    query = _shape(request, one.type)
    return _fhir(shaped(query, one.type, one.raw) if query else one.raw, headers, cors=cors)


def _shape(request: Request, type_: str) -> Query | None:
    """What `_summary` and `_elements` ask of one resource; None for all of it. Raises BadRequest."""
    pairs = [pair for pair in request.query_params.multi_items() if pair[0] in ("_summary", "_elements")]
    query = parse(type_, pairs, lenient=False, base_url="") if pairs else None
    return query if query and is_shaped(query, type_) else None


def _served(shape: Query | None, shown: Sequence[Resource]) -> Sequence[Resource]:
    return leaving(shape, Page([*shown], [], None, None)).matches if shape else shown


def _fhir(body: bytes, headers: dict[str, str] | None = None, *, cors: bool = False) -> Response:
    shared = {"Access-Control-Allow-Origin": "*"} if cors else {"Cache-Control": "no-store"}
    return Response(body, 200, shared | (headers or {}), FHIR_JSON)
