"""Turns a YAML of `mappings/fhir/` into functions that write a record's FHIR resources as JSON bytes.

A template becomes constant fragments with small functions between them; they are joined once per resource. The vocabulary
is what `_TEMPLATE` lists; functions come from the closed lists in `mappings/functions.py`; nothing in a YAML is evaluated.

    slot        stable number of the resource in its record; with `each`, the first of a range
    each        a list field: one resource per entry; `order` (measure keys) gives an entry the slot of its measure
    measure     a measure key; `own` (the quantity's or record's own); `{of: name}` chosen by a named function
    value       a field, or the first present of several, in the measure's unit; the field's suffix names its unit. `{field: measure}`
                adds that measure's coding when this field is the one, so that a reader can tell
    quantity    a field holding a Quantity, or `self` for the entry of `each`
    code        coded by hand: `{system: code, ..., record: code}`; the code of `record` is one of `schemas/codes.csv` and gives the text
    when        a field that must be present; stands_in: written with an absent reason when nothing else was measured
    whole       carries what is said once of the record: flags, modality, the source's own id, the note
    members     lists the other Observations of the face
    elements    what else the resource says, see `mappings/shape.py`
    phd         the profile of the HL7 PHD IG to claim too where the source said all that it asks (`mappings/phd.py`); `{value: ..., components: ...}`
                by whether the measure has a value of its own

Where a type keeps subject, time and device is told once, under `types` of `shared.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from mappings import elements, functions, shape
from mappings.elements import Part, Parts, Reading, Scope, Shared, listed, named
from mappings.functions import Context, dumps
from mappings.tables import Table
from schemas.classes import CODES, NAMES, DataClass
from schemas.classes import SYSTEM as CLASS_SYSTEM
from schemas.errors import InvalidRecord
from schemas.measures import MEASURES, Measure
from schemas.records import KINDS
from schemas.standard import OF_RESIDENTS

_TEMPLATE = (
    "slot", "type", "class", "profile", "category", "code", "measure", "value", "quantity", "when", "each", "order", "effective", "whole",
    "note", "members", "stands_in", "claimed_when", "claimed_otherwise", "extension", "elements", "constant", "components", "phd",
)  # fmt: skip
_MAPPING = ("kind", "version", "class", "effective", "device", "gateway", "left_out", "shared", "resources", "examples")
_TYPE = ("subject", "time", "device", "status", "identifier", "members")
R4_PROFILES = "http://hl7.org/fhir/StructureDefinition/"
IPS_PROFILES = "http://hl7.org/fhir/uv/ips/StructureDefinition/"
"""Of any record of a type, as R4's own: no record is known by them."""
_RANGE, _REPEATS = 100, 5
_REFERRING = {"practitioner", "organization", "author"}
NO_CLASS = "none"
"""What stands for the data class of what is about no resident."""
RESERVED = range(60, 100)
"""Slots of a session that its samples take (`mappings/sampled.py`)."""


class Written(NamedTuple):
    """One way a template's resource is written: its data class and its fragments."""

    classes: int
    first: bytes
    pairs: tuple[tuple[Part, bytes], ...]


class Template(NamedTuple):
    """A compiled template. `variants` is keyed by measure; None where the template has one form only.

    members: opening of the element that lists the other Observations; room: slots of a list before the next one's begin
    """

    slot: int
    type: str
    opening: bytes
    each: Callable[[Any], list[Any]] | None
    order: dict[str, int] | None
    present: Callable[[Any], bool]
    pick: Callable[[Context, Any], str | None]
    variants: dict[str | None, Written]
    members: bytes
    stands_in: bool
    room: int | None = None

    def slots(self, record: Any) -> list[int]:
        """The slots that this record fills."""
        if self.each is None:
            return [self.slot] if self.present(record) else []
        return slots_of(self, self.each(record))


class Face(NamedTuple):
    """A compiled YAML: its templates, those of the device and its gateway where it has them, and its version."""

    kind: str
    version: str
    effective: Part
    device: Template | None
    gateway: Template | None
    templates: tuple[Template, ...]


def _profiles(shared: Shared, spec: Table, measure: Measure | None) -> list[str]:
    """What a template claims: its profile, and ours beside it where that restates another guide's."""
    if "profile" not in spec and spec["type"] != "Observation":
        return [R4_PROFILES + spec["type"]]
    name = spec.need("profile")
    if name == "by-measure":
        assert measure is not None
        name = shared.measures.get(measure.key) or shared.by_category.get(measure.category, "measurement")
    return [named(spec, "profile", name, shared.profiles), *([shared.beside[name]] if name in shared.beside else [])]


def _phd_profiles(shared: Shared, spec: Table, measure: Measure | None) -> list[str]:
    """What is claimed too where a record is all that the HL7 PHD IG asks: its profile, and ours that restates it."""
    said = spec["phd"]
    name = said if isinstance(said, str) else said.need("value" if measure is not None and measure.unit else "components")
    return [named(spec, "phd", name, shared.profiles), shared.beside[name]]


def _categories(shared: Shared, spec: Table, measure: Measure | None, profile: str) -> list[str]:
    if spec["category"] != "by-measure":
        return list(spec["category"])
    assert measure is not None
    return [measure.category, "physical-activity"] if "/physical-activity/" in profile else [measure.category]


def _class(spec: Table, measure: Measure | None) -> str:
    name = spec.need("class")
    if name == NO_CLASS:
        return NO_CLASS
    if name == "by-measure":
        assert measure is not None
        return next(code for code, member in CODES.items() if member == measure.data_class)
    named(spec, "class", name, CODES)
    return str(name)


def security(code: str) -> dict[str, str]:
    """The `meta.security` label of a data class."""
    return {"system": CLASS_SYSTEM, "code": code, "display": NAMES[code][0]}


def _merged(parts: Parts) -> tuple[bytes, tuple[tuple[Part, bytes], ...]]:
    first, pairs = b"", []
    for part in parts:
        if not isinstance(part, bytes):
            pairs.append((part, b""))
        elif pairs:
            pairs[-1] = (pairs[-1][0], pairs[-1][1] + part)
        else:
            first += part
    return first, tuple(pairs)


def _is_vital_sign(spec: Table, profile: str) -> bool:
    """Whether a profile of R4 itself wants one moment where the face has a period."""
    return spec["type"] == "Observation" and profile.startswith(R4_PROFILES) and spec.get("effective") == "period"


def _about(shared: Shared, spec: Table, profile: str) -> list[Part]:
    """Subject, effective time and device, where the resource type has them."""
    if _is_vital_sign(spec, profile):
        return [_about_moment]
    type_, effective = shared.types[spec["type"]], functions.EFFECTIVE[spec["effective"]]
    if "time" in type_ and type_["time"] == {"effective": "choice"}:
        return _about_effective(spec, type_, effective)
    parts: list[Part] = []
    if "subject" in type_:
        parts.append(_subject(type_["subject"]))
    if "time" in type_ and spec["effective"] != "none":
        (name, form) = next(iter(type_["time"].items()))
        parts.append(functions.TIMES[form](name))
    return parts


def _subject(name: str) -> Part:
    opening = b',"%b":' % name.encode()
    return lambda context, _: opening + context.subject[11:]


def _about_effective(spec: Table, type_: Table, effective: Callable[[Context, Any], bytes]) -> list[Part]:
    if "device" not in type_:
        return [lambda context, _: context.subject + context.effective]
    if "each" in spec and spec["effective"] == "lap":
        return [lambda context, item: context.subject + effective(context, item) + context.device]
    return [lambda context, _: context.about]


def _about_moment(context: Context, _: Any) -> bytes:
    if context.record.end is None:
        return context.about
    return context.subject + functions.effective_start(context, context.record) + context.device


def _without_note(spec: Table) -> Table:
    """The Physical Activity profiles want a person behind every note: it becomes an extension."""
    return Table({**spec, "note": False}).of(spec)


def _meta(scope: Scope, spec: Table, profiles: list[str], data_class: str, of_phd: list[str]) -> bytes | Part:
    """Profiles and label, those of the HL7 PHD IG among them where all of the record may claim it.

    With `claimed_when` the first profile is claimed when each of its calls writes something, and of a person or a party a reference, not a name
    alone; else those beside it are, or the one of `claimed_otherwise`.
    """
    otherwise = spec.get("claimed_otherwise")
    fewer = [named(spec, "claimed_otherwise", otherwise, scope.shared.profiles)] if otherwise else profiles[1:]
    whole, less = _labelled(profiles, data_class), _labelled(fewer, data_class)
    if spec["type"] == "Observation" and "performer" in spec.get("elements", {}) and "/physical-activity/" in profiles[0]:
        return _unless_performed(scope, spec, whole, data_class)
    if of_phd:
        more = _labelled([*profiles, *of_phd], data_class)
        return lambda context, _: more if context.is_phd else whole
    if "claimed_when" not in spec:
        return whole
    needed = [(shape.node(scope, spec, call), b'"reference":' if _REFERRING & set(call) else b"") for call in spec["claimed_when"]]

    def write(context: Context, item: Any) -> bytes:
        said = ((one if isinstance(one, bytes) else one(context, item), needle) for one, needle in needed)
        return whole if all(one and needle in one for one, needle in said) else less

    return write


def _unless_performed(scope: Scope, spec: Table, whole: bytes, data_class: str) -> Part:
    """The Physical Activity profiles take a person of the directory as performer, no name alone and no organization: what has one is a measurement."""
    performed, plain = shape.node(scope, spec, spec["elements"]["performer"]), _labelled([scope.shared.profiles["measurement"]], data_class)
    assert not isinstance(performed, bytes)
    return lambda context, item: plain if performed(context, item) else whole


def _labelled(profiles: list[str], data_class: str) -> bytes:
    label = {} if data_class == NO_CLASS else {"security": [security(data_class)]}
    return b'"meta":' + dumps({"profile": profiles, **label}) + b',"language":"zh-CN"'


def _written(scope: Scope, spec: Table, measure: Measure | None, closing: Parts) -> Written:
    shared = scope.shared
    profiles, data_class = _profiles(shared, spec, measure), _class(spec, measure)
    profile = profiles[0]
    spec = _without_note(spec) if "/physical-activity/" in profile else spec
    quantity = _quantity(scope, spec)
    parts: Parts = [_meta(scope, spec, profiles, data_class, _phd_profiles(shared, spec, measure) if "phd" in spec else [])]
    extensions = elements.extensions(scope, spec, quantity)
    extensions += [elements.effective_period(shared)] if _is_vital_sign(spec, profile) else []
    if extensions:
        parts.append(elements.wrapped(extensions, b',"extension":['))
    type_ = shared.types[spec["type"]]
    if spec.get("whole"):
        parts.append(elements.one_identifier if type_.get("identifier") == "one" else elements.identifier)
    if "status" in type_ and "status" not in spec.get("elements", {}):
        parts.append(b',"status":%b' % dumps(type_["status"]))
    parts += [b',"%b":%b' % (name.encode(), dumps(value)) for name, value in spec.get("constant", {}).items()]
    if "category" in spec:
        parts += elements.category(shared, spec, _categories(shared, spec, measure, profile))
    parts += _code(scope, spec, measure, quantity)
    parts += _about(shared, spec, profile)
    parts += _value(scope, spec, measure, quantity)
    parts += [shape.element(scope, spec, name, value) for name, value in spec.get("elements", {}).items()]
    parts += [elements.note] if spec.get("whole") and spec.get("note") else []
    parts += closing
    return Written(0 if data_class == NO_CLASS else int(CODES[data_class]), *_merged([*parts, b"}"]))


def _quantity(scope: Scope, spec: Table) -> Reading | None:
    name = spec.get("quantity")
    if name is None:
        return None
    return elements.itself if name == "self" else scope.getter(spec, "quantity", name)


def _code(scope: Scope, spec: Table, measure: Measure | None, quantity: Reading | None) -> Parts:
    if measure is not None:
        return [b",", *elements.measure_code(measure, quantity, elements.stated_code(scope, spec) if "value" in spec else None)]
    return [b",", *elements.hand_code(scope.shared, spec)] if "code" in spec else []


def _value(scope: Scope, spec: Table, measure: Measure | None, quantity: Reading | None) -> Parts:
    if measure is None:
        return []
    if quantity is not None:
        return [elements.own_quantity(scope.shared, quantity, measure)]
    return [elements.field_quantity(scope.shared, elements.field_value(scope, spec, measure.unit), measure)]


def _closing(scope: Scope, spec: Table) -> Parts:
    parts: Parts = []
    if spec.get("stands_in"):
        when = scope.getter(spec, "when", spec.need("when"))
        parts.append(lambda _, item: b"" if functions.there(when(item)) else b',"dataAbsentReason":' + functions.ABSENT)
    if spec.get("members"):
        name = _members(scope.shared, spec)
        parts.append(lambda context, _: b"%b%b]" % (name, context.members) if context.members else b"")
    components = spec.get("components")
    if isinstance(components, Table):
        components.only(("each", "required"))
        parts.append(elements.quantity_components(scope, components))
    elif components:
        parts.append(elements.field_components(scope, components))
    return parts


def _members(shared: Shared, spec: Table) -> bytes:
    type_ = shared.types[spec["type"]]
    if not spec.get("members"):
        return b""
    if "members" not in type_:
        raise spec.wrong(f"members: {spec['type']} has no list of Observations", "members")
    return b',"%b":[' % type_["members"].encode()


def _present(scope: Scope, spec: Table) -> Callable[[Any], bool]:
    names = [*listed(spec.get("when", []))]
    required = [scope.getter(spec, "when", name) for name in names]
    if "value" in spec:
        required.append(elements.first_of([scope.getter(spec, "value", name) for name in elements.fields_of(spec)]))
    if len(required) == 1:
        (only,) = required
        return lambda item: functions.there(only(item))
    return lambda item: all(functions.there(getter(item)) for getter in required)


def _template(scope: Scope, spec: Table) -> Template:
    spec.only(_TEMPLATE)
    named(spec, "type", spec.need("type"), scope.shared.types)
    named(spec, "effective", spec.need("effective"), functions.EFFECTIVE)
    inner, each = scope, None
    if "each" in spec:
        if "when" in spec or "value" in spec:
            raise spec.wrong("each: its entries are always there; `when` and `value` do not go with it", "each")
        each = scope.getter(spec, "each", spec["each"])
        inner = scope.of_entries(spec, spec["each"])
    pick, measures = elements.measures_of(inner, spec)
    closing = _closing(inner, spec)
    opening = b'{"resourceType":"%b","id":"' % spec["type"].encode()
    variants = {measure.key if measure else None: _written(inner, spec, measure, closing) for measure in measures}
    if each and spec.get("quantity") != "self":
        inner.all_used(spec, ("start",) if spec["effective"] == "lap" else ())
    return Template(
        slot=_slot(spec), type=spec["type"], opening=opening, each=each, order=_order(spec), present=_present(inner, spec), pick=pick,
        variants=variants, members=_members(scope.shared, spec), stands_in=bool(spec.get("stands_in")),
    )  # fmt: skip


def _slot(spec: Table) -> int:
    slot = spec.need("slot")
    if not isinstance(slot, int) or slot < 1:
        raise spec.wrong("slot: a number from 1 on (0 is the Provenance)", "slot")
    return slot


def _order(spec: Table) -> dict[str, int] | None:
    if "order" not in spec:
        return None
    for name in spec["order"]:
        named(spec, "order", name, MEASURES)
    if len(set(spec["order"])) != len(spec["order"]) or len(spec["order"]) > _RANGE - 10:
        raise spec.wrong("order: a measure stands twice, or there are too many", "order")
    return {name: place for place, name in enumerate(spec["order"])}


def slots_of(template: Template, entries: list[Any]) -> list[int]:
    """The slot of each entry of a repeated template: by the place of its measure, else by its number in the list.

    A measure's second reading lies 100 further; what `order` does not list, or comes more than five times, lies past all of these.
    """
    if template.order is None:
        if template.room is not None and len(entries) > template.room:
            raise InvalidRecord(f"A list of the record has more than {template.room} entries.", code="too-many")
        return list(range(template.slot, template.slot + len(entries)))
    slots, seen, past = [], dict[str, int](), template.slot + _RANGE * _REPEATS
    for entry in entries:
        place, times = template.order.get(entry.measure), seen.get(entry.measure, 0)
        seen[entry.measure] = times + 1
        if place is None or times >= _REPEATS:
            slots.append(past)
            past += 1
        else:
            slots.append(template.slot + place + _RANGE * times)
    return slots


# Files


def read_shared(table: Table) -> Shared:
    """`shared.yaml` as named tables. Raises MappingError for a missing or unknown one."""
    table.only(Shared._fields)
    for type_ in table.need("types").values():
        type_.only(_TYPE)
    return Shared(*(table.need(name) for name in Shared._fields))


def compile_face(table: Table, shared: Shared) -> Face:
    """One YAML of `mappings/fhir/`, compiled. Raises MappingError with file and line."""
    table.only(_MAPPING)
    struct = named(table, "kind", table.need("kind"), KINDS)
    if (table.get("class") == NO_CLASS) != (table["kind"] not in OF_RESIDENTS):
        raise table.wrong(f"class: {NO_CLASS!r} is for what is about no resident, and for nothing else", "class")
    scope = Scope(shared, table, struct)
    base = base_of(table)
    device, gateway = (_device(scope, base, table, name) if name in table else None for name in ("device", "gateway"))
    templates = tuple(_template(scope, spec.over(base)) for spec in table.need("resources"))
    templates = _distinct(table, templates)
    scope.slots.update((template.slot, template) for template in templates)
    for spec, slot in scope.wanted:
        named(spec, "to", str(slot), {str(known): template for known, template in scope.slots.items()})
    _whole(scope, table)
    return Face(table["kind"], str(table.need("version")), functions.EFFECTIVE[table["effective"]], device, gateway, templates)


def base_of(table: Table) -> Table:
    """What every template of a YAML takes where it does not say otherwise."""
    common = Table({key: table[key] for key in ("class", "effective") if key in table}).of(table)
    named(table, "effective", table.need("effective"), functions.EFFECTIVE)
    shared = table.get("shared")
    return shared.over(common) if shared else common


def _device(scope: Scope, base: Table, table: Table, name: str) -> Template:
    """The device, or its gateway: the same elements of another field."""
    common = scope.shared.device
    own = {"slot": table.need(name), "class": base.need("class"), "effective": "none", "phd": common.need("phd").need(name)}
    spec = Table({**own, "elements": of_field(common.need("elements"), name)}).of(table).over(common)
    if spec["class"] != "by-measure":
        return _template(scope, spec)
    scope.getter(table, "device", "measure")
    return _device_by_measure(scope, spec)


def of_field(elements: Table, field: str) -> Table:
    """The elements of a device (`shared.yaml`) as those of what another field of the record holds."""
    calls = ((name, next(iter(call.items())), call) for name, call in elements.items())
    renamed = {name: Table({key: [one.replace("device", field, 1) for one in listed(said)]}).of(call) for name, (key, said), call in calls}
    return Table(renamed).of(elements)


def _device_by_measure(scope: Scope, spec: Table) -> Template:
    """A device of a record whose data class its measure decides: one variant per data class."""
    made = {member: _template(scope, Table({**spec, "class": code}).of(spec)) for code, member in CODES.items()}
    variants: dict[str | None, Written] = {key: made[measure.data_class].variants[None] for key, measure in MEASURES.items()}
    return made[DataClass.HEALTH_CHECK]._replace(variants=variants, pick=lambda _, item: item.measure)


def _distinct(table: Table, templates: tuple[Template, ...]) -> tuple[Template, ...]:
    """The templates, each list with the room it has before the next one. Raises MappingError where slots would meet."""
    taken: set[int] = {0, table.get("device", 0), table.get("gateway", 0)}
    if table["kind"] == "session":
        taken.update(RESERVED)
    for spec, template in zip(table["resources"], templates, strict=True):
        if template.slot in taken:
            raise spec.wrong(f"slot {template.slot} is taken", "slot")
        taken.add(template.slot)
    lists = sorted((template for template in templates if template.each), key=lambda template: template.slot)
    if lists and max(taken - {template.slot for template in lists}) > lists[0].slot:
        raise table.wrong("lists of resources come last, behind every slot that does not repeat", "resources")
    if any(template.order for template in lists[:-1]):
        raise table.wrong("a list with an `order` comes last: it has no end", "resources")
    room = {one.slot: following.slot - one.slot for one, following in pairwise(lists)}
    return tuple(template._replace(room=room.get(template.slot)) for template in templates)


def _whole(scope: Scope, table: Table) -> None:
    """Every field of the record is mapped, or left out on purpose with its reason."""
    left_out = set(table.get("left_out", {}))
    for spec in table["resources"]:
        scope.used.update(_told_by_time(scope.shared, spec.over(base_of(table))))
    if table["effective"] == "date":
        scope.used.add("date")
    fields = set(scope.struct.__struct_fields__)
    for name in sorted(left_out - fields | left_out & scope.used):
        raise table["left_out"].wrong(f"{name!r} is mapped, or no field", name)
    for name in sorted(fields - scope.used - left_out):
        raise table.wrong(f"the field {name!r} is neither mapped nor in left_out")


def _told_by_time(shared: Shared, spec: Table) -> tuple[str, ...]:
    """The fields that a template's own time writes."""
    if spec["effective"] != "period":
        return ()
    forms = shared.types[spec["type"]].get("time", {}).values()
    return ("start", "end") if {"choice", "period"} & set(forms) else ("start",) if forms else ()
