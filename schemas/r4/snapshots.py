"""Makes `structures.json`, `terms.json` and `atoms.json` out of the published FHIR R4 4.0.1 definitions and UCUM. Run by hand.

    python -m schemas.r4.snapshots hapi-fhir-validation-resources-r4-8.4.0.jar ucum-1.0.9.jar

The jars are Maven's `ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4` and `org.fhir:ucum`.

structures.json  canonical URL to a StructureDefinition with its snapshot, without what is only for people
terms.json       `sets`: value set to {system: [codes], or null for every code of it}; `systems`: code system to its codes; `insensitive`: those
                 that do not say that capitals matter.
                 A value set that cannot be had whole is not there; `systems` holds only complete ones.
atoms.json       UCUM's prefixes, atoms, and those atoms that take prefixes
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

_MODEL = "org/hl7/fhir/r4/model/"
_FHIR = "{http://hl7.org/fhir}"
_FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_SYSTEM_TYPE = "http://hl7.org/fhirpath/System.String"
_OPEN_SYSTEMS = frozenset({
    "urn:ietf:bcp:13", "urn:ietf:bcp:47", "urn:iso:std:iso:4217", "urn:iso:std:iso:3166", "urn:iso:std:iso:3166:-2", "urn:ietf:rfc:3986",
    "http://unitsofmeasure.org", "http://loinc.org", "http://snomed.info/sct", "https://www.iana.org/time-zones",
})  # fmt: skip

_TYPE_NAMES = """
    ActivityDefinition AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary Bundle CapabilityStatement CarePlan CareTeam CodeSystem
    Communication CommunicationRequest Composition ConceptMap Condition Consent Coverage Device DeviceDefinition DeviceMetric DeviceUseStatement
    DiagnosticReport DocumentReference DomainResource Encounter Endpoint EpisodeOfCare FamilyMemberHistory Flag Goal Group HealthcareService ImagingStudy
    Immunization Library Linkage List Location Measure MeasureReport Media Medication MedicationRequest MedicationStatement MessageHeader NutritionOrder
    Observation OperationDefinition OperationOutcome Organization Parameters Patient Person PlanDefinition Practitioner PractitionerRole Procedure
    Provenance Questionnaire QuestionnaireResponse RelatedPerson RequestGroup ResearchStudy ResearchSubject Resource RiskAssessment Schedule
    ServiceRequest Slot Specimen Subscription Substance SupplyRequest Task TerminologyCapabilities ValueSet VisionPrescription
"""
TYPES = frozenset(_TYPE_NAMES.split())
"""The resource types whose structure is kept."""


def _value(node: Element, path: str) -> str:
    found = node.find("/".join(_FHIR + step for step in path.split("/")))
    return "" if found is None else found.get("value", "")


def _values(node: Element, path: str) -> list[str]:
    return [one.get("value", "") for one in node.findall("/".join(_FHIR + step for step in path.split("/")))]


def _present(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs if value not in ("", None, [], {})}


# Structures


def _type(node: Element, *, is_resource_id: bool) -> dict[str, Any]:
    """R4 says that the id of a resource is a string, and means an id."""
    code = _value(node, "code")
    if code == _SYSTEM_TYPE:
        code = next(_value(one, "valueUrl") for one in node.findall(_FHIR + "extension") if one.get("url") == _FHIR_TYPE)
        code = "id" if is_resource_id else code
    return _present((("code", code), ("profile", _values(node, "profile")), ("targetProfile", _values(node, "targetProfile"))))


def _constraints(node: Element) -> list[dict[str, str]]:
    found = [{name: _value(one, name) for name in ("key", "severity", "human", "expression")} for one in node.findall(_FHIR + "constraint")]
    known = ("ele-1",) if node.get("id") == "Extension" else ("ele-1", "ext-1")
    return [one for one in found if one["key"] not in known]


def _binding(node: Element) -> dict[str, str]:
    found = {"strength": _value(node, "binding/strength"), "valueSet": _value(node, "binding/valueSet").partition("|")[0]}
    return found if found["strength"] not in ("", "example") else {}


def _slicing(node: Element) -> dict[str, Any]:
    found = node.find(_FHIR + "slicing")
    if found is None:
        return {}
    by = [{"type": _value(one, "type"), "path": _value(one, "path")} for one in found.findall(_FHIR + "discriminator")]
    return {"discriminator": by, "rules": _value(found, "rules")}


def _json(node: Element, name: str = "") -> Any:
    """A fixed or pattern value as JSON. Of the lists that may be in one, the published profiles use `coding` alone."""
    if (plain := node.get("value")) is not None:
        return plain == "true" if "Boolean" in name else float(plain) if node.tag == _FHIR + "value" else plain
    found: dict[str, Any] = {}
    for child in node:
        key = child.tag.removeprefix(_FHIR)
        if key == "coding":
            found.setdefault(key, []).append(_json(child))
        else:
            found[key] = _json(child)
    return found


def _fixed(node: Element) -> Iterator[tuple[str, Any]]:
    for child in node:
        name = child.tag.removeprefix(_FHIR)
        if name.startswith(("fixed", "pattern")):
            yield name, _json(child, name)


def _element(node: Element) -> dict[str, Any]:
    is_resource_id = _value(node, "base/path") == "Resource.id"
    return _present((
        ("id", node.get("id")), ("min", int(_value(node, "min")) or None), ("max", _value(node, "max")),
        ("type", [_type(one, is_resource_id=is_resource_id) for one in node.findall(_FHIR + "type")]),
        ("contentReference", _value(node, "contentReference")),
        ("binding", _binding(node)), ("constraint", _constraints(node)), ("slicing", _slicing(node)),
        ("isModifier", _value(node, "isModifier") == "true" or None), *_fixed(node),
    ))  # fmt: skip


def _structure(definition: Element) -> dict[str, Any]:
    context = [{name: _value(one, name) for name in ("type", "expression")} for one in definition.findall(_FHIR + "context")]
    named = [(name, _value(definition, name)) for name in ("url", "name", "type", "kind", "derivation")]
    elements = [_element(node) for node in definition.findall(f"{_FHIR}snapshot/{_FHIR}element")]
    return _present((*named, ("context", context))) | {"snapshot": {"element": elements}}


def _structures(jar: zipfile.ZipFile) -> dict[str, Any]:
    files = ("profile/profiles-types.xml", "profile/profiles-resources.xml", "profile/profiles-others.xml", "extension/extension-definitions.xml")
    definitions = [one for name in files for one in fromstring(jar.read(_MODEL + name)).iter(_FHIR + "StructureDefinition")]
    kept = [one for one in definitions if _value(one, "kind") in ("complex-type",) or _value(one, "type") in TYPES]
    return {_value(one, "url"): _structure(one) for one in kept}


# Terms


def _concepts(parent: Element, above: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    for one in parent.findall(_FHIR + "concept"):
        subsumed = [p for p in one.findall(_FHIR + "property") if _value(p, "code") == "subsumedBy"]
        lines = (*above, *(_value(p, "valueCode") for p in subsumed))
        yield _value(one, "code"), lines
        yield from _concepts(one, (*lines, _value(one, "code")))


class _Terms:
    """Code systems with the ancestors of each code, and the value sets made of them."""

    def __init__(self, files: list[Element]) -> None:
        self.systems: dict[str, dict[str, set[str]]] = {}
        self.insensitive: list[str] = []
        self.sets = {_value(one, "url"): one for file in files for one in file.iter(_FHIR + "ValueSet")}
        for one in (one for file in files for one in file.iter(_FHIR + "CodeSystem") if _value(one, "content") == "complete"):
            self.systems[_value(one, "url")] = _closed(dict(_concepts(one)))
            self.insensitive += [_value(one, "url")] if _value(one, "caseSensitive") != "true" else []

    def expand(self, url: str) -> dict[str, set[str] | None] | None:
        """System to its codes in the value set (None = all that it has); None when it cannot be had whole."""
        compose = self.sets[url].find(_FHIR + "compose") if url in self.sets else None
        if compose is None:
            return None
        found: dict[str, set[str] | None] = {}
        for include in compose.findall(_FHIR + "include"):
            part = self._part(include)
            if part is None:
                return None
            for system, codes in part.items():
                known = found.get(system, set())
                found[system] = None if codes is None or known is None else known | codes
        return self._without(found, compose.findall(_FHIR + "exclude"))

    def _without(self, found: dict[str, set[str] | None], excludes: list[Element]) -> dict[str, set[str] | None] | None:
        for exclude in excludes:
            for system, codes in (self._part(exclude) or {}).items():
                left = found.get(system)
                if left is None or codes is None:
                    return None
                found[system] = left - codes
        return found

    def _part(self, include: Element) -> dict[str, set[str] | None] | None:
        system, nested = _value(include, "system"), _values(include, "valueSet")
        if nested:
            return self.expand(nested[0].partition("|")[0]) if len(nested) == 1 and not system else None
        listed = {_value(one, "code") for one in include.findall(_FHIR + "concept")}
        filters = [[_value(one, name) for name in ("property", "op", "value")] for one in include.findall(_FHIR + "filter")]
        if listed:
            return {system: listed}
        if system not in self.systems:
            return {system: None} if system in _OPEN_SYSTEMS and not filters else None
        return self._filtered(system, filters)

    def _filtered(self, system: str, filters: list[list[str]]) -> dict[str, set[str] | None] | None:
        codes = set(self.systems[system])
        for property_, op, value in filters:
            if property_ != "concept" or op not in ("is-a", "is-not-a"):
                return None
            below = {code for code, above in self.systems[system].items() if value in above or code == value}
            codes = codes & below if op == "is-a" else codes - below
        return {system: codes}


def _closed(parents: dict[str, tuple[str, ...]]) -> dict[str, set[str]]:
    def above(code: str, seen: set[str]) -> set[str]:
        for parent in parents.get(code, ()):
            if parent not in seen:
                seen.add(parent)
                above(parent, seen)
        return seen

    return {code: above(code, set()) for code in parents}


def _terms(jar: zipfile.ZipFile, bound: set[str]) -> dict[str, Any]:
    names = ("valueset/valuesets.xml", "valueset/v3-codesystems.xml", "valueset/v2-tables.xml")
    terms = _Terms([fromstring(jar.read(_MODEL + name)) for name in names])
    sets = {url: found for url in sorted(bound) if (found := terms.expand(url)) is not None}
    return {
        "sets": {url: {system: None if codes is None else sorted(codes) for system, codes in found.items()} for url, found in sets.items()},
        "systems": {url: sorted(codes) for url, codes in sorted(terms.systems.items())},
        "insensitive": dict.fromkeys(sorted(terms.insensitive), True),
    }


def _bound(structures: dict[str, Any]) -> set[str]:
    elements = (element for one in structures.values() for element in one["snapshot"]["element"])
    return {element["binding"]["valueSet"] for element in elements if "binding" in element}


def _atoms(jar: zipfile.ZipFile) -> dict[str, list[str]]:
    root = fromstring(jar.read("ucum-essence.xml"))
    units = [one for one in root if one.tag.rpartition("}")[2] in ("base-unit", "unit")]
    metric = [one.get("Code", "") for one in units if one.get("isMetric") == "yes" or one.tag.endswith("base-unit")]
    return {
        "prefixes": [one.get("Code", "") for one in root if one.tag.rpartition("}")[2] == "prefix"],
        "atoms": [one.get("Code", "") for one in units],
        "metric": metric,
    }


def _rows(section: dict[str, Any]) -> str:
    return ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'), ensure_ascii=False)}" for key, value in section.items())


def write(folder: Path, definitions: Path, ucum: Path) -> None:
    """One line for each structure and code system, so that a change of the source is a readable difference."""
    with zipfile.ZipFile(definitions) as jar:
        structures = _structures(jar)
        terms = _terms(jar, _bound(structures))
    with zipfile.ZipFile(ucum) as jar:
        atoms = _atoms(jar)
    sources = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (definitions, ucum)}
    (folder / "structures.json").write_text(f"{{\n{_rows(structures)}\n}}\n")
    (folder / "terms.json").write_text("{" + ",\n".join(f"{json.dumps(name)}:{{\n{_rows(rows)}\n}}" for name, rows in terms.items()) + "}\n")
    (folder / "atoms.json").write_text(f"{{\n{_rows({'sources': sources, **atoms})}\n}}\n")


if __name__ == "__main__":
    write(Path(__file__).parent, Path(sys.argv[1]), Path(sys.argv[2]))
