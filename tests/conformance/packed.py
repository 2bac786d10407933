"""The guide as an npm-style FHIR package, and the compact form of it that is kept in `schemas/package/`."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from schemas.records import STANDARD_VERSION

Content = dict[str, Any]

_CONFORMANCE: Final = ("StructureDefinition", "ValueSet", "CodeSystem", "ConceptMap", "CapabilityStatement", "Questionnaire", "ImplementationGuide")
_MANIFEST: Final = {
    "name": "org.kinehub.fhir", "version": STANDARD_VERSION, "canonical": "https://kinehub.org/fhir", "type": "IG", "fhirVersions": ["4.0.1"],
    "author": "KineHub", "title": "KineHub 统一数据标准 unified data standard",
    "description": "FHIR R4 face of the unified data standard for exercise and health data.",
    "dependencies": {"hl7.fhir.r4.core": "4.0.1"}, "directories": {"lib": "package", "example": "example"},
}  # fmt: skip
_INDEXED: Final = ("resourceType", "id", "url", "version", "kind", "type")
_FHIR_TYPE: Final = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_EVERYWHERE: Final = "ele-1"
"""Every element has it: a validator knows it without being told each time."""


def _json(content: Content) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def _index(files: dict[str, Content]) -> bytes:
    listed = [{"filename": name, **{key: one[key] for key in _INDEXED if isinstance(one.get(key), str)}} for name, one in files.items()]
    return _json({"index-version": 1, "files": listed})


def _shown(one: Content) -> Content:
    """Without R4's own mappings and examples, which every snapshot would repeat, and without SUSHI's empty lists: some of these are not valid."""
    if one["resourceType"] == "ImplementationGuide":
        return {**one, "definition": _present(one["definition"])}
    if one["resourceType"] != "StructureDefinition":
        return one
    kept = [{name: value for name, value in element.items() if name not in ("mapping", "example")} for element in one["snapshot"]["element"]]
    return {**one, "snapshot": {"element": kept}}


def _members(resources: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    found = {path.name: _shown(json.loads(path.read_bytes())) for path in resources}
    yield "package/package.json", _json(_MANIFEST)
    for folder, wanted in (("package", True), ("package/example", False)):
        files = {name: one for name, one in sorted(found.items()) if (one["resourceType"] in _CONFORMANCE) is wanted}
        yield f"{folder}/.index.json", _index(files)
        yield from ((f"{folder}/{name}", _json(one)) for name, one in files.items())


def pack(resources: Iterable[Path], to: Path) -> None:
    """The same resources always give the same bytes."""
    with gzip.GzipFile(to, "wb", mtime=0) as squeezed, tarfile.open(fileobj=squeezed, mode="w") as archive:
        for name, content in _members(resources):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def resources(package: Path, folder: str = "package") -> Iterator[Content]:
    """The resources of a package, or its examples (`package/example`)."""
    with tarfile.open(package) as archive:
        for member in archive:
            path = Path(member.name)
            if str(path.parent) == folder and path.name not in ("package.json", ".index.json"):
                stored = archive.extractfile(member)
                assert stored is not None
                yield json.loads(stored.read())


# The compact form


def _present(content: Content) -> Content:
    return {name: value for name, value in content.items() if value not in ("", None, [], {})}


def _type(one: Content) -> Content:
    told = [extension["valueUrl"] for extension in one.get("extension", ()) if extension["url"] == _FHIR_TYPE]
    return _present({"code": told[0] if told else one["code"], "profile": one.get("profile"), "targetProfile": one.get("targetProfile")})


def _binding(binding: Content) -> Content:
    return {"strength": binding["strength"], "valueSet": binding["valueSet"].partition("|")[0]} if binding.get("strength", "example") != "example" else {}


def _slicing(slicing: Content) -> Content:
    return {name: slicing[name] for name in ("discriminator", "rules") if name in slicing}


def _constraints(constraints: list[Content]) -> list[Content]:
    kept = (one for one in constraints if one["key"] != _EVERYWHERE)
    return [{name: one[name] for name in ("key", "severity", "human", "expression") if name in one} for one in kept]


def _element(element: Content) -> Content:
    return _present({
        **{name: element.get(name) for name in ("id", "sliceName", "min", "max")}, "type": [_type(one) for one in element.get("type", ())],
        "contentReference": element.get("contentReference"), "binding": _binding(element.get("binding", {})),
        "constraint": _constraints(element.get("constraint", [])), "slicing": _slicing(element.get("slicing", {})),
        **{name: value for name, value in element.items() if name.startswith(("fixed", "pattern"))},
    })  # fmt: skip


def _structure(one: Content) -> Content:
    named = {name: one.get(name) for name in ("url", "name", "title", "description", "type", "kind", "abstract", "derivation", "baseDefinition")}
    context = [{name: each[name] for name in ("type", "expression")} for each in one.get("context", ())]
    return _present({**named, "context": context}) | {"snapshot": {"element": [_element(each) for each in one["snapshot"]["element"]]}}


def _codes(value_set: Content) -> dict[str, list[str] | None]:
    """System to its codes in the value set; None for all that the system has."""
    return {part["system"]: [one["code"] for one in part["concept"]] if "concept" in part else None for part in value_set["compose"]["include"]}


def _bound(structures: Iterable[Content]) -> set[str]:
    elements = (element for one in structures for element in one["snapshot"]["element"])
    return {element["binding"]["valueSet"] for element in elements if "binding" in element}


def compact(package: Path) -> dict[str, dict[str, Any]]:
    """`structures`: URL to a StructureDefinition without what is only for people; `sets`: our value sets that those bind, as codes by system."""
    found = list(resources(package))
    structures = {one["url"]: _structure(one) for one in found if one["resourceType"] == "StructureDefinition"}
    bound = _bound(structures.values())
    sets = {one["url"]: _codes(one) for one in found if one["resourceType"] == "ValueSet" and one["url"] in bound}
    return {"structures": dict(sorted(structures.items())), "sets": dict(sorted(sets.items()))}


def rows(section: dict[str, Any]) -> str:
    """One line an entry, and one a code of a value set, so that a change of the source is a readable difference."""
    if all("snapshot" not in value for value in section.values()):
        return json.dumps(section, indent=0, ensure_ascii=False) + "\n"
    lines = (f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'), ensure_ascii=False)}" for key, value in section.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_compact(package: Path, folder: Path) -> None:
    """Writes the compact form as one file a part."""
    folder.mkdir(exist_ok=True)
    for name, section in compact(package).items():
        (folder / f"{name}.json").write_text(rows(section), encoding="utf-8")
