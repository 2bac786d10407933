"""The standard's tables and the structs say the same, and what they say can be published."""

from __future__ import annotations

import msgspec
import pytest
import yaml

from mappings.face import FOLDER
from schemas import package
from schemas.measures import MEASURES
from schemas.published import part_structs
from schemas.records import KINDS
from schemas.rules import LONGEST_S
from schemas.standard import BOUNDS, EVERY, PARTS, STANDARD, Kind, field_of

STRUCTS = part_structs()
SUFFIXES = {"_s": "s", "_m": "m", "_kcal": "kcal", "_w": "W", "_min": "min"}


def test_the_tables_hold_the_kinds_and_parts_of_the_structs() -> None:
    assert set(STANDARD) == set(KINDS)
    assert set(PARTS) == set(STRUCTS)


@pytest.mark.parametrize("kind", STANDARD)
def test_a_kind_has_the_fields_of_its_struct(kind: str) -> None:
    assert set(STANDARD[kind].fields) == set(KINDS[kind].__struct_fields__)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_the_fields_of_its_struct(part: str) -> None:
    assert set(PARTS[part]) == set(STRUCTS[part].__struct_fields__)


@pytest.mark.parametrize("kind", STANDARD.values(), ids=lambda kind: kind.code)
def test_a_kinds_key_is_made_of_its_fields(kind: Kind) -> None:
    assert kind.key
    assert set(kind.key) <= set(kind.fields)


def test_names_are_there_in_both_languages_and_units_follow_the_suffix() -> None:
    for fields in (*(kind.fields for kind in STANDARD.values()), *PARTS.values()):
        for field in fields.values():
            assert field.zh
            assert field.en
            assert (field.low is None) == (field.high is None)
            for suffix, unit in SUFFIXES.items() if not field.name.startswith("hr_") else ():
                assert not field.name.endswith(suffix) or field.unit == unit, field.name


def test_a_bounded_field_is_a_number_of_its_kind() -> None:
    assert BOUNDS["session"]
    for kind, bounds in BOUNDS.items():
        types = {field.name: field.type for field in msgspec.structs.fields(KINDS[kind])}
        for name, low, high in bounds:
            assert low < high
            assert types[name] in (float, float | None, int | None), name


def test_a_session_lasts_no_longer_than_the_rules_say() -> None:
    assert {high for name, _, high in BOUNDS["session"] if name in ("elapsed_s", "timer_s")} == {LONGEST_S}


def test_a_label_is_found_where_the_kind_is_not_known() -> None:
    found = field_of("distance_m")
    assert found is not None
    assert (found.zh, found.unit) == ("距离", "m")
    assert field_of("no_such_field") is None
    assert EVERY not in STANDARD


def test_the_guide_lists_every_figure_that_an_activity_profile_is_claimed_of() -> None:
    shared = yaml.safe_load((FOLDER / "shared.yaml").read_text(encoding="utf-8"))
    profiles = {one.key: shared["measures"].get(one.key) or shared["by_category"].get(one.category) for one in MEASURES.values()}
    (listed,) = package.value_sets()["https://kinehub.org/fhir/ValueSet/activity-figure"].values()
    assert set(listed) == {key for key, profile in profiles.items() if profile in ("pa-measure", "pa-time")}, "schemas/fsh/input/fsh/activity.fsh"
