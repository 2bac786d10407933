"""FHIR R4 back to records, by the same YAML of `mappings/fhir/` that writes the face.

What a template says of a resource is read off it again: its code or measure tells which template it is, and every value, extension,
element and component goes back into the field it came from. Resources of one record find each other by their references.
What the standard has no field for is not read; what it does know is kept (`tests/mappings/test_inverse.py`).
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache, partial
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from mappings import functions, opposites
from mappings.compiler import IPS_PROFILES, R4_PROFILES, base_of, read_shared
from mappings.elements import Shared, factor_of, fields_of, listed, url_of
from mappings.face import FOLDER, tables_of
from mappings.foreign import as_ours, is_of_a_device, why_not, words_beside
from mappings.functions import BASE
from mappings.measured import codings, in_categories, measure_of, quantity_of
from mappings.opposites import Unreadable
from mappings.shape import BESIDE, is_call
from mappings.tables import Table
from schemas.errors import InvalidRecord
from schemas.measures import LOCAL, LOINC, MDC, MEASURES, Measure, by_property
from schemas.records import KINDS, Device, Flag, Moment, Quantity, Record
from schemas.standard import OF_RESIDENTS
from schemas.units import ucum

Json = dict[str, Any]

ABOUT: Final = frozenset({"Patient", "Provenance", "Device", "Organization", "Practitioner", "PractitionerRole", "Location", "OperationOutcome"})
"""Types that say something about a record's resources and are no record themselves."""
_OWN: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-\d+")
"""An id of the hub's own: the record's, and the resource's slot in it."""
_PHYSICAL_ACTIVITY: Final = ("http://hl7.org/fhir/us/physical-activity/CodeSystem/pa-temporary-codes", "PhysicalActivity")
"""The category of everything that is of the HL7 Physical Activity IG: its own examples claim no profile."""
_RECORD: Final = BASE + "CodeSystem/record"


class Understood(NamedTuple):
    """A record read off FHIR: the resources it came from (their places in what was given), and whose they say it is."""

    record: Record
    places: tuple[int, ...]
    subject: Json | None


class Template(NamedTuple):
    """A template of a YAML, as something to recognise and read."""

    kind: str
    slot: int
    spec: Table
    codes: frozenset[tuple[str, str]]
    measures: frozenset[str] | None
    profile: str | None

    def fits(self, resource: Json) -> bool:
        """Whether a resource is what this template writes."""
        if resource["resourceType"] != self.spec["type"]:
            return False
        if self.codes:
            return not self.codes.isdisjoint(codings(resource.get("code"))) or self._by_category(resource) or self._by_focus(resource)
        if self.measures is not None:
            found = measure_of(resource.get("code"))
            return found is not None and found.key in self.measures
        return self.is_any or self.profile in resource.get("meta", {}).get("profile", ()) or self._of_physical_activity(resource) or self._of_measure(resource)

    def _of_measure(self, resource: Json) -> bool:
        """A report is known by the Measure that it is a report of."""
        return "measure" in self.spec.get("constant", {}) and self.spec["constant"]["measure"] == str(resource.get("measure")).partition("|")[0]

    def _of_physical_activity(self, resource: Json) -> bool:
        return "physical-activity" in self.spec.get("category", ()) and _PHYSICAL_ACTIVITY in in_categories(resource)

    def _by_focus(self, resource: Json) -> bool:
        """A Task for an order need not say that it is to fulfill it (pa-task-for-referral-management)."""
        return "focus" in self.spec.get("elements", {}) and "code" not in resource and "ServiceRequest/" in resource.get("focus", {}).get("reference", "")

    def _by_category(self, resource: Json) -> bool:
        """A report of a laboratory is known by its category: every laboratory has codes of its own."""
        return self.spec.get("category") == ["lab-report"] and ("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB") in in_categories(resource)

    def takes(self, member: Json) -> bool:
        """Whether it reads a resource that its record refers to: one that it writes, an order of physical activity whatever it asks for,
        or for entries with codes of their own any of its type."""
        if self.fits(member):
            return True
        is_any_order = self.spec["type"] == "ServiceRequest" and self._of_physical_activity(member)
        is_any_entry = "each" in self.spec and not self.codes and self.measures is None
        return (is_any_order or is_any_entry) and member["resourceType"] == self.spec["type"]

    @property
    def is_any(self) -> bool:
        """Whether it takes every resource of its type, for want of a code or a profile of its own."""
        is_general = self.profile is None or self.profile.startswith(IPS_PROFILES) or self.profile == R4_PROFILES + self.spec["type"]
        return not self.codes and self.measures is None and is_general


class Reading(NamedTuple):
    """A kind's YAML for reading: the template that stands for the record, and the others."""

    kind: str
    shared: Shared
    table: Table
    anchors: tuple[Template, ...]
    others: tuple[Template, ...]


def records_of(resources: Sequence[Json]) -> Iterator[Understood | tuple[int, InvalidRecord]]:
    """The records in FHIR resources; for a resource that is none, its place and why.

    A panel (activity group, weighing, report) takes the members it refers to. Measures of a day are one record a day and device; activity
    measures without a group are one session a period. Anything else that names a measure of the standard is a measurement of its own.
    """
    resources = [as_ours(one) for one in resources]
    by_reference = {name: place for place, one in enumerate(resources) for name in names_of(one)}
    resources = [_with_sources(one, resources, by_reference) if one["resourceType"] == "Observation" else one for one in resources]
    free = {place: one for place, one in enumerate(resources) if one["resourceType"] not in ABOUT}
    of_devices = {place: free.pop(place) for place in [*free] if is_of_a_device(free[place], resources, by_reference)}
    groupings: list[Grouping] = [*(partial(_panels, rank=rank) for rank in range(3)), _orders, _goals, _days, _bouts, _alone]
    for grouping in groupings:
        for places, reading in list(grouping(free, by_reference)):
            group = [resources[place] for place in places]
            for place in places:
                free.pop(place, None)
            try:
                yield Understood(_read(reading, group, resources, by_reference), tuple(places), whose(group[0]) if reading.kind in OF_RESIDENTS else None)
            except (InvalidRecord, Unreadable) as wrong:
                yield places[0], wrong if isinstance(wrong, InvalidRecord) else InvalidRecord(str(wrong), code="not-readable", field=wrong.element)
    for place, one in (free | of_devices).items():
        yield place, why_not(one, resources, by_reference)


def _with_sources(one: Json, resources: Sequence[Json], by_reference: dict[str, int]) -> Json:
    said: Json = {name: [_by_source_id(to, resources, by_reference) for to in one[name]] for name in ("derivedFrom", "basedOn") if name in one}
    return {**one, **said} if said else one


def _by_source_id(said: Json, resources: Sequence[Json], by_reference: dict[str, int]) -> Json:
    """A Reference with the id by which its target's record is known, as our own face writes it: what derives is judged with what it derives from."""
    if "reference" not in said or said.get("identifier", {}).get("value"):
        return said
    name = local_reference(said["reference"])
    target = resources[by_reference[name]] if name in by_reference else {}
    own = _source_id(target) or (f"{target['resourceType']}/{target['id']}" if "id" in target else name)
    return {**said, "identifier": {"value": own}}


# Which resources are one record


Groups = Iterator[tuple[list[int], Reading]]
Grouping = Callable[[dict[int, Json], dict[str, int]], Groups]


def _rank(reading: Reading, anchor: Template) -> int:
    """What a code or profile names comes first, then what takes any resource of a type and others with it, then the rest."""
    return 0 if not anchor.is_any else 1 if reading.others else 2


def _panels(free: dict[int, Json], by_reference: dict[str, int], *, rank: int) -> Groups:
    """What stands for a record, with the resources of it: those it refers to, those that refer to it, and those of the hub's own that share its id.

    An order that several are asked to fulfill, each by a Task of its own, is part of each such referral.
    """
    orders: set[int] = set()
    for place, one in list(free.items()):
        if place not in free:
            continue
        for reading in _readings().values():
            if any(_rank(reading, anchor) == rank and anchor.fits(one) for anchor in reading.anchors):
                members = sorted(member for member in _linked(place, one, free, by_reference) if any(other.takes(free[member]) for other in reading.others))
                several = {member for member in members if reading.kind == "referral" and free[member]["resourceType"] == "ServiceRequest"}
                orders |= several
                for taken in {place, *members} - several:
                    free.pop(taken)
                yield [place, *members], reading
                break
    for order in orders:
        free.pop(order)


def _linked(place: int, one: Json, free: dict[int, Json], by_reference: dict[str, int]) -> set[int]:
    names = set(names_of(one))
    near = {by_reference[name] for name in _references(one) if name in by_reference}
    near |= {other for other, said in free.items() if names & set(_references(said)) or _same_record(one, said)}
    orders = [free[other] for other in near if other in free and free[other]["resourceType"] == "ServiceRequest"]
    near |= {by_reference[name] for order in orders for name in _references(order.get("extension")) if name in by_reference}
    return {other for other in near if other in free and other != place}


def _same_record(one: Json, other: Json) -> bool:
    ids = one.get("id", ""), other.get("id", "")
    return all(_OWN.fullmatch(said) for said in ids) and ids[0][:36] == ids[1][:36]


def _orders(free: dict[int, Json], _: dict[str, int]) -> Groups:
    """An order for exercise that came without its plan or its task: what a hospital sends first."""
    for kind in ("prescription", "referral"):
        reading = _readings()[kind]
        groups: dict[tuple[str, str, str], list[int]] = {}
        for place, one in free.items():
            if one["resourceType"] == "ServiceRequest" and any(template.fits(one) for template in reading.others):
                groups.setdefault((_subject(one), one.get("authoredOn", ""), str(one.get("requester"))), []).append(place)
        yield from ((places, reading) for places in groups.values())


def _goals(free: dict[int, Json], _: dict[str, int]) -> Groups:
    """A goal that came without its plan: a plan that says no more."""
    reading = _readings()["prescription"]
    yield from (([place], reading) for place, one in free.items() if one["resourceType"] == "Goal" and any(template.fits(one) for template in reading.others))


def _days(free: dict[int, Json], _: dict[str, int]) -> Groups:
    reading = _readings()["day-summary"]
    groups: dict[tuple[str, str, str], list[int]] = {}
    for place, one in free.items():
        said = _said_day(one)
        if said and any(template.fits(one) for template in reading.others):
            groups.setdefault((_subject(one), said, one.get("device", {}).get("reference", "")), []).append(place)
    yield from ((places, reading) for places in groups.values())


def _said_day(one: Json) -> str:
    """The local day of an Observation that is about a day: a date alone, or any time for a measure that only days have."""
    said = str(one.get("effectiveDateTime") or one.get("effectivePeriod", {}).get("start", ""))
    measure = measure_of(one.get("code"))
    if _is_longer_than_a_day(one.get("effectivePeriod", {})):
        return ""
    return said[:10] if measure is not None and (len(said) == 10 or measure.key not in _alone_too()) else ""


def _is_longer_than_a_day(period: Json) -> bool:
    """Whether a Period is a week, a month: its figure is of no single day. A whole day may be written up to the next midnight."""
    try:
        start, end = (datetime.fromisoformat(period[name]) for name in ("start", "end"))
        return end - start > timedelta(days=0 if len(period["end"]) == 10 else 1)
    except (KeyError, TypeError, ValueError):
        return False


@cache
def _alone_too() -> frozenset[str]:
    """Measures of a day that are measured at a moment as well."""
    return frozenset({"resting-heart-rate"})


def _bouts(free: dict[int, Json], _: dict[str, int]) -> Groups:
    reading = _readings()["session"]
    groups: dict[tuple[str, str], list[int]] = {}
    for place, one in free.items():
        if any(template.fits(one) for template in reading.others if "each" not in template.spec):
            period = one.get("effectivePeriod", {})
            said = f"{period.get('start')}/{period.get('end')}" if period else str(one.get("effectiveDateTime"))
            groups.setdefault((_subject(one), said), []).append(place)
    yield from ((places, reading) for places in groups.values())


def _alone(free: dict[int, Json], _: dict[str, int]) -> Groups:
    reading = _readings()["vital"]
    yield from (([place], reading) for place, one in free.items() if any(template.fits(one) for template in reading.others))


def whose(one: Json) -> Json | None:
    """The Reference to whom a resource is about, under the name that its type has for it."""
    type_ = _readings()["vital"].shared.types.get(one["resourceType"], {})
    actors = (said.get("actor", {}) for said in one.get("participant", ()))
    return one.get(type_.get("subject", "subject")) or next((actor for actor in actors if "Patient/" in actor.get("reference", "")), None)


def _subject(one: Json) -> str:
    subject = one.get("subject", {})
    return str(subject.get("reference") or subject.get("identifier", {}).get("value", ""))


def _references(node: Any) -> Iterator[str]:
    """Every literal reference in a resource, `Type/id`, without a base or version."""
    if isinstance(node, dict):
        said = node.get("reference")
        if isinstance(said, str):
            yield local_reference(said)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def names_of(one: Json) -> Iterator[str]:
    """What a reference may call a resource: its type and id, and the fullUrl of its entry (`_fullUrl`)."""
    if "id" in one:
        yield f"{one['resourceType']}/{one['id']}"
    if "_fullUrl" in one:
        yield local_reference(one["_fullUrl"])


def local_reference(said: str) -> str:
    """`https://x/fhir/Observation/1/_history/2` as `Observation/1`; a urn as it is."""
    parts = said.partition("/_history/")[0].rsplit("/", 2)
    return said if said.startswith("urn:") else "/".join(parts[-2:])


# What a resource says


def _source_coding(concept: Json, measure: Measure) -> str | None:
    """The source's own code beside those that the standard writes itself."""
    ours = {LOCAL: {measure.key}, LOINC: set(measure.loinc), "urn:oid:2.16.156.10011.2.2.1": {measure.wst363}}
    more = [(system, code) for system, code in codings(concept) if code and code not in ours.get(system, ())]
    first = next((pair for pair in more if pair[0] == MDC), more[0] if more else None)
    return None if first is None else "|".join(filter(None, first))


# Reading a record


class _Fields:
    """The fields of a record, or of an entry of one of its lists (`outer`: the record's), as they are found."""

    def __init__(self, shared: Shared, struct: type[msgspec.Struct], outer: _Fields | None = None) -> None:
        self.shared, self.struct, self.outer, self.found = shared, struct, outer, dict[str, Any]()
        self.types = typing.get_type_hints(struct)
        self.required = {field.name for field in msgspec.structs.fields(struct) if field.required}
        self.unless_start: list[tuple[str, Moment]] = []
        self.unless_found: list[tuple[str, Any]] = []
        self.flagged: list[Flag] = []

    def put(self, name: str, value: Any) -> None:
        """A field's value, in the field's own type; the first that says something stays. `record.x`, from inside a list, is the record's
        where nothing else says it."""
        if name.startswith("record."):
            if self.outer is not None:
                self.outer.unless_found.append((name.removeprefix("record."), value))
            return
        if value is None or self.found.get(name) is not None:
            return
        wanted = self.types[name]
        if isinstance(value, float) and value.is_integer() and int in (wanted, *typing.get_args(wanted)) and float not in typing.get_args(wanted):
            value = int(value)
        if isinstance(value, list) and typing.get_origin(wanted) is not list:
            value = value[0] if value else None
        self.found[name] = value

    def entry(self, name: str) -> _Fields:
        """An entry of a list field, to be filled."""
        return _Fields(self.shared, typing.get_args(self.types[name])[0], self.outer or self)

    def made(self) -> Any:
        """The struct. Raises InvalidRecord where something that it needs was not said."""
        for name, value in self.unless_found:
            self.put(name, value)
        for field in msgspec.structs.fields(self.struct):
            if field.required and typing.get_origin(field.type) is list:
                self.found.setdefault(field.name, [])
        tag = self.struct.__struct_config__.tag
        said = {**msgspec.to_builtins(self.found), **({self.struct.__struct_config__.tag_field: tag} if tag else {})}
        try:
            return msgspec.convert(said, self.struct)
        except msgspec.ValidationError as wrong:
            raise InvalidRecord(f"The {tag or self.struct.__name__.lower()} is not complete: {wrong}.", code="not-complete") from None


def _read(reading: Reading, group: list[Json], resources: Sequence[Json], by_reference: dict[str, int]) -> Record:
    fields = _Fields(reading.shared, KINDS[reading.kind])
    entries: dict[str, list[tuple[int, Any]]] = {}
    for one in group:
        templates = (*reading.anchors, *reading.others)
        template = next((template for template in templates if template.fits(one)), None) or next(other for other in reading.others if other.takes(one))
        _status(one)
        one = _order_in_words(one, resources, by_reference) if one["resourceType"] == "ServiceRequest" else one
        one = _with_words(one) if reading.kind == "vital" else one
        if "each" in template.spec:
            entries.setdefault(template.spec["each"], []).append((_slot(one), _entry(fields, template, one, group[0])))
        else:
            _resource(fields, template, one)
    for name, found in entries.items():
        fields.found[name] = [entry for _, entry in sorted(found, key=itemgetter(0))]
    _times(reading, fields, group)
    fields.put("device", _device(reading, group, resources, by_reference))
    if "gateway" in reading.table:
        fields.put("gateway", _device_at((_extension(reading.shared, group[0], "gateway") or {}).get("valueReference"), reading, resources, by_reference))
    _why(fields, group[0], resources, by_reference)
    _flags(fields)
    record: Record = fields.made()
    return record


def _why(fields: _Fields, one: Json, resources: Sequence[Json], by_reference: dict[str, int]) -> None:
    """The reason of a plan or a goal where no order of it says one: what it addresses."""
    addressed = (_concept_of(said, resources, by_reference) for said in one.get("addresses", ()) if one["resourceType"] in ("CarePlan", "Goal"))
    reason = next(filter(None, addressed), None)
    if reason is not None:
        fields.unless_found += zip(("reason", "reason_coding"), opposites.OPPOSITES["coded"](reason, None), strict=True)


def _flags(fields: _Fields) -> None:
    """What was assumed in reading, behind what the source itself says was."""
    said = fields.found.get("flags") or []
    new = [flag for flag in fields.flagged if flag.code not in {one.code for one in said}]
    if new:
        fields.found["flags"] = [*said, *new]


def _order_in_words(one: Json, resources: Sequence[Json], by_reference: dict[str, int]) -> Json:
    """An order as we would write it: why, where it only refers to that; what, where a foreign one says so in nothing but its code."""
    more: Json = {}
    if "reasonCode" not in one:
        reasons = (_concept_of(said, resources, by_reference) for said in one.get("reasonReference", ()))
        more["reasonCode"] = [reason for reason in reasons if reason]
    if "orderDetail" not in one and "code" in one and _RECORD not in dict(codings(one["code"])):
        more["orderDetail"] = [one["code"]]
    return {**one, **{name: value for name, value in more.items() if value}}


def _with_words(one: Json) -> Json:
    """A measurement with what its components say beside the figures as a note."""
    words = "; ".join(words_beside(one))
    return {**one, "note": [*one.get("note", ()), {"text": words}]} if words else one


def _concept_of(reference: Json, resources: Sequence[Json], by_reference: dict[str, int]) -> Json | None:
    """What a reference leads to, by its code or else by the reference's own words."""
    place = by_reference.get(local_reference(reference.get("reference", "")))
    shown = {"text": reference["display"]} if reference.get("display") else None
    return shown if place is None else resources[place].get("code") or shown


def _slot(one: Json) -> int:
    """The place of an entry in its list: its slot, where its id is the hub's own."""
    return int(one["id"].rpartition("-")[2]) if _OWN.fullmatch(one.get("id", "")) else 0


def _status(one: Json) -> None:
    """Refuse what its author took back, and a result that is not there yet."""
    gone = ("entered-in-error", "cancelled", "registered", "unknown") if one["resourceType"] in ("Observation", "DiagnosticReport") else ("entered-in-error",)
    name = "lifecycleStatus" if one["resourceType"] == "Goal" else "status"
    verified = dict(codings(one.get("verificationStatus")))
    if one.get(name) in gone:
        raise InvalidRecord(f"Its status is {one[name]}.", code="status", field=name)
    if "entered-in-error" in verified.values():
        raise InvalidRecord("Its verification status is entered-in-error.", code="status", field="verificationStatus")


def _entry(record: _Fields, template: Template, one: Json, anchor: Json) -> Any:
    """One entry of a list field: a Quantity, or a struct of its own such as a lap."""
    if template.spec.get("quantity") == "self":
        measure = _needed(one)
        return quantity_of(one.get("valueQuantity", {}), measure, _source_coding(one["code"], measure), _original(record.shared, one))
    fields = record.entry(template.spec["each"])
    _resource(fields, template, one)
    _in_its_unit(fields)
    if template.spec["effective"] == "lap":
        period, whole = one.get("effectivePeriod"), anchor.get("effectivePeriod")
        said = (period or {}).get("start") or one.get("effectiveDateTime")
        if said and (period, one.get("effectiveDateTime")) != (whole, anchor.get("effectiveDateTime")):
            fields.put("start", opposites.moment(said, None).at)
    return fields.made()


def _in_its_unit(fields: _Fields) -> None:
    """The value of a known measure in the measure's unit, with what was written where it had to be converted."""
    measure, value, unit = MEASURES.get(fields.found.get("measure", "")), fields.found.get("value"), fields.found.get("unit")
    if measure is None or value is None or unit is None or unit == measure.unit:
        return
    if str(fields.found.get("coding", "")).startswith(MDC):
        measure = by_property(measure, ucum(unit))
        fields.found["measure"] = measure.key
    said = quantity_of({"value": value, "code": unit}, measure, None, None)
    fields.found |= {"value": said.value, "unit": said.unit}
    if "original" in fields.types:
        fields.put("original", said.original)


def _needed(one: Json) -> Measure:
    measure = measure_of(one.get("code"), one.get("valueQuantity"))
    if measure is None:
        raise InvalidRecord("Its code is no measure of the standard.", code="not-a-measure", field="code")
    return measure


def _resource(fields: _Fields, template: Template, one: Json) -> None:
    spec = template.spec
    if "value" in spec:
        _value(fields, spec, one)
    if "quantity" in spec:
        measure = _needed(one)
        fields.put("measure", measure.key)
        if "valueQuantity" in one:
            fields.put(spec["quantity"], quantity_of(one["valueQuantity"], measure, _source_coding(one["code"], measure), _original(fields.shared, one)))
    _components(fields, spec.get("components"), one)
    for name, typed in spec.get("extension", {}).items():
        (kind, names) = next(iter(typed.items()))
        _put(fields, names, opposites.EXTENSIONS[kind](_extension(fields.shared, one, name)))
    for name, node in spec.get("elements", {}).items():
        if isinstance(node, Table) and "reference_range" in node:
            _put(fields, node["reference_range"], _range(one))
        else:
            _node(fields, node, one.get(name), one.get(f"_{name}"))
    if spec.get("whole"):
        _whole(fields, one, noted="note" not in spec.get("elements", {}))


def _components(fields: _Fields, components: Any, one: Json) -> None:
    if isinstance(components, Table):
        fields.put(components["each"], list(_quantities(fields.shared, one)) or None)
    for part in components if isinstance(components, list) else ():
        _part(fields, part, one)


def _put(fields: _Fields, names: Any, values: Iterable[Any]) -> None:
    for name, value in zip(listed(names), values, strict=False):
        fields.put(name, value)


def _node(fields: _Fields, node: Any, said: Any, beside: Any = None) -> None:
    """What `mappings/shape.py` wrote, read: `node` is the YAML's, `said` the JSON's, `beside` a primitive's own extensions."""
    if said is None:
        return
    if isinstance(node, list):
        _list(fields, node, said)
    elif not isinstance(node, Table) or "to" in node or "local" in node:
        return
    elif "each" in node:
        fields.put(node["each"], [_filled(fields.entry(node["each"]), node, one).made() for one in said])
    elif is_call(node):
        _call(fields, node, said, beside)
    elif isinstance(said, dict):
        _filled(fields, node, said)


def _filled(fields: _Fields, node: Table, said: Json) -> _Fields:
    for name, inner in node.items():
        if name != "each":
            _node(fields, inner, said.get(name), said.get(f"_{name}"))
    return fields


def _list(fields: _Fields, nodes: list[Any], said: Any) -> None:
    """Each node takes the first entry, not taken yet, that has its constants and says something."""
    left = list(said) if isinstance(said, list) else []
    for node in nodes:
        for one in left:
            if not _has_constants(node, one):
                continue
            trial = _Fields(fields.shared, fields.struct, fields.outer)
            _node(trial, node, one)
            if trial.found or trial.unless_start or trial.unless_found:
                _node(fields, node, one)
                left.remove(one)
                break


def _has_constants(node: Any, said: Any) -> bool:
    if isinstance(node, Table):
        if "local" in node:
            return isinstance(said, dict) and any(code == node["local"] for _, code in codings(said))
        if "to" in node or "each" in node or is_call(node):
            return True
        return isinstance(said, dict) and all(_has_constants(inner, said.get(name)) for name, inner in node.items())
    return True if isinstance(node, list) else bool(node == said)


def _call(fields: _Fields, call: Table, said: Any, beside: Any) -> None:
    function, names = next((key, value) for key, value in call.items() if key not in BESIDE)
    meant = [meaning for meaning, written in call.get("map", {}).items() if written == said] or [said]
    if said == call.get("otherwise") and listed(names)[0] not in fields.required:
        return
    if len(meant) > 1:
        fields.unless_found.append((listed(names)[0], meant[0]))
        return
    said = meant[0]
    if function in _OF_MEASURES:
        _put(fields, names, _OF_MEASURES[function](said))
    elif function == "moment" and len(listed(names)) > 1:
        _second_moment(fields, listed(names), opposites.moment(said, beside))
    else:
        read = opposites.OPPOSITES[function](said, beside)
        _put(fields, names, read)
        if function == "day" and read == (None,):
            (fields.outer or fields).flagged.append(Flag("time-unreadable"))
        if function == "coded" and read[0] is None and listed(names)[0] in fields.required:
            fields.put(listed(names)[0], read[1])


def _second_moment(fields: _Fields, names: list[str], at: Moment) -> None:
    """A moment that was written as another one for want of its own: the other is known by it where nothing else says it."""
    of_record = fields.outer if names[0].startswith("record.") and fields.outer is not None else fields
    first, other = (name.removeprefix("record.") for name in names)
    of_record.unless_start.append((first, at))
    of_record.unless_found.append((other, at))


def _analyte(said: Json) -> tuple[str | None, str | None, str | None]:
    """Measure, the source's own coding and the source's own name."""
    measure = measure_of(said)
    if measure is None:
        text, coding = opposites.OPPOSITES["coded"](said, None)
        return None, coding, text
    return measure.key, _source_coding(said, measure), None if said.get("text") == measure.zh else said.get("text")


def _measure_key(said: Json) -> tuple[str | None]:
    measure = measure_of(said)
    return (measure.key if measure else None,)


_OF_MEASURES: Final[dict[str, Callable[[Json], tuple[Any, ...]]]] = {"analyte": _analyte, "measure_concept": _measure_key, "goal_measure": _measure_key}
"""Opposites of the functions that write a measure's codes."""


def _range(one: Json) -> tuple[float | None, float | None]:
    """The ends of the reference range in the measure's unit; an end without a number, or in a unit of its own, is not read."""
    measure, ends = _needed(one), opposites.range_of(one.get("referenceRange"))
    low, high = (quantity_of({"code": measure.unit, **end}, measure, None, None).value if "value" in end else None for end in ends)
    return low, high


def _value(fields: _Fields, spec: Table, one: Json) -> None:
    """A number into its field, seconds to the millisecond. Where several fields may be the value, a coding of the field's own measure tells which."""
    said = one.get("valueQuantity")
    if said is None:
        return
    names: list[Any] = [*listed(spec["value"])]
    measure, named = _needed(one), {code for _, code in codings(one.get("code"))}
    stated = (field for name in names if isinstance(name, dict) for field, key in name.items() if key in named)
    field = next(stated, None) or fields_of(spec)[0]
    value, factor = quantity_of(said, measure, None, None).value, factor_of(spec, field, measure.unit)
    fields.put(field, value if factor == 1.0 else round(value / factor, 3))


def _part(fields: _Fields, spec: Table, one: Json) -> None:
    wanted = set(functions.CHOICES[spec["measure"]["of"]][1]) if isinstance(spec["measure"], dict) else {spec["measure"]}
    for component in one.get("component", ()):
        measure = measure_of(component.get("code"), component.get("valueQuantity"))
        if measure is not None and measure.key in wanted and "valueQuantity" in component:
            _value(fields, spec, component)


def _quantities(shared: Shared, one: Json) -> Iterator[Quantity]:
    for component in one.get("component", ()):
        measure = measure_of(component.get("code"), component.get("valueQuantity"))
        if measure is not None and "valueQuantity" in component:
            coding = _source_coding(component["code"], measure)
            yield quantity_of(component["valueQuantity"], measure, coding, _original(shared, component))


def _extension(shared: Shared, one: Json, name: str) -> Json | None:
    return next((said for said in one.get("extension", ()) if said.get("url") == url_of(shared, name)), None)


def _original(shared: Shared, one: Json) -> str | None:
    said = _extension(shared, one, "original-value")
    return said.get("valueString") if said else None


def _whole(fields: _Fields, one: Json, *, noted: bool) -> None:
    """What is said once of a record: flags, modality, the source's own id, the note."""
    shared = fields.shared
    flags = [Flag(said["valueCode"]) for said in one.get("extension", ()) if said.get("url") == url_of(shared, "quality-flag")]
    fields.put("flags", flags or None)
    fields.put("modality", (_extension(shared, one, "modality") or {}).get("valueCode"))
    note = (_extension(shared, one, "note") or {}).get("valueString")
    fields.put("note", note or ("\n".join(said["text"] for said in one.get("note", ()) if said.get("text")) if noted else None) or None)
    fields.put("source_record_id", _source_id(one))


def _source_id(one: Json) -> str | None:
    identifiers = one.get("identifier", ())
    listed_ = [identifiers] if isinstance(identifiers, dict) else identifiers
    return next((said["value"] for said in listed_ if said.get("value") and not said["value"].startswith("urn:oid:")), None)


def _times(reading: Reading, fields: _Fields, group: list[Json]) -> None:
    """Start and end, and the day of what is about a day. A second moment that is the start itself was written for want of its own."""
    _start_and_end(reading, fields, group)
    for name, value in fields.unless_found:
        if name == "start":
            fields.put(name, value)
    for name, at in fields.unless_start:
        if at != fields.found.get("start"):
            fields.put(name, at)


def _start_and_end(reading: Reading, fields: _Fields, group: list[Json]) -> None:
    if reading.table["effective"] == "date":
        fields.put("date", _said_day(group[0]))
        fields.put("start", Moment(local=opposites.midnight(fields.found["date"]), precision="day"))
        return
    if group[0]["resourceType"] == "Goal":
        fields.put("start", _time(("startDate", "start"), group[0])[0])
        return
    for one in (group[0], *(other for other in group if other["resourceType"] != group[0]["resourceType"])):
        form = next(iter(reading.shared.types[one["resourceType"]].get("time", {}).items()), None)
        if form is not None and fields.found.get("end") is None:
            whole = (_extension(fields.shared, one, "effective-period") or {}).get("valuePeriod")
            if form[1] == "recorded" and form[0] not in one:
                fields.put("start", _not_recorded(fields, one))
                continue
            start, end = opposites.effective(one, whole) if form == ("effective", "choice") else _time(form, one)
            fields.put("start", start)
            fields.put("end", end)
        if reading.table["effective"] != "period":
            return


def _not_recorded(fields: _Fields, one: Json) -> Moment:
    """The start of what does not say when it was recorded: the day of its onset; flagged."""
    said = one.get("onsetDateTime", "")[:10]
    if len(said) < len("2026-05-01"):
        raise Unreadable("recordedDate", "It says neither when it was recorded nor on what day it began.")
    fields.flagged.append(Flag("time-from-onset"))
    return opposites.moment(said, None)


def _time(form: tuple[str, str], one: Json) -> tuple[Moment | None, Moment | None]:
    """The time of a type that has it elsewhere than in effective[x]: a period, or one moment."""
    name, _ = form
    said = one.get(name)
    if isinstance(said, dict):
        return opposites.period_of(said, None)
    if said is None:
        raise Unreadable(name, "It does not say when.")
    return opposites.moment(said, one.get(f"_{name}")), None


def _device(reading: Reading, group: list[Json], resources: Sequence[Json], by_reference: dict[str, int]) -> Device | None:
    said = next((one["device"] for one in group if "device" in one), None) or _beside(reading, group[0], by_reference)
    return _device_at(said, reading, resources, by_reference)


def _device_at(said: Json | None, reading: Reading, resources: Sequence[Json], by_reference: dict[str, int]) -> Device | None:
    """The device that a Reference leads to, else what the Reference itself says of it."""
    if said is None:
        return None
    place = by_reference.get(local_reference(said.get("reference", "")))
    if place is None:
        name = said.get("identifier", {}).get("value")
        return Device(identifier=name) if name else Device(model=said["display"]) if said.get("display") else None
    fields = _Fields(reading.shared, Device)
    for element, call in reading.shared.device["elements"].items():
        (function, names) = next(iter(call.items()))
        _put(fields, [name.partition(".")[2] for name in listed(names)], opposites.OPPOSITES[function](resources[place].get(element), None))
    return fields.made() if any(fields.found.values()) else None


def _beside(reading: Reading, one: Json, by_reference: dict[str, int]) -> Json | None:
    """The device of a face whose resources have no element for one (an Encounter): it lies at the same record's slot for devices."""
    name = f"Device/{one.get('id', '').rpartition('-')[0]}-{reading.table.get('device')}"
    return {"reference": name} if name in by_reference else None


# The YAML, compiled for reading


@cache
def _readings() -> dict[str, Reading]:
    shared_table, tables = tables_of(FOLDER)
    shared = read_shared(shared_table)
    return {table["kind"]: _reading(table, shared) for table in tables}


def _reading(table: Table, shared: Shared) -> Reading:
    base = base_of(table)
    templates = [_template(table["kind"], spec.over(base), shared) for spec in table["resources"]]
    anchors = tuple(one for one in templates if one.spec.get("whole") and (one.spec.get("members") or one.measures is None))
    return Reading(table["kind"], shared, table, anchors, tuple(one for one in templates if one not in anchors))


def _template(kind: str, spec: Table, shared: Shared) -> Template:
    code = spec.get("code", {})
    codes = frozenset((shared.systems[system], value) for system, value in code.items() if system != "zh")
    return Template(kind, spec["slot"], spec, codes, _measures(spec), shared.profiles.get(spec.get("profile", "")))


def _measures(spec: Table) -> frozenset[str] | None:
    measure = spec.get("measure")
    if measure is None:
        return None
    if isinstance(measure, dict):
        return frozenset(functions.CHOICES[measure["of"]][1])
    return frozenset(MEASURES) if measure == "own" else frozenset({measure})


def known_types() -> Iterable[str]:
    """The resource types that may be a record."""
    return {template.spec["type"] for reading in _readings().values() for template in (*reading.anchors, *reading.others)}
