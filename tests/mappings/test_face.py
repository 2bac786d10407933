"""A record's FHIR face: judged by foreign models, R4's invariants, and the examples that stand in each YAML."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from mappings.face import Example, examples, face, mapping_version
from schemas.classes import DataClass
from schemas.errors import InvalidRecord
from schemas.measures import LOCAL, MEASURES
from schemas.records import KINDS, BodyComposition, DaySummary, FitnessTest, Lap, Moment, Quantity, Record, Referral, Session, VitalSign, decode, encode
from tests.mappings import kept
from tests.mappings.r4_oracle import RECORD_ID, SUBJECT, judge, read
from tests.mappings.record_strategies import OF_CARE, OF_EXERCISE

START = Moment(at=datetime(2026, 5, 1, tzinfo=UTC), offset_minutes=480)


def _at(said: Any, path: str) -> Any:
    for step in path.split("."):
        said = said[int(step)] if step.isdigit() else said[step]
    return said


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.says)
def test_a_yaml_s_example_says_what_it_expects(example: Example) -> None:
    faces = read(face(example.record, SUBJECT))
    expected = dict(example.expect)
    assert list(faces) == expected.pop("slots")
    for path, value in expected.items():
        slot, _, inside = path.partition("/")
        assert _at(faces[int(slot)], inside) == value, path


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.says)
def test_a_yaml_s_example_is_valid_r4(example: Example) -> None:
    made = face(example.record, SUBJECT)
    assert made
    judge(made)


def test_every_kind_has_a_versioned_mapping() -> None:
    assert {kind: mapping_version(kind).split()[0] for kind in KINDS} == {kind: kind for kind in KINDS}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(OF_EXERCISE)
def test_the_face_of_any_record_is_valid_r4_with_stable_unique_ids(record: Record) -> None:
    resources = face(record, SUBJECT)
    judge(resources)
    assert face(decode(encode(record)), SUBJECT) == resources


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(OF_CARE)
def test_the_face_of_any_record_of_care_is_valid_r4_with_stable_unique_ids(record: Record) -> None:
    resources = face(record, SUBJECT)
    judge(resources)
    assert face(decode(encode(record)), SUBJECT) == resources


@pytest.mark.parametrize("path", kept.files(), ids=lambda path: path.stem)
def test_the_face_of_a_full_record_is_the_one_on_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    record = decode(orjson.dumps(kept.record_in(path)))
    assert [orjson.loads(resource.json) for resource in face(record, SUBJECT)] == orjson.loads(text)["face"]
    assert text == kept.written(kept.record_in(path)), "run python -m tests.mappings.kept"


def test_a_record_on_file_fills_every_field_of_its_kind() -> None:
    records = {path.stem: kept.record_in(path) for path in kept.files()}
    for kind, struct in KINDS.items():
        fields = set(struct.__struct_fields__) - {"samples", "hr_samples", "gps_samples", "ordinal"}
        given = {name for stem, record in records.items() if stem.startswith(kind) for name in record}
        assert fields <= given, kind


def test_absent_figures_make_no_members() -> None:
    faces = read(face(Session(start=START, sport="yoga", timer_s=1800), SUBJECT))
    assert list(faces) == [0, 1, 3, 4]
    assert b'"value":0' not in orjson.dumps(list(faces.values()))


@pytest.mark.parametrize(("known", "claims"), [
    ({}, {"kinehub-service-request", "kinehub-referral-task"}),
    ({"Organization": "东湖健身中心"}, {"kinehub-service-request", "kinehub-referral-task"}),
    ({"Organization": "东湖健身中心", "Practitioner": "李医生"},
     {"kinehub-service-request", "kinehub-referral-task", "pa-servicerequest", "pa-task-for-referral-management"}),
])  # fmt: skip
def test_an_order_claims_the_foreign_profile_only_where_it_refers_to_whom_it_names(known: dict[str, str], claims: set[str]) -> None:
    referral = Referral(start=START, status="requested", reason="久坐", requester="李医生", recipient="东湖健身中心")
    subject = msgspec.structs.replace(SUBJECT, named={(type_, name): (f"{type_}/1", name) for type_, name in known.items()})
    faces = read(face(referral, subject))
    assert {url.rpartition("/")[2] for slot in (1, 3) for url in faces[slot]["meta"]["profile"]} == claims


PROFILES = {
    "heart-rate": "heartrate", "respiratory-rate": "resprate", "oxygen-saturation": "oxygensat", "body-temperature": "bodytemp",
    "body-weight": "bodyweight", "body-height": "bodyheight", "bmi": "bmi", "blood-pressure": "bp", "mean-pressure": "vitalsigns",
    "steps": "pa-observation-activity-measure", "resting-heart-rate": "pa-observation-time-measure", "floors": "pa-observation-activity-measure",
    "sleep-total": "kinehub-measurement", "waist": "kinehub-measurement", "glucose-serum": "kinehub-measurement",
} | {key: "pa-observation-time-measure" for key in MEASURES if key.endswith("-day")}  # fmt: skip


@pytest.mark.parametrize("measure", sorted(PROFILES))
def test_a_measure_that_stands_alone_has_the_profile_of_its_code(measure: str) -> None:
    observation = read(face(VitalSign(start=START, measure=measure), SUBJECT))[1]
    assert observation["meta"]["profile"][0].rpartition("/")[2] == PROFILES[measure]


@pytest.mark.parametrize(
    ("kind", "slots"),
    [
        (
            "body-composition",
            "body-weight body-height bmi body-fat fat-mass muscle-mass muscle-percentage body-water bone-mass basal-metabolic-rate "
            "visceral-fat-level waist hip heart-rate",
        ),
        (
            "fitness-test",
            "body-height body-weight bmi body-fat vital-capacity max-oxygen-uptake grip-strength grip-strength-left grip-strength-right "
            "vertical-jump push-ups sit-ups-per-minute sit-and-reach single-leg-stand reaction-time high-knees-2min sit-to-stand-30s "
            "six-minute-walk waist hip systolic diastolic heart-rate resting-heart-rate",
        ),
    ],
)
def test_the_slots_of_items_never_move_because_ids_are_made_of_them(kind: str, slots: str) -> None:
    items = [Quantity(key, 1, MEASURES[key].unit) for key in slots.split()]
    record = BodyComposition(start=START, quantities=items) if kind == "body-composition" else FitnessTest(start=START, items=items)
    faces = read(face(record, SUBJECT))
    ours = [next(c["code"] for c in faces[slot]["code"]["coding"] if c["system"] == LOCAL) for slot in faces if slot >= 10]
    assert ours == slots.split()
    assert [slot for slot in faces if slot >= 10] == list(range(10, 10 + len(items)))
    assert all("unit" in said["valueQuantity"] for slot, said in faces.items() if slot >= 10)


def test_a_measurement_without_its_value_says_so() -> None:
    observation = read(face(VitalSign(start=START, measure="heart-rate"), SUBJECT))[1]
    assert observation["dataAbsentReason"]["coding"][0]["code"] == "unknown"


def test_a_blank_sport_is_an_absent_one() -> None:
    assert list(read(face(Session(start=START, sport="  ", timer_s=1800), SUBJECT))) == [0, 1, 4]
    only = face(Session(start=START, sport=" "), SUBJECT)
    judge(only)
    assert "dataAbsentReason" in read(only)[3]


def test_every_resource_carries_the_label_of_its_data_class() -> None:
    glucose = VitalSign(start=START, measure="glucose-capillary", quantity=Quantity("glucose-capillary", 6.1, "mmol/L"))
    weight = BodyComposition(start=START, quantities=[Quantity("body-weight", 70, "kg")])
    assert {resource.classes for resource in face(glucose, SUBJECT)} == {DataClass.LABORATORY}
    assert {resource.classes for resource in face(weight, SUBJECT)} == {DataClass.HEALTH_CHECK}
    assert {resource.classes for resource in face(Session(start=START, sport="yoga"), SUBJECT)} == {DataClass.ACTIVITY}


def test_a_correction_changes_only_the_resource_it_corrects() -> None:
    first = Session(start=START, sport="running", distance_m=5000, hr_avg=140, laps=[Lap(distance_m=1000)])
    second = msgspec.structs.replace(first, hr_avg=141)
    before, after = read(face(first, SUBJECT)), read(face(second, SUBJECT))
    assert [slot for slot in before if before[slot] != after[slot]] == [8]


def test_an_item_added_later_leaves_the_slots_of_the_others() -> None:
    fat = Quantity("body-fat", 21.0, "%")
    water = Quantity("body-water", 40.0, "kg")
    short = face(BodyComposition(start=START, quantities=[water]), SUBJECT)
    long = face(BodyComposition(start=START, quantities=[fat, water]), SUBJECT)
    assert short[-1] in long


def test_provenance_names_party_adapter_mapping_and_the_original() -> None:
    provenance = read(face(Session(start=START, sport="yoga"), SUBJECT))[0]
    said = orjson.dumps(provenance).decode()
    assert provenance["recorded"] == SUBJECT.recorded
    assert provenance["agent"][0]["who"] == {"reference": SUBJECT.party, "display": SUBJECT.party_name}
    assert provenance["entity"][0]["what"]["identifier"]["value"] == SUBJECT.original_hash
    assert '"fit 1.0.0"' in said
    assert f'"{mapping_version("session")}"' in said


def test_provenance_without_an_original_has_no_entity() -> None:
    bare = msgspec.structs.replace(SUBJECT, original_hash=None, party_name=None)
    provenance = read(face(Session(start=START, sport="yoga"), bare))[0]
    assert "entity" not in provenance
    assert provenance["agent"][0]["who"] == {"reference": SUBJECT.party}


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (Moment(at=datetime(2026, 5, 1, 0, 30, tzinfo=UTC), offset_minutes=480), "2026-05-01T08:30:00+08:00"),
        (Moment(at=datetime(2026, 5, 1, 0, 30, tzinfo=UTC), offset_minutes=0), "2026-05-01T00:30:00+00:00"),
        (Moment(at=datetime(2026, 5, 1, 0, 30, tzinfo=UTC)), "2026-05-01T00:30:00Z"),
        (Moment(at=datetime(2026, 5, 1, 0, 30, 0, 500_000, tzinfo=UTC), offset_minutes=-210), "2026-04-30T21:00:00.500000-03:30"),
        (Moment(at=datetime(2026, 4, 30, 16, tzinfo=UTC), offset_minutes=480, precision="day"), "2026-05-01"),
        (Moment(at=datetime(2026, 4, 30, 16, tzinfo=UTC), precision="day"), "2026-05-01"),
        (Moment(local=datetime(2026, 5, 1), precision="day"), "2026-05-01"),  # noqa: DTZ001 - a wall clock
    ],
)
def test_a_time_is_said_as_sure_as_the_source_was(moment: Moment, expected: str) -> None:
    panel = read(face(Session(start=moment, sport="yoga"), SUBJECT))[1]
    assert panel["effectiveDateTime"] == expected
    assert "_effectiveDateTime" not in panel


def test_numbers_are_the_shortest_exact_text() -> None:
    values = {72.0: b"72", 72.5: b"72.5", 0.1: b"0.1", -0.0: b"0", 36.60: b"36.6"}
    for value, text in values.items():
        resource = face(VitalSign(start=START, measure="body-weight", quantity=Quantity("body-weight", value, "kg")), SUBJECT)[1]
        assert b'"value":' + text + b',"unit"' in resource.json


def test_half_a_blood_pressure_says_that_the_other_half_is_unknown() -> None:
    record = VitalSign(start=START, measure="blood-pressure", components=[Quantity("systolic", 120, "mm[Hg]")])
    parts = read(face(record, SUBJECT))[1]["component"]
    assert parts[0]["valueQuantity"]["value"] == 120
    assert parts[1]["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert "valueQuantity" not in parts[1]


def test_a_name_in_a_quote_or_a_control_character_stays_a_string() -> None:
    record = Session(start=START, sport="yoga", title='"},"evil":"\n\x01', venue="\\")
    judge(face(record, SUBJECT))
    panel = read(face(record, SUBJECT))[1]
    assert panel["extension"][0]["valueString"] == record.title
    assert "evil" not in panel


@pytest.mark.parametrize(
    "record",
    [
        DaySummary(start=START, date=datetime(2026, 5, 1, tzinfo=UTC).date()),
        BodyComposition(start=START, quantities=[]),
        BodyComposition(start=START, quantities=[Quantity("no-such-measure", 1, "kg")]),
        VitalSign(start=START, measure="no-such-measure"),
        VitalSign(start=START, measure="body-weight", quantity=Quantity("body-weight", 154, "[lb_av]")),
        VitalSign(start=START, measure="body-weight", quantity=Quantity("body-weight", float("nan"), "kg")),
        Session(start=START, sport="yoga", hr_avg=float("inf")),
        Session(start=START, end=Moment(at=datetime(2026, 4, 30, tzinfo=UTC)), sport="yoga"),
        Session(start=Moment(), sport="yoga"),
    ],
)
def test_a_record_that_has_no_face_is_refused_without_quoting_it(record: Record) -> None:
    with pytest.raises(InvalidRecord) as refused:
        face(record, SUBJECT)
    assert "no-such" not in refused.value.message
    assert "154" not in refused.value.message


def test_ids_stay_within_64_characters_however_many_laps() -> None:
    laps = [Lap(start=START.at + timedelta(seconds=i), elapsed_s=1.0) for i in range(3000)] if START.at else []
    resources = face(Session(start=START, sport="swimming", laps=laps), SUBJECT)
    assert len({resource.slot for resource in resources}) == 3000 + 3
    assert max(len(f"{RECORD_ID}-{resource.slot}") for resource in resources) <= 64
