"""The published JSON Schemas and the adapter agree: what one takes the other takes. Judged by a validator nobody here wrote."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from adapters import kinehub_json
from adapters.base import Context, Decoded, Rejected
from adapters.kinehub_schema import FILE, schema, schemas
from mappings.face import examples
from schemas.errors import InvalidRecord
from schemas.measures import MEASURES
from schemas.records import KINDS
from schemas.rules import check
from schemas.standard import BOUNDS, STANDARD
from tests.mappings import record_strategies as strategies

WHOLE: Validator = Draft202012Validator(schema(FILE))
SESSION: dict[str, Any] = {"kind": "session", "start": "2026-05-01T08:00:00+08:00", "sport": "running", "elapsed_s": 1800, "hr_avg": 128}
SHAPES = {"schema", "time", "channel", "sport"}
"""Codes of refusals for shape; `measure` is one of them too, but where two measures of one record disagree."""


def fits(content: object) -> bool:
    return bool(WHOLE.is_valid(content))


def taken(record: object, **row: object) -> Decoded | Rejected:
    raw = json.dumps([{"record": record, **row}]).encode()
    (found,) = kinehub_json.decode(io.BytesIO(raw), Context())
    return found


def test_there_is_a_valid_schema_for_every_kind_and_for_a_file() -> None:
    assert set(schemas()) == {*KINDS, FILE}
    for name, found in schemas().items():
        Draft202012Validator.check_schema(found)
        assert found["$id"].endswith(f"/{name}.json")
        assert found["title"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kinds_schema_names_every_field_with_its_unit_and_bounds(kind: str) -> None:
    properties = schema(kind)["$defs"][kind]["properties"]
    for field in STANDARD[kind].fields.values():
        assert (properties[field.name]["title"], properties[field.name]["x-title-zh"]) == (field.en, field.zh)
        assert properties[field.name].get("x-unit", "") == field.unit
    for name, low, high in BOUNDS[kind]:
        assert {"minimum": low, "maximum": high}.items() <= properties[name].get("anyOf", [properties[name]])[0].items()


def test_the_adapters_own_sample_fits_as_a_file_and_each_record_its_kind() -> None:
    rows = json.loads(kinehub_json.sample)
    assert fits(rows)
    assert fits({"records": rows})
    for row in rows:
        assert fits(row)
        assert Draft202012Validator(schema(row["record"]["kind"])).is_valid(row["record"])


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.says)
def test_the_examples_of_the_mappings_fit(example: Any) -> None:
    record = json.loads(msgspec.json.encode(example.record))
    found = taken(record)
    assert isinstance(found, Decoded) == fits({"record": record}), found


@given(strategies.RECORDS)
def test_any_record_that_the_adapter_takes_back_fits(record: Any) -> None:
    written = json.loads(msgspec.json.encode(record))
    found = taken(written)
    if isinstance(found, Decoded) and possible(found):
        assert fits({"record": written})


def possible(found: Decoded) -> bool:
    """Whether the rules let the record through: its bounds are in the schema too."""
    try:
        check(found.record, datetime(9999, 1, 1, tzinfo=UTC))
    except InvalidRecord as wrong:
        return wrong.code != "out-of-range"
    return True


WRONG: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"elapsed_s": "1800"}, {}), ({"elapsd_s": 1800}, {}), ({"laps": [{"timer_s": 1}, {"timer_s": "x"}]}, {}), ({"kind": "dance"}, {}),
    ({"sport": "quidditch"}, {}), ({"steps": 1.5}, {}), ({"start": "yesterday"}, {}), ({"start": "20260501"}, {}), ({"start": {}}, {}),
    ({"start": {"at": "2026-05-01T08:00:00"}}, {}), ({"start": {"at": "2026-05-01T08:00:00Z", "local": "2026-05-01T08:00:00"}}, {}),
    ({"start": {"local": "2026-05-01T08:00:00Z"}}, {}), ({"start": {"at": "2026-05-01T08:00:00Z", "offset_minutes": 99999}}, {}),
    ({"start": 1777593600}, {}), ({"start": None}, {}), ({"modality": "guessed"}, {}), ({"indoor": "yes"}, {}),
    ({}, {"series": {"mood": {"interval_s": 1, "values": [1]}}}), ({}, {"series": {"power": {"values": [1]}}}),
    ({}, {"series": {"power": {"interval_s": 0, "values": [1]}}}), ({}, {"series": {"power": {"interval_s": 1, "values": ["1"]}}}),
    ({}, {"series": {"power": {"interval_s": 1, "values": [1], "start": "2026-05-01T08:00:00"}}}), ({}, {"series": [{"interval_s": 1, "values": [1]}]}),
    ({}, {"who": {"memberNumber": "A1"}}), ({}, {"who": {"member_number": 7}}), ({}, {"whom": {}}),
]  # fmt: skip


@pytest.mark.parametrize(("change", "row"), WRONG)
def test_what_is_refused_for_its_shape_does_not_fit(change: dict[str, Any], row: dict[str, Any]) -> None:
    found = taken({**SESSION, **change}, **row)
    assert isinstance(found, Rejected)
    assert found.code in SHAPES
    assert not fits({"record": {**SESSION, **change}, **row})


QUANTITY = {"measure": "heart-rate", "value": 70, "unit": "/min"}
VITALS: list[dict[str, Any]] = [
    {"measure": "heart-rate", "value": 70, "unit": "/min"}, {"measure": "heart-rate", "value": 70}, {"measure": "heart-rate"}, {"measure": "aura"},
    {"measure": "heart-rate", "quantity": QUANTITY}, {"measure": "heart-rate", "quantity": QUANTITY, "value": 70, "unit": "/min"},
    {"measure": "heart-rate", "quantity": QUANTITY, "components": [QUANTITY]}, {"measure": "heart-rate", "quantity": QUANTITY, "unit": "/min"},
    {"measure": "blood-pressure", "components": [{"measure": "systolic", "value": 16, "unit": "kPa"}]}, {"measure": "blood-pressure", "components": []},
    {"measure": "blood-pressure", "components": [{"measure": "blood-pressure", "value": 16, "unit": "kPa"}]}, {"quantity": QUANTITY},
]  # fmt: skip


@pytest.mark.parametrize("vital", VITALS)
def test_a_vitals_three_forms_are_those_of_the_adapter(vital: dict[str, Any]) -> None:
    record = {"kind": "vital", "start": "2026-05-01", **vital}
    assert fits({"record": record}) == isinstance(taken(record), Decoded)


def test_a_list_of_nothing_does_not_fit() -> None:
    for record in ({"kind": "body-composition", "start": "2026-05-01", "quantities": []}, {"kind": "fitness-test", "start": "2026-05-01", "items": []}):
        assert isinstance(taken(record), Rejected)
        assert not fits({"record": record})
    assert not fits([])


def test_what_no_body_can_have_does_not_fit() -> None:
    assert not fits({"record": {**SESSION, "hr_avg": 261}})
    assert not fits({"record": {"kind": "vital", "start": "2026-05-01", "measure": "bmi", "quantity": {"measure": "bmi", "value": 900, "unit": "kg/m2"}}})
    assert {one["const"] for one in schema("vital")["$defs"]["measure"]["oneOf"]} == set(MEASURES)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer()) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["kind", "start", "at"]), inner, max_size=4),
    max_leaves=6,
)


@given(_json, st.sampled_from(["start", "end", "laps", "hr_avg", "flags", "device", "kind", "note", "sport", "steps", "modality", "indoor"]))
def test_any_value_in_any_field_is_judged_alike(value: Any, field: str) -> None:
    """But for whole numbers written with a point, which JSON Schema takes for integers."""
    found = taken({**SESSION, field: value})
    agreed = isinstance(found, Decoded) and possible(found)
    assert fits({"record": {**SESSION, field: value}}) == agreed, found
