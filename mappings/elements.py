"""The elements of a resource as compiled parts: codes, values, extensions, components. `mappings/compiler.py` puts them together.

A part is constant bytes or a function of the face's context and an item (the record, or an entry of a list in it).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec

from mappings import calls, functions
from mappings.functions import EXTENSIONS, Context, codings, dumps
from mappings.tables import Table
from schemas.codes import LISTS
from schemas.errors import InvalidRecord
from schemas.measures import MEASURES, UCUM, Measure, loinc_checks
from schemas.records import Quantity
from schemas.units import FACTORS, same_unit

Part = Callable[[Context, Any], bytes]
Parts = list[bytes | Part]
Reading = Callable[[Any], Quantity | None]
"""Where an item keeps its Quantity."""

_SUFFIXES = {"_s": "s", "_m": "m", "_kcal": "kcal", "_w": "W"}


class Shared(NamedTuple):
    """What `shared.yaml` names for every face."""

    profiles: Table
    beside: Table
    measures: Table
    by_category: Table
    systems: Table
    categories: Table
    extensions: Table
    units: Table
    types: Table
    device: Table


class Scope:
    """The file being compiled: the struct that its field names mean, and which of them were used.

    outer:  the record's scope, for the scope of a list's entries
    slots:  slot to compiled template of the whole file, there once it is compiled
    wanted: (table, slot) of every reference to another resource of the record
    """

    def __init__(self, shared: Shared, table: Table, struct: type[msgspec.Struct], outer: Scope | None = None) -> None:
        self.shared = shared
        self.table = table
        self.struct = struct
        self.outer = outer
        self.used: set[str] = set()
        self.slots: dict[int, Any] = outer.slots if outer else {}
        self.wanted: list[tuple[Table, int]] = outer.wanted if outer else []

    def of_entries(self, spec: Table, field: str) -> Scope:
        """The scope of a list field's entries. Raises MappingError for what is no list of structs."""
        entry: Any = next(iter(get_args(_hints(self.struct).get(field))), None)
        if not hasattr(entry, "__struct_fields__"):
            raise spec.wrong(f"each: {field!r} is no list of the record", "each")
        return Scope(self.shared, self.table, entry, self)

    def getter(self, spec: Table, key: str, name: str) -> Callable[[Any], Any]:
        """A field's getter; `a.b` reaches into a nested struct. Raises MappingError for a field that is not there."""
        struct: Any = self.struct
        for part in name.split("."):
            if part not in getattr(struct, "__struct_fields__", ()):
                raise spec.wrong(f"{key}: the record has no field {name!r}", key)
            struct = _struct_in(_hints(struct)[part])
        self.used.add(name.partition(".")[0])
        return attrgetter(name)

    def reader(self, spec: Table, key: str, name: str) -> tuple[bool, Callable[[Any], Any]]:
        """A field's getter, and whether it reads the record instead of the entry (`record.title` inside `each`)."""
        if self.outer is not None and name.startswith("record."):
            return True, self.outer.getter(spec, key, name.removeprefix("record."))
        return False, self.getter(spec, key, name)


    def all_used(self, spec: Table, but: tuple[str, ...] = ()) -> None:
        """Raises MappingError when a field of an entry is written nowhere."""
        for name in sorted({*self.struct.__struct_fields__} - self.used - {*but}):
            raise spec.wrong(f"the field {name!r} of an entry is not mapped", "each")


@cache
def _hints(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(struct)


def _struct_in(hint: Any) -> Any:
    return next((part for part in (hint, *get_args(hint)) if hasattr(part, "__struct_fields__")), None)


def listed(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [value]


def named(spec: Table, key: str, name: Any, known: dict[str, Any]) -> Any:
    if name not in known:
        raise spec.wrong(f"{key}: {name!r} is not known; known: {', '.join(sorted(known))}", key)
    return known[name]


def _source_coding(measure: Measure, of: Reading) -> Part:
    known = {f"{coding['system']}|{coding['code']}" for coding in codings(measure)}

    def write(context: Context, item: Any) -> bytes:
        quantity = of(item)
        source = quantity.coding if quantity is not None else None
        return functions.coding(context, source) if source and source not in known else b""

    return write


def measure_code(measure: Measure, quantity: Reading | None, stated: Part | None = None) -> Parts:
    """The code of a measure; `stated` adds a coding that depends on the item, and a device's panel has that of IEEE 11073."""
    listed = dumps(codings(measure))[:-1]
    named = b'],"text":%b}' % dumps(measure.zh)
    more = [*([_source_coding(measure, quantity)] if quantity else []), *([stated] if stated else []), *_panel_coding(measure)]
    return [b'"code":{"coding":' + listed, *more, named]


def _panel_coding(measure: Measure) -> Parts:
    if measure.unit or not measure.mdc:
        return []
    coding = b"," + dumps({"system": functions.MDC_SYSTEM, "code": measure.mdc[0]})
    return [lambda context, _: coding if context.is_phd else b""]


def fields_of(spec: Table) -> list[str]:
    """The fields that `value` names, the first present of which is the value."""
    return [next(iter(name)) if isinstance(name, dict) else name for name in listed(spec["value"])]


def stated_code(scope: Scope, spec: Table) -> Part | None:
    """The coding of `{field: measure}` in `value`, written when that field is the value."""
    names = listed(spec["value"])
    of = [named(spec, "value", next(iter(name.values())), MEASURES) if isinstance(name, dict) else None for name in names]
    if not any(of):
        return None
    getters = [scope.getter(spec, "value", name) for name in fields_of(spec)]
    written = [b"," + dumps(codings(measure)[-1]) if measure else b"" for measure in of]

    def write(_: Context, item: Any) -> bytes:
        return next((coding for getter, coding in zip(getters, written, strict=True) if getter(item) is not None), b"")

    return write


def hand_code(shared: Shared, spec: Table) -> Parts:
    code: Table = spec["code"]
    code.only(shared.systems)
    if "loinc" in code and not loinc_checks(code["loinc"]):
        raise code.wrong(f"the LOINC number {code['loinc']!r} fails its check digit", "loinc")
    said = named(code, "record", code.need("record"), LISTS["record"]).zh
    listed = [{"system": shared.systems[system], "code": value} | ({"display": said} if system == "record" else {}) for system, value in code.items()]
    return [b'"code":' + dumps({"coding": listed, "text": said})]


def category(shared: Shared, spec: Table, names: list[str]) -> Parts:
    """The categories, and that of the HL7 PHD IG for what claims it."""
    listed = b',"category":' + _concepts(shared, spec, names)
    if "phd" not in spec:
        return [listed]
    claimed = b"," + _concepts(shared, spec, ["phd"])[1:-1]
    return [listed[:-1], lambda context, _: claimed if context.is_phd else b"", b"]"]


def _concepts(shared: Shared, spec: Table, names: list[str]) -> bytes:
    found = (next(iter(named(spec, "category", name, shared.categories).items())) for name in names)
    return dumps([{"coding": [{"system": shared.systems[system], "code": code}]} for system, code in found])


def _quantity_json(shared: Shared, measure: Measure) -> tuple[bytes, bytes]:
    shown = shared.units.get(measure.unit, measure.unit)
    return b'"valueQuantity":{"value":', b',"unit":%b,"system":"%b","code":%b}' % (dumps(shown), UCUM.encode(), dumps(measure.unit))


def first_of(getters: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    if len(getters) == 1:
        return getters[0]
    return lambda item: next((value for getter in getters if (value := getter(item)) is not None), None)


def factor_of(spec: Table, field: str, unit: str) -> float:
    """What a field's number is multiplied with to be in a UCUM unit. Raises MappingError where there is no exact factor."""
    suffix = next((known for end, known in _SUFFIXES.items() if field.endswith(end)), unit)
    target = unit.removesuffix("/d") or unit
    if suffix == target or same_unit(suffix, unit):
        return 1.0
    if (suffix, target) not in FACTORS:
        raise spec.wrong(f"value: {field!r} cannot be expressed in {unit}", "value")
    return FACTORS[suffix, target]


def field_value(scope: Scope, spec: Table, unit: str) -> Callable[[Any], float | None]:
    fields = fields_of(spec)
    getter = first_of([scope.getter(spec, "value", field) for field in fields])
    factors = {factor_of(spec, field, unit) for field in fields}
    if len(factors) > 1:
        raise spec.wrong("value: the fields are in different units", "value")
    factor = factors.pop()
    if factor == 1.0:
        return getter

    def converted(item: Any) -> float | None:
        value = getter(item)
        return None if value is None else round(value * factor, 6)

    return converted


def field_quantity(shared: Shared, value: Callable[[Any], float | None], measure: Measure) -> Part:
    before, after = _quantity_json(shared, measure)

    def write(_: Context, item: Any) -> bytes:
        found = value(item)
        return b"" if found is None else b",%b%b%b" % (before, functions.number(found), after)

    return write


def own_quantity(shared: Shared, of: Reading, measure: Measure) -> Part:
    before, after = _quantity_json(shared, measure)

    def write(_: Context, item: Any) -> bytes:
        quantity = of(item)
        if quantity is None:
            return b""
        if quantity.unit != measure.unit and not same_unit(quantity.unit, measure.unit):
            raise InvalidRecord(f"{measure.key} is not in {measure.unit or 'a unit'}.", code="unit", field=measure.key)
        return b",%b%b%b" % (before, functions.number(quantity.value), after)

    return write


def url_of(shared: Shared, name: str) -> str:
    """The canonical URL of an extension that a YAML names."""
    return str(shared.extensions.get(name, EXTENSIONS + name))


def _flags(shared: Shared) -> Part:
    opening = b'{"url":%b,"valueCode":' % dumps(url_of(shared, "quality-flag"))

    def write(_: Context, record: Any) -> bytes:
        if not record.flags:
            return b""
        return b"".join(b"%b%b}," % (opening, dumps(code)) for code in dict.fromkeys(flag.code for flag in record.flags))

    return write


def _extension(name: str, url: str, function: Callable[..., bytes], getter: Callable[[Any], Any]) -> Part:
    opening = b'{"url":%b,%b' % (dumps(url), b'"%b":' % name.encode() if name else b"")

    def write(context: Context, item: Any) -> bytes:
        found = getter(item)
        value = b"" if found is None else function(context, found)
        return b"%b%b}," % (opening, value) if value else b""

    return write


def _original(shared: Shared, of: Reading) -> Part:
    def original(item: Any) -> str | None:
        quantity = of(item)
        return quantity.original if quantity is not None else None

    return _extension("valueString", url_of(shared, "original-value"), functions.text, original)


def effective_period(shared: Shared) -> Part:
    """The whole period of the record, where the effective time has room for its start alone."""
    opening = b'{"url":%b,"valuePeriod":' % dumps(url_of(shared, "effective-period"))

    def write(context: Context, _: Any) -> bytes:
        record = context.record
        return b"%b%b}," % (opening, functions.period(context, record.start, record.end)) if record.end is not None else b""

    return write


def extensions(scope: Scope, spec: Table, quantity: Reading | None) -> list[Part]:
    shared, found = scope.shared, []
    if spec.get("whole"):
        modality = _extension("valueCode", url_of(shared, "modality"), functions.text, scope.getter(spec, "whole", "modality"))
        found += [_flags(shared), modality]
        scope.used.update(("flags", "note", "source_record_id"))
        if not spec.get("note"):
            found.append(_extension("valueString", url_of(shared, "note"), functions.text, attrgetter("note")))
    for name, typed in spec.get("extension", {}).items():
        found.append(_typed_extension(scope, name, typed))
    if "phd" in spec and spec["type"] == "Observation":
        found.append(_gateway(shared))
    if quantity:
        found.append(_original(shared, quantity))
    return found


def _gateway(shared: Shared) -> Part:
    opening = b'{"url":%b,"valueReference":' % dumps(url_of(shared, "gateway"))
    return lambda context, _: b"%b%b}," % (opening, context.gateway) if context.gateway else b""


def _typed_extension(scope: Scope, name: str, typed: Table) -> Part:
    typed.only(calls.EXTENSION_TYPES)
    (kind, field) = next(iter(typed.items()))
    value_name, function = calls.EXTENSION_TYPES[kind]
    getters = [scope.getter(typed, kind, one) for one in listed(field)]
    if len(getters) == 1:
        return _extension(value_name, url_of(scope.shared, name), function, getters[0])
    return _extension(value_name, url_of(scope.shared, name), lambda context, found: function(context, *found), lambda item: [get(item) for get in getters])


def wrapped(parts: list[Part], opening: bytes) -> Part:
    def write(context: Context, item: Any) -> bytes:
        inner = b"".join([part(context, item) for part in parts])
        return b"%b%b]" % (opening, inner[:-1]) if inner else b""

    return write


def identifier(context: Context, record: Any) -> bytes:
    inner = one_identifier(context, record)
    return b',"identifier":[%b]' % inner[14:] if inner else b""


def one_identifier(context: Context, record: Any) -> bytes:
    """The identifier of a type that has but one."""
    if not record.source_record_id or record.source_record_id.isspace():
        return b""
    value = dumps(record.source_record_id)
    return b',"identifier":{"system":"%b","value":%b,"assigner":%b}' % (functions.SOURCE_RECORD_SYSTEM.encode(), value, context.party)


def note(context: Context, record: Any) -> bytes:
    inner = functions.text(context, record.note)
    return b',"note":[{"text":%b}]' % inner if inner else b""


def _component(scope: Scope, measure: Measure, quantity: Reading) -> tuple[Part, ...]:
    code = measure_code(measure, quantity)
    extension = wrapped([_original(scope.shared, quantity)], b'"extension":[')
    value = own_quantity(scope.shared, quantity, measure)

    def write(context: Context, item: Any) -> bytes:
        said = extension(context, item)
        return b"{%b%b%b%b}" % (said, b"," if said else b"", _joined(code, context, item), value(context, item))

    return (write,)


def _joined(parts: Parts, context: Context, item: Any) -> bytes:
    return b"".join([part if isinstance(part, bytes) else part(context, item) for part in parts])


def quantity_components(scope: Scope, spec: Table) -> Part:
    each = scope.getter(spec, "each", spec["each"])
    writers = {key: _component(scope, measure, itself)[0] for key, measure in MEASURES.items()}
    required: dict[str, list[str]] = spec.get("required", {})
    absent = {key: b'{%b,"dataAbsentReason":%b}' % (_constant(measure_code(MEASURES[key], None)), functions.ABSENT) for key in MEASURES}

    def write(context: Context, record: Any) -> bytes:
        quantities: list[Quantity] = each(record)
        needed = required.get(record.measure, ()) if required else ()
        if not quantities and not needed:
            return b""
        said = [_known(writers, quantity.measure)(context, quantity) for quantity in quantities]
        have = {quantity.measure for quantity in quantities}
        return b',"component":[%b]' % b",".join(said + [absent[key] for key in needed if key not in have])

    return write


def _known(writers: dict[str, Part], measure: str) -> Part:
    try:
        return writers[measure]
    except KeyError:
        raise InvalidRecord("A quantity names a measure that the standard does not have.", code="measure") from None


def itself(item: Any) -> Any:
    return item


def _constant(parts: Parts) -> bytes:
    return b"".join(part for part in parts if isinstance(part, bytes))


def field_components(scope: Scope, specs: list[Table]) -> Part:
    writers = [_field_component(scope, spec) for spec in specs]

    def write(context: Context, item: Any) -> bytes:
        said = b"".join([writer(context, item) for writer in writers])
        return b',"component":[%b]' % said[:-1] if said else b',"dataAbsentReason":' + functions.ABSENT

    return write


def _field_component(scope: Scope, spec: Table) -> Part:
    spec.only(("measure", "value"))
    pick, measures = measures_of(scope, spec)
    written = {}
    for measure in measures:
        assert measure is not None
        code = measure_code(measure, None, stated_code(scope, spec))
        written[measure.key] = (code, field_quantity(scope.shared, field_value(scope, spec, measure.unit), measure))

    def write(context: Context, item: Any) -> bytes:
        code, value = written[pick(context, item) or ""]
        said = value(context, item)
        return b"{%b%b}," % (_joined(code, context, item), said) if said else b""

    return write


def measures_of(scope: Scope, spec: Table) -> tuple[Callable[[Context, Any], str | None], list[Measure | None]]:
    """How a template's measure is picked, and the measures it can be written for."""
    measure = spec.get("measure")
    if measure is None:
        return lambda _, __: None, [None]
    if measure == "own":
        scope.getter(spec, "measure", "measure")
        return lambda _, item: item.measure, list(MEASURES.values())
    if isinstance(measure, Table):
        measure.only(("of",))
        choose, keys = named(measure, "of", measure.need("of"), functions.CHOICES)
        return lambda context, _: choose(context.record), [MEASURES[key] for key in keys]
    found = named(spec, "measure", measure, MEASURES)
    return lambda _, __: found.key, [found]
