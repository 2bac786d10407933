"""The guide as an npm-style FHIR package, and the compact form of it that is kept in `schemas/package/`."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from schemas.r4 import terms
from schemas.records import STANDARD_VERSION

Content = dict[str, Any]

_CONFORMANCE: Final = ("StructureDefinition", "ValueSet", "CodeSystem", "ConceptMap", "CapabilityStatement", "Questionnaire", "Measure", "ImplementationGuide")
_MANIFEST: Final = {
    "name": "org.kinehub.fhir", "version": STANDARD_VERSION, "canonical": "https://kinehub.org/fhir", "type": "IG", "fhirVersions": ["4.0.1"],
    "author": "KineHub", "title": "KineHub 统一数据标准 unified data standard",
    "description": "FHIR R4 face of the unified data standard for exercise and health data.",
    "dependencies": {"hl7.fhir.r4.core": "4.0.1", "hl7.fhir.uv.ips": "2.0.0"}, "directories": {"lib": "package", "example": "example"},
}  # fmt: skip
_INDEXED: Final = ("resourceType", "id", "url", "version", "kind", "type")
_FHIR_TYPE: Final = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_CORE: Final = "http://hl7.org/fhir/StructureDefinition/"
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
    profiles = [url.partition("|")[0] for url in one.get("profile", ())]
    return _present({"code": told[0] if told else one["code"], "profile": profiles, "targetProfile": one.get("targetProfile")})


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
    found = {part["system"]: [one["code"] for one in part["concept"]] if "concept" in part else None for part in value_set["compose"]["include"]}
    for part in value_set["compose"].get("exclude", ()):
        gone = {test["value"] for test in part["filter"]}
        found[part["system"]] = sorted((terms.all_codes(part["system"]) or frozenset()) - gone)
    return found


def _is_listed(value_set: Content) -> bool:
    """Whether every code of a value set can be told: by its own list, or as all of a system that is known whole."""
    include = value_set["compose"]["include"]
    return all("system" in part and "filter" not in part and ("concept" in part or terms.all_codes(part["system"]) is not None) for part in include)


def _bound(structures: Iterable[Content]) -> set[str]:
    elements = (element for one in structures for element in one["snapshot"]["element"])
    return {element["binding"]["valueSet"] for element in elements if "binding" in element}


def _above(structures: Iterable[Content], known: dict[str, Content]) -> Iterator[str]:
    """The structures of another guide that these are derived from, and the datatype profiles of their elements, down to R4's own."""
    for one in structures:
        types = (type_ for element in one["snapshot"]["element"] for type_ in element.get("type", ()))
        for url in {one["baseDefinition"], *(url for type_ in types for url in type_.get("profile", ()))} & known.keys():
            yield url
            yield from _above([known[url]], known)


def _by_type(structure: Content, known: dict[str, Content]) -> Content:
    """References lead to types: whether what they lead to has a profile of another guide is not asked."""
    for type_ in (type_ for element in structure["snapshot"]["element"] for type_ in element.get("type", ()) if "targetProfile" in type_):
        targets = (f"{_CORE}{known[url]['type']}" if url in known else url for url in type_["targetProfile"])
        type_["targetProfile"] = list(dict.fromkeys(targets))
    return structure


def compact(package: Path, guide: Path) -> dict[str, dict[str, Any]]:
    """`structures`: URL to a StructureDefinition without what is only for people; `parents`: those of another guide (a folder) that ours are
    derived from; `sets`: the value sets of both that these bind, as codes by system, where the codes can be listed."""
    found, others = list(resources(package)), [json.loads(path.read_bytes()) for path in sorted(guide.glob("*-*.json"))]
    structures, known = (
        {one["url"]: _structure(one) for one in part if one["resourceType"] == "StructureDefinition" and "snapshot" in one} for part in (found, others)
    )
    parents = {url: known[url] for url in sorted({*_above(structures.values(), known)})}
    bound = _bound([*structures.values(), *parents.values()])
    sets = {one["url"]: _codes(one) for one in (*found, *others) if one["resourceType"] == "ValueSet" and one["url"] in bound and _is_listed(one)}
    kept = {"structures": structures, "parents": parents}
    told = {name: {url: _by_type(one, known) for url, one in sorted(section.items())} for name, section in kept.items()}
    return {**told, "sets": dict(sorted(sets.items()))}


def rows(section: dict[str, Any]) -> str:
    """One line an entry, and one a code of a value set, so that a change of the source is a readable difference."""
    if all("snapshot" not in value for value in section.values()):
        return json.dumps(section, indent=0, ensure_ascii=False) + "\n"
    lines = (f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'), ensure_ascii=False)}" for key, value in section.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_compact(package: Path, guide: Path, folder: Path) -> None:
    """Writes the compact form as one file a part."""
    folder.mkdir(exist_ok=True)
    for name, section in compact(package, guide).items():
        (folder / f"{name}.json").write_text(rows(section), encoding="utf-8")
