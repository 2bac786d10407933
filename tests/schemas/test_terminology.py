"""What is published as terminology: codes that hold, resources that foreign models take, and no code that a face writes is missing."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class

from mappings.face import Subject, examples, face
from mappings.functions import EXTENSIONS
from mappings.sampled import CHANNELS
from schemas import terminology
from schemas.codes import LISTS
from schemas.measures import MEASURES, loinc_checks
from schemas.resident import GENDERS
from schemas.sports import SPORTS
from schemas.terminology import BASE, JUDGED, resources

SCHEMAS = Path(terminology.__file__).parent
SUBJECT = Subject("0190a000-0000-7000-8000-000000000001", "Patient/p", "Organization/o", None, "kinehub-json", "1", None, "2026-05-01T00:00:00Z")
EVERYTHING = resources()
BY_URL = {(one["resourceType"], one["url"]): one for one in EVERYTHING}
CODES = {one["url"]: {concept["code"] for concept in one["concept"]} for one in EVERYTHING if one["resourceType"] == "CodeSystem"}
_METRIC = r"(?:[umkMdc]?(?:g|m|s|L|mol|cal|W|Pa|N)|\[lb_av\]|\[in_i\]|m\[Hg\]|mm\[Hg\]|min|h|d|wk|Cel|%|1|m2|deg)"
_ANNOTATION = r"\{[a-z]+\}"
UCUM_SHAPE = re.compile(rf"(?:{_METRIC}|{_ANNOTATION})?(?:[/.](?:{_METRIC}|{_ANNOTATION}))*")


def rows(name: str) -> list[dict[str, str]]:
    with (SCHEMAS / name).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def twice(found: Iterator[Any]) -> list[Any]:
    return [one for one, times in Counter(found).items() if times > 1]


# The tables


@pytest.mark.parametrize(
    ("name", "key"), [("measures.csv", ("measure",)), ("sports.csv", ("sport",)), ("codes.csv", ("list", "code")), ("equivalences.csv", ("measure", "code"))]
)
def test_no_key_stands_twice_in_a_table(name: str, key: tuple[str, ...]) -> None:
    assert not twice(tuple(row[part] for part in key) for row in rows(name))


def test_every_row_has_a_code_and_both_names() -> None:
    for name, key in (("measures.csv", "measure"), ("sports.csv", "sport"), ("codes.csv", "code")):
        for row in rows(name):
            assert re.fullmatch(r"[a-z0-9]+(?:[-_][a-z0-9]+)*", row[key]), row
            assert row["zh"], row
            assert row["en"], row


@pytest.mark.parametrize("measure", MEASURES.values(), ids=lambda one: one.key)
def test_codes_of_a_measure_can_be_codes(measure: Any) -> None:
    assert all(loinc_checks(code) for code in measure.loinc)
    assert all(int(code) >> 16 == 2 and int(code) & 0xFFFF for code in measure.mdc), "partition 2 of IEEE 11073-10101: metrics"
    assert not measure.wst363 or re.fullmatch(r"DE\d\d\.\d\d\.\d{3}\.\d\d", measure.wst363)
    assert UCUM_SHAPE.fullmatch(measure.unit), measure.unit


@pytest.mark.parametrize("wrong", ["83191-8", "83189-2", "62951-8", "62952-6", "8867-5", "88674"])
def test_a_wrong_check_digit_is_seen(wrong: str) -> None:
    assert not loinc_checks(wrong)


@pytest.mark.parametrize("wrong", ["bpm", "kcal//d", "mL/kg.min/", "kg m2", "次"])
def test_what_is_no_unit_is_seen(wrong: str) -> None:
    assert not UCUM_SHAPE.fullmatch(wrong)


def test_a_foreign_code_means_one_measure() -> None:
    every = MEASURES.values()
    assert not twice(code for one in every for code in one.loinc)
    assert not twice(code for one in every for code in one.mdc)
    assert not twice(one.wst363 for one in every if one.wst363)


def test_a_judgement_is_about_a_pair_that_is_there() -> None:
    for key, code in JUDGED:
        assert code in (*MEASURES[key].loinc, *MEASURES[key].mdc, MEASURES[key].wst363), (key, code)


def test_answers_of_sports_are_loinc_answers_and_distances_measures() -> None:
    for sport in SPORTS.values():
        assert not sport.loinc or re.fullmatch(r"LA\d+-\d", sport.loinc)
        assert not sport.distance_measure or sport.distance_measure in MEASURES


def test_every_sex_of_the_national_code_has_a_gender() -> None:
    assert list(LISTS["sex"]) == list(GENDERS)


# The resources


@pytest.mark.parametrize("resource", EVERYTHING, ids=lambda one: f"{one['resourceType']}/{one['id']}")
def test_a_foreign_model_takes_it_and_it_says_what_it_is(resource: dict[str, Any]) -> None:
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    said = {name: resource[name] for name in ("version", "name", "title", "status", "experimental", "date", "publisher", "description")}
    assert all(value not in ("", None) for value in said.values())
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]{0,254}", resource["name"])


def test_urls_ids_and_names_are_unique() -> None:
    assert len(BY_URL) == len(EVERYTHING)
    assert not twice((one["resourceType"], one["id"]) for one in EVERYTHING)
    assert not twice(one["name"] for one in EVERYTHING)


@pytest.mark.parametrize("system", [one for one in EVERYTHING if one["resourceType"] == "CodeSystem"], ids=lambda one: one["id"])
def test_a_code_system_is_whole_and_named_in_both_languages(system: dict[str, Any]) -> None:
    assert (system["content"], system["caseSensitive"], system["count"]) == ("complete", True, len(system["concept"]))
    defined = {one["code"]: one["type"] for one in system.get("property", ())}
    for concept in system["concept"]:
        assert concept["display"]
        assert [one["language"] for one in concept["designation"]] == ["en"]
        for one in concept.get("property", ()):
            kind = defined[one["code"]]
            assert f"value{kind[0].upper()}{kind[1:]}" in one
    assert ("ValueSet", system["valueSet"]) in BY_URL


def test_a_value_set_names_codes_that_are_there() -> None:
    for one in EVERYTHING:
        for include in one.get("compose", {}).get("include", ()):
            assert include["system"] in CODES or include["concept"]
            if include["system"] in CODES:
                assert {concept["code"] for concept in include.get("concept", ())} <= CODES[include["system"]]
                assert include["version"] == BY_URL["CodeSystem", include["system"]]["version"]


def of_maps() -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    for one in EVERYTHING:
        for group in one.get("group", ()):
            for element in group["element"]:
                for target in element["target"]:
                    yield group, element["code"], target


def test_a_mapping_comes_from_a_code_that_is_there_and_says_how_sure_it_is() -> None:
    for group, code, target in of_maps():
        assert code in CODES.get(group["source"], {code})
        assert ("code" in target) is (target["equivalence"] != "unmatched")
        if target["equivalence"] in ("narrower", "inexact", "relatedto", "unmatched"):
            assert target["comment"]
        assert target["equivalence"] != "equivalent" or "(verify)" not in target.get("comment", "")


def test_a_code_that_nobody_verified_is_mapped_with_that_remark() -> None:
    mapped = {(code, target.get("code")): target for group, code, target in of_maps() if group["target"] == "http://loinc.org"}
    marked = [one for one in MEASURES.values() if "(verify)" in one.source or one.source == "third-party use"]
    assert len(marked) > 20
    for one in marked:
        for code in one.loinc:
            assert "(verify)" in mapped[one.key, code]["comment"]


def test_unstated_and_unknown_sex_stay_apart() -> None:
    (group,) = BY_URL["ConceptMap", f"{BASE}/ConceptMap/sex-administrative-gender"]["group"]
    found = {element["code"]: (element["target"][0]["code"], element["target"][0]["equivalence"]) for element in group["element"]}
    assert found == {"0": ("unknown", "equivalent"), "1": ("male", "equivalent"), "2": ("female", "equivalent"), "9": ("unknown", "wider")}


# The faces


def codings(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for one in node:
            yield from codings(one)
    elif isinstance(node, dict):
        if isinstance(node.get("system"), str) and isinstance(node.get("code"), str):
            yield node["system"], node["code"]
        for url, system in (("quality-flag", "quality-flag"), ("modality", "modality")):
            if node.get("url") == EXTENSIONS + url:
                yield f"{BASE}/CodeSystem/{system}", node["valueCode"]
        for value in node.values():
            yield from codings(value)


def test_every_code_of_ours_that_a_face_writes_is_published() -> None:
    written = {coding for example in examples() for one in face(example.record, SUBJECT) for coding in codings(orjson.loads(one.json))}
    ours = {(system, code) for system, code in written if system.startswith(BASE)}
    assert {system.rpartition("/")[2] for system, _ in ours} == {"measure", "sport", "data-class", "quality-flag", "modality", "record"}
    assert [(system, code) for system, code in sorted(ours) if code not in CODES[system]] == []
    assert {channel.code for channel in CHANNELS.values()} <= CODES[f"{BASE}/CodeSystem/record"]
    assert {channel.method for channel in CHANNELS.values()} <= set(LISTS["sampling-method"])
