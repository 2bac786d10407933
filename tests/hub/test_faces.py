"""A record told again by its FHIR resources: everything a page shows when all are there, nothing of those that are not."""

from __future__ import annotations

import orjson
import pytest

from hub.care.faces import record_of
from mappings.face import Example, Subject, examples, face
from schemas.records import BodyComposition, DaySummary, FitnessTest, Session, VitalSign

SUBJECT = Subject(
    record_id="01890000-0000-7000-8000-000000000000", patient="Patient/p", party="Organization/o", party_name="中心", adapter="a", adapter_version="1",
    original_hash=None, recorded="2026-05-01T00:00:00Z", zone="Asia/Shanghai",
)  # fmt: skip
TOLD = (Session, VitalSign, BodyComposition, DaySummary, FitnessTest)
SHOWN = ("sport", "timer_s", "distance_m", "energy_kcal", "hr_avg", "hr_max", "steps", "moderate_min", "vigorous_min")
OF_A_DAY = ("steps", "moderate_min", "vigorous_min", "resting_hr", "date")


@pytest.mark.parametrize("example", [example for example in examples() if isinstance(example.record, TOLD)], ids=lambda example: example.says)
def test_a_whole_face_tells_what_pages_show(example: Example) -> None:
    record = example.record
    told = record_of(record.__struct_config__.tag, [resource.json for resource in face(record, SUBJECT)])
    assert type(told) is type(record)
    if isinstance(record, (Session, DaySummary)):
        shown = SHOWN if isinstance(record, Session) else OF_A_DAY
        wanted = {name: getattr(record, name) for name in shown if getattr(record, name) is not None}
        if isinstance(record, Session) and record.timer_s is None and record.elapsed_s is not None:
            wanted["timer_s"] = record.elapsed_s
        assert {name: getattr(told, name) for name in wanted} == pytest.approx(wanted)
    if isinstance(record, VitalSign) and isinstance(told, VitalSign):
        assert told.measure == record.measure
        assert {part.measure: part.value for part in told.components} == {part.measure: part.value for part in record.components}
    if isinstance(record, (BodyComposition, FitnessTest)) and isinstance(told, (BodyComposition, FitnessTest)):
        quantities, found = (record.quantities if isinstance(record, BodyComposition) else record.items), _quantities(told)
        assert {quantity.measure: quantity.value for quantity in quantities}.items() <= found.items()


def _quantities(told: BodyComposition | FitnessTest) -> dict[str, float]:
    return {quantity.measure: quantity.value for quantity in (told.quantities if isinstance(told, BodyComposition) else told.items)}


@pytest.mark.parametrize("example", [example for example in examples() if isinstance(example.record, Session)], ids=lambda example: example.says)
def test_what_is_held_back_is_not_told(example: Example) -> None:
    resources = [resource.json for resource in face(example.record, SUBJECT)]
    without = [resource for resource in resources if b'"hr-mean"' not in resource and b"CodeSystem/sport" not in resource]
    told = record_of("session", without)
    assert isinstance(told, Session)
    assert (told.hr_avg, told.sport) == (None, None)
    assert record_of("session", [resource for resource in resources if orjson.loads(resource)["resourceType"] == "Provenance"]) is None
