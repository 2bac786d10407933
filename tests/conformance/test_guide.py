"""The implementation guide: SUSHI builds it without complaint, and the hub keeps, names and claims what is in it."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from mappings.face import FOLDER
from schemas import package as committed
from tests.conformance import guide, packed

KNOWN = [pattern for entry in yaml.safe_load((Path(__file__).parent / "known-sushi.yaml").read_text()) for pattern in entry["says"]]
OURS = "https://kinehub.org/fhir/StructureDefinition/"


def test_sushi_finds_nothing_without_a_reason(package: Path) -> None:
    said = guide.SAID.read_text()
    assert re.search(r" 0 Errors", said), said
    complaints = re.findall(r"^(?:warn|error) +(.*)$", said, re.MULTILINE)
    assert [one for one in complaints if not any(fnmatchcase(one, pattern) for pattern in KNOWN)] == []


def test_the_form_that_the_hub_keeps_is_of_this_guide(package: Path) -> None:
    for name, section in packed.compact(package, guide.IPS).items():
        assert (guide.COMMITTED / f"{name}.json").read_text() == packed.rows(section), "stale: make guide WRITE=--write"


def test_every_definition_has_its_snapshot_and_every_resource_is_indexed(package: Path) -> None:
    definitions = {one["url"]: one for one in packed.resources(package) if one["resourceType"] == "StructureDefinition"}
    assert len(definitions) == len(committed.structures())
    assert all(one["snapshot"]["element"] for one in definitions.values())
    assert {one["resourceType"] for one in packed.resources(package)} >= {"CodeSystem", "ValueSet", "ConceptMap", "CapabilityStatement", "ImplementationGuide"}


def test_every_profile_that_a_mapping_names_is_in_the_guide() -> None:
    shared = yaml.safe_load((FOLDER / "shared.yaml").read_text())
    named = {url for url in [*shared["profiles"].values(), *shared["beside"].values()] if url.startswith(OURS)}
    assert named - set(committed.structures()) == set()


def test_every_profile_has_an_example(package: Path) -> None:
    claimed = {url for one in packed.resources(package, "package/example") for url in one.get("meta", {}).get("profile", ())}
    ours = {url for url, one in committed.structures().items() if one["type"] != "Extension" and not one.get("abstract")}
    assert ours - claimed == {OURS + "kinehub-sampled"}, "samples are made when they are read: test_validator judges those"


def test_the_guide_states_what_the_hub_answers() -> None:
    stated = guide.capability()
    assert stated["kind"] == "requirements"
    assert {one["type"] for one in stated["rest"][0]["resource"]} == set(guide.TYPES)
    assert json.dumps(stated).count("/metadata") == 0
