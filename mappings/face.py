"""A record's FHIR R4 face: the small set of resources that its YAML in `mappings/fhir/` makes of it.

Compiled when this module is first imported; a wrong YAML is a MappingError with file and line, and the hub does not start.
Every resource begins `{"resourceType":"T","id":"...","meta":{` and has no versionId or lastUpdated: the store adds them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from mappings import phd
from mappings.compiler import Face, Template, compile_face, read_shared, security, slots_of
from mappings.functions import EXTENSIONS, Context, dumps, known_device
from mappings.tables import Table, read
from schemas.classes import codes_of
from schemas.errors import InvalidRecord, MappingError
from schemas.records import KINDS, STANDARD_VERSION, Record, VitalSign
from schemas.standard import OF_RESIDENTS

__all__ = [
    "MAPPING_VERSION", "Example", "Resource", "Subject", "compile_folder", "examples", "face", "is_current", "mapping_version", "source_hash", "types",
]  # fmt: skip

FOLDER: Final = Path(__file__).parent / "fhir"
MAPPING_VERSION: Final = "1.1.0"
"""Version of the compiler and functions; a YAML has its own, see `mapping_version`."""


HASH_SYSTEM: Final = b"https://kinehub.org/id/sha256"
ORIGINAL: Final = re.compile(rb',"entity":\[\{"role":"source","what":\{"identifier":\{"system":"%b","value":"[0-9a-f]*"\}\}\}\]' % re.escape(HASH_SYSTEM))
"""What a Provenance says of the bytes a record came from. Whoever guesses those bytes can test the guess with it, hidden parts too."""


class Subject(msgspec.Struct, frozen=True):
    """Whom a record is about and where it came from: what a face needs beside the record.

    patient, party: FHIR references; original_hash: sha256 hex of the original; recorded: FHIR instant; zone: the resident's
    named: (type, exact text) to (reference, display) of the party's directory entries that a record may name
    """

    record_id: str
    patient: str
    party: str
    party_name: str | None
    adapter: str
    adapter_version: str
    original_hash: str | None
    recorded: str
    zone: str | None = None
    named: Mapping[tuple[str, str], tuple[str, str]] = {}


class Resource(NamedTuple):
    """One resource of a face. `classes` are data-class bits; slot -1 is a resource whose id is the record's own."""

    slot: int
    type: str
    classes: int
    json: bytes


class Example(NamedTuple):
    """An example of a YAML: a record, and what its face says at `slot/path`."""

    says: str
    record: Record
    expect: dict[str, Any]


def tables_of(folder: Path) -> tuple[Table, list[Table]]:
    """`shared.yaml` and every other YAML of a folder, as tables."""
    return read(folder / "shared.yaml"), [read(path) for path in sorted(folder.glob("*.yaml")) if path.name != "shared.yaml"]


def compile_folder(folder: Path) -> dict[str, Face]:
    """Every face of a folder by record kind. Raises MappingError."""
    shared, tables = tables_of(folder)
    names = read_shared(shared)
    faces = {table.need("kind"): compile_face(table, names) for table in tables}
    for kind in KINDS:
        if kind not in faces:
            raise MappingError(f"{folder.name}: no mapping for the record kind {kind!r}")
    return faces


def examples(folder: Path = FOLDER) -> list[Example]:
    """The examples of every YAML: their tests. Raises MappingError for a YAML with fewer than two."""
    found: list[Example] = []
    for table in tables_of(folder)[1]:
        listed = table.need("examples")
        if len(listed) < 2:
            raise table.wrong("at least two examples", "examples")
        for example in listed:
            example.only(("says", "record", "expect"))
            record = msgspec.convert({**example.need("record"), "kind": table["kind"]}, Record)
            found.append(Example(f"{table['kind']}: {example.need('says')}", record, example.need("expect")))
    return found


_FACES: Final = compile_folder(FOLDER)
_BY_TYPE: Final = {KINDS[kind]: compiled for kind, compiled in _FACES.items()}


def types(kind: str) -> tuple[str, ...]:
    """The resource types that a kind's face can hold, Provenance and Device among them."""
    return tuple(dict.fromkeys(("Provenance", "Device", *(template.type for template in _FACES[kind].templates))))


def mapping_version(kind: str) -> str:
    """`session 1.0.0`: the version of a kind's YAML, written into Provenance."""
    return f"{kind} {_FACES[kind].version}"


def is_current(provenance: bytes, kind: str, adapter: str, adapter_version: str) -> bool:
    """Whether a stored Provenance was written by the adapter, mapping, compiler and standard as they are now."""
    return _made_by(adapter, adapter_version, mapping_version(kind)) in provenance


def source_hash(provenance: bytes) -> str | None:
    """SHA-256 (hex) of the original that a stored Provenance names."""
    entities = msgspec.json.decode(provenance, type=_Entities).entity
    return entities[0].what.identifier.value if entities else None


class _Identifier(msgspec.Struct):
    value: str


class _What(msgspec.Struct):
    identifier: _Identifier


class _Entity(msgspec.Struct):
    what: _What


class _Entities(msgspec.Struct):
    entity: list[_Entity] = []


def face(record: Record, subject: Subject) -> list[Resource]:
    """The FHIR resources of a record in the order of their slots, Provenance first. What is about no resident is one resource, alone.

    Raises InvalidRecord for what has no face: nothing measured, an unknown measure, a wrong unit, an end before the start.
    """
    compiled = _BY_TYPE[type(record)]
    context = _context(record, subject, compiled)
    found = _parts(compiled, context, record)
    if compiled.kind not in OF_RESIDENTS:
        return found
    for template, is_known in ((compiled.device, context.device), (compiled.gateway, context.gateway)):
        if template is not None and is_known:
            _write(template, context, record, found)
    if not found:
        raise InvalidRecord("The record holds no measured value.", code="empty")
    found.sort(key=_by_slot)
    return [_provenance(subject, context, compiled, found), *found]


_by_slot = itemgetter(0)


def _context(record: Record, subject: Subject, compiled: Face) -> Context:
    identity = subject.record_id.encode()
    name = b',"display":%b' % dumps(subject.party_name) if subject.party_name and not subject.party_name.isspace() else b""
    context = Context(record, identity, subject.zone, b'{"reference":%b%b}' % (dumps(subject.party), name), subject.named)
    context.subject = b',"subject":{"reference":%b}' % dumps(subject.patient)
    context.effective = compiled.effective(context, record)
    if compiled.device is not None and known_device(record.device):
        context.device = b',"device":{"reference":"Device/%b-%d"}' % (identity, compiled.device.slot)
    if compiled.gateway is not None and isinstance(record, VitalSign) and known_device(record.gateway):
        context.gateway = b'{"reference":"Device/%b-%d"}' % (identity, compiled.gateway.slot)
        context.is_phd = phd.conforms(record)
    context.about = context.subject + context.effective + context.device
    return context


def _parts(compiled: Face, context: Context, record: Record) -> list[Resource]:
    """Every resource but device and Provenance; those that list members come after what they list."""
    found: list[Resource] = []
    for template in compiled.templates:
        if not template.members:
            _write(template, context, record, found)
    panels = [template for template in compiled.templates if template.members]
    if panels and not found:
        _stand_in(compiled, context, record, found)
    context.members = b",".join([b'{"reference":"Observation/%b-%d"}' % (context.id, one.slot) for one in found if one.type == "Observation"])
    for template in panels:
        if not context.members and template.type == "Observation":
            raise InvalidRecord("The record holds no measured value.", code="empty")
        _write(template, context, record, found)
    return found


def _stand_in(compiled: Face, context: Context, record: Record, found: list[Resource]) -> None:
    for template in compiled.templates:
        if template.stands_in:
            found.append(_resource(template, context, record, template.slot))


def _write(template: Template, context: Context, record: Record, found: list[Resource]) -> None:
    if template.each is None:
        if template.present(record):
            found.append(_resource(template, context, record, template.slot))
        return
    entries = template.each(record)
    if entries:
        found += [_resource(template, context, entry, slot) for entry, slot in zip(entries, slots_of(template, entries), strict=True)]


def _resource(template: Template, context: Context, item: Any, slot: int) -> Resource:
    try:
        written = template.variants[template.pick(context, item)]
    except KeyError:
        raise InvalidRecord("The record names a measure that the standard does not have.", code="measure") from None
    parts = [template.opening, context.id, b'-%d",' % slot, written.first]
    for part, constant in written.pairs:
        parts += (part(context, item), constant)
    return Resource(slot, template.type, written.classes, b"".join(parts))


@lru_cache(maxsize=64)
def _provenance_meta(classes: int) -> bytes:
    return dumps({"profile": [EXTENSIONS + "kinehub-provenance"], "security": [security(code) for code in codes_of(classes)]})


@lru_cache(maxsize=256)
def _made_by(adapter: str, adapter_version: str, mapping: str) -> bytes:
    """What turned the original into these resources: adapter, mapping, compiler and standard, each with its version."""
    said = {"adapter": f"{adapter} {adapter_version}", "mapping": mapping, "compiler": MAPPING_VERSION, "standard": STANDARD_VERSION}
    return dumps([{"url": EXTENSIONS + "made-by", "extension": [{"url": name, "valueString": value} for name, value in said.items()]}])


def _agent(code: bytes, who: bytes) -> bytes:
    coding = b'{"system":"http://terminology.hl7.org/CodeSystem/provenance-participant-type","code":"%b"}' % code
    return b'{"type":{"coding":[%b]},"who":%b}' % (coding, who)


_HUB: Final = _agent(
    b"assembler", b'{"type":"Device","identifier":{"system":"https://kinehub.org/id/software","value":"kinehub"},"display":"KineHub"}'
)


def _provenance(subject: Subject, context: Context, compiled: Face, resources: list[Resource]) -> Resource:
    classes = 0
    for resource in resources:
        classes |= resource.classes
    agents = [_agent(b"author", context.party), _HUB]
    if context.device:
        agents.append(_agent(b"performer", context.device[10:]))
    targets = b",".join([b'{"reference":"%b/%b-%d"}' % (resource.type.encode(), context.id, resource.slot) for resource in resources])
    parts = (
        b'{"resourceType":"Provenance","id":"', context.id, b'-0","meta":', _provenance_meta(classes),
        b',"extension":', _made_by(subject.adapter, subject.adapter_version, f"{compiled.kind} {compiled.version}"),
        b',"target":[', targets, b'],"recorded":', dumps(subject.recorded), b',"agent":[', b",".join(agents), b"]", _source(subject), b"}",
    )  # fmt: skip
    return Resource(0, "Provenance", classes, b"".join(parts))


def _source(subject: Subject) -> bytes:
    if not subject.original_hash:
        return b""
    return b',"entity":[{"role":"source","what":{"identifier":{"system":"%b","value":%b}}}]' % (HASH_SYSTEM, dumps(subject.original_hash))
