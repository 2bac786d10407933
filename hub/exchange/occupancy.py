"""How full venues are, over FHIR: MeasureReports about places, exact for the centre that counted, in steps of ten people for everybody else.

No consent is asked: nobody is named. What is kept from others is that somebody alone, or the last one or two to come or go, shows. So they see each figure
only as the step of `STEP` people that it lies in, which no other figure of the report and no other report narrows: reports of the same time of a venue beside
the first are not shown to them (`hub/store/occupancy.py`), nor is what else tells of figures: earlier versions, flags, notes, the source's own number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from hub.exchange import directory, reading, values
from hub.exchange.compartment import Compartment, Resource
from hub.exchange.parameters import Query
from hub.exchange.search import Page, run
from hub.store import occupancy
from hub.store.ids import split
from hub.store.occupancy import SLOT, Stored, Wanted
from mappings.face import Subject, face
from schemas.errors import BadRequest
from schemas.records import VenueOccupancy

if TYPE_CHECKING:
    from hub.service import Hub

TYPE: Final = occupancy.TYPE
STEP: Final = 10
"""Others see no figure finer than this, and of fewer people that they are fewer."""
MOST: Final = 5_000
"""Counts that one search looks at."""
FIGURES: Final = ("present", "peak", "mean", "visits")
_CAPACITY: Final = "occupancy-capacity"
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

Content = dict[str, Any]


def _report(hub: Hub, one: Stored, party: int | None) -> Resource:
    """A count as a party (None: a person) sees it."""
    content = _content(hub, one, one.record) if one.party == party else _in_steps(_content(hub, one, _for_others(one.record)))
    return Resource(orjson.dumps(content), TYPE, content["id"], reading.micros(one.starts), content)


def _content(hub: Hub, one: Stored, record: VenueOccupancy) -> Content:
    place = hub.directory.get("Location", one.venue)
    assert place is not None  # no entry is ever taken out of the directory
    party = place.body["managingOrganization"]["reference"]
    made = face(record, Subject(
        record_id=str(one.id), patient="", party=party, party_name=hub.directory.name_of(*party.split("/")), adapter="", adapter_version="", original_hash=None,
        recorded="", named={("Location", one.venue): (place.reference, place.body["name"])},
    ))  # fmt: skip
    content: Content = orjson.loads(next(resource.json for resource in made if resource.slot == SLOT))
    content["meta"] |= {"versionId": str(one.version), "lastUpdated": one.updated.isoformat(timespec="milliseconds")}
    return content


def _for_others(record: VenueOccupancy) -> VenueOccupancy:
    """Without what else may tell of figures; without any where the count was taken back."""
    gone: dict[str, Any] = dict.fromkeys(FIGURES) if record.withdrawn else {}
    return msgspec.structs.replace(record, source_record_id=None, modality=None, device=None, flags=[], note=None, **gone)


def _in_steps(content: Content) -> Content:
    for group in content.get("group", ()):
        if group["code"]["coding"][0]["code"] != _CAPACITY:
            group["measureScore"] |= step(group["measureScore"]["value"])
    return content


def _dated(versions: Sequence[Stored]) -> Stored:
    """The newest version (these: oldest first) with the number and time that others see: what lies in the same steps is no other version to them."""
    number, updated, before = 0, versions[-1].updated, None
    for one in versions:
        if one.shared and (seen := _seen(one.record)) != before:
            number, updated, before = number + 1, one.updated, seen
    return msgspec.structs.replace(versions[-1], version=number, updated=updated)


def _seen(record: VenueOccupancy) -> Content:
    said = msgspec.structs.asdict(_for_others(record))
    return said | {name: step(said[name]) for name in FIGURES if said[name] is not None}


def step(figure: float) -> Content:
    """What others see of a figure: `at least` so many, or fewer than the first step."""
    least = int(figure // STEP) * STEP
    return {"value": least, "comparator": ">="} if least else {"value": STEP, "comparator": "<"}


async def versions(hub: Hub, connection: Any, party: int | None, id_: str) -> list[Resource]:
    """Every version of a count, newest first, for its own party; for others the newest, where they may see it. None for an unknown id."""
    place = split(id_)
    found = await occupancy.versions(connection, place[0]) if place and place[1] == SLOT else []
    await hub.directory.refresh(connection)
    if found and found[0].party != party:
        found = [_dated(found[::-1])] if found[0].shared else []
    return [_report(hub, one, party) for one in found]


async def page(hub: Hub, connection: Any, party: int | None, covers: Callable[[str], bool], query: Query, position: bytes) -> Page:
    """A page of a search among the counts as this party sees them; includes lead to the directory. Raises BadRequest where these are too many."""
    lookup = await directory.lookup(hub, connection, party, covers)
    found = await occupancy.current(connection, party, _wanted(query), MOST + 1)
    if len(found) > MOST:
        raise BadRequest("More counts lie in that than one search may look at.", code="too-costly", field="period", advice="Name a subject and a period.")
    changed = await occupancy.known_versions(connection, [one.id for one in found if one.version > 1 and one.party != party])
    seen = Compartment((_report(hub, _dated(changed[one.id]) if one.id in changed else one, party) for one in found), lookup)
    return run(replace(query, content=True), seen.of_type(TYPE), seen, position or None)


def _wanted(query: Query) -> Wanted:
    """A superset of what a query asks for, as far as the table's own columns tell."""
    frame = values.Frame(query.base_url, query.zone, datetime.now(UTC))
    venues, since, until = None, -values.FOREVER, values.FOREVER
    for clause in query.clauses:
        if clause.code == "subject" and clause.modifier in ("", "Location"):
            venues = [values.reference_of(text, clause.modifier, frame)[1] for text in clause.texts]
        if clause.code in ("period", "date") and not clause.modifier and len(clause.texts) == 1:
            low, high = values.date_bounds(clause.texts[0], frame)
            since, until = max(since, low), min(until, high)
    return Wanted(venues, _instant(since - 1_000_000), _instant(until))


def _instant(micros: int) -> datetime:
    try:
        return reading.EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return _LAST if micros > 0 else _FIRST
