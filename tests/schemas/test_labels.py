"""The label rules: what they find in codes, words, questionnaires and ages, and what they let be."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import schemas
from adapters import kinehub_json
from adapters.base import Context
from schemas.labels import LEVELS, RULES, SENSITIVITIES, TABLE, VERSION, of_age
from schemas.measures import loinc_checks
from schemas.r4.terms import is_code
from schemas.records import (
    Analyte,
    Answer,
    Condition,
    Decoded,
    Envelope,
    Exercise,
    Guidance,
    LabResult,
    Medication,
    Moment,
    Precaution,
    Prescription,
    RehabilitationStatus,
    Screening,
    Session,
    Visit,
)

NOON = datetime(2026, 5, 1, 4, tzinfo=UTC)
AT = Moment(at=NOON)
ICD, LOINC, SCT, ATC = "http://hl7.org/fhir/sid/icd-10", "http://loinc.org", "http://snomed.info/sct", "http://www.whocc.no/atc"
TABLES = {3: "0670a1c5dceb88d1"}
"""Version to the SHA-256 of both tables: whoever changes a rule raises the version, or stored records keep the old label for good."""


def found(record: Envelope, born: date | None = None) -> set[str]:
    return set(RULES.label(record, NOON, of_age(born, "Asia/Shanghai")).sensitivity)


def test_a_change_of_the_tables_has_a_version_of_its_own() -> None:
    folder = Path(schemas.__file__).parent
    both = b"".join((folder / name).read_bytes() for name in ("sensitivities.csv", "labels.csv"))
    assert TABLES[VERSION] == hashlib.sha256(both).hexdigest()[:16]


def test_each_rule_names_a_sensitivity_a_source_and_what_it_looks_for() -> None:
    assert {rule.sensitivity for rule in TABLE} == set(SENSITIVITIES)
    assert {rule.by for rule in TABLE} == {"age", "icd-10", "snomed", "loinc", "atc", "instrument", "word"}
    assert all(rule.source and (rule.value or (rule.zh and rule.en)) for rule in TABLE)
    assert all(one.source and one.why and one.why_zh and one.confidentiality in LEVELS for one in SENSITIVITIES.values())


def test_loinc_numbers_of_the_rules_pass_their_check_digit() -> None:
    assert [code for rule in TABLE if rule.by == "loinc" for code in rule.value.split() if not loinc_checks(code)] == []


@pytest.mark.parametrize(("record", "label"), [
    (Condition(start=AT, name="抑郁症"), "PSY"),
    (Condition(start=AT, name="ＨＩＶ（＋）"), "HIV"),
    (Condition(start=AT, name="ｍａｊｏｒ ｄｅｐｒｅｓｓｉｏｎ"), "PSY"),
    (Condition(start=AT, name="-", coding=f"{ICD}|F32.900"), "PSY"),
    (Condition(start=AT, name="-", coding=f"{ICD}-cm|F10.20"), "SUD"),
    (Condition(start=AT, name="-", coding="urn:oid:2.16.156.10011.2.3.3.11|B20.x00"), "HIV"),
    (Condition(start=AT, name="-", coding="Z21"), "HIV"),
    (Condition(start=AT, name="-", coding=f"{SCT}|86406008"), "HIV"),
    (Condition(start=AT, name="AIDS"), "HIV"),
    (Condition(start=AT, name="recurrent depressive episode"), "PSY"),
    (Condition(start=AT, name="早孕"), "SEX"),
    (Condition(start=AT, name="-", coding=f"{ICD}|O14.9"), "SEX"),
    (Condition(start=AT, name="血友病"), "GDIS"),
    (Condition(start=AT, name="-", coding=f"{ICD}|T74.1"), "SDV"),
    (Condition(start=AT, name="梅毒"), "STD"),
    (Medication(start=AT, name="盐酸舍曲林片"), "PSY"),
    (Medication(start=AT, name="Escitalopram 10 mg"), "PSY"),
    (Medication(start=AT, name="-", coding=f"{ATC}|N05AX08"), "PSY"),
    (Medication(start=AT, name="-", coding=f"{ATC}|J05AR20"), "HIV"),
    (Medication(start=AT, name="-", reason="HIV 感染"), "HIV"),
    (Medication(start=AT, name="美沙酮口服液"), "SUD"),
    (LabResult(start=AT, items=[Analyte(name="HIV1+2抗体", text="阴性")]), "HIV"),
    (LabResult(start=AT, items=[Analyte(coding=f"{LOINC}|75622-1", text="-")]), "HIV"),
    (Screening(start=AT, instrument="SAS"), "PSY"),
    (Screening(start=AT, instrument="zung-SDS"), "PSY"),
    (Screening(start=AT, instrument="https://example.org/Questionnaire/phq9"), "PSY"),
    (Screening(start=AT, instrument="-", title="GAD-7 广泛性焦虑量表"), "PSY"),
    (Screening(start=AT, instrument="audit-c"), "SUD"),
    (Screening(start=AT, instrument="-", answers=[Answer(item="1", question="您现在怀孕吗？", answer=True)]), "SEX"),
    (Screening(start=AT, instrument="-", limits=[Precaution(text="孕期，避免仰卧")]), "SEX"),
    (Prescription(start=AT, status="active", reason="焦虑障碍", exercises=[Exercise(text="快走")]), "PSY"),
    (Guidance(start=AT, advice="Talk to the psychiatrist before changing the dose"), "PSY"),
    (RehabilitationStatus(start=AT, stage="-", scale="HAMD"), "PSY"),
    (Visit(start=AT, department="精神科"), "PSY"),
    (Session(start=AT, note="after psychotherapy"), "PSY"),
])  # fmt: skip
def test_codes_words_and_questionnaires_are_found(record: Envelope, label: str) -> None:
    assert label in found(record)


@pytest.mark.parametrize("record", [
    Condition(start=AT, name="高血压", coding=f"{ICD}|I10"),
    Condition(start=AT, name="needs hearing aids"),
    Condition(start=AT, name="Romania"),
    Condition(start=AT, name="-", coding=f"{SCT}|38341003"),
    Medication(start=AT, name="恩替卡韦", coding=f"{ATC}|J05AF10"),
    Medication(start=AT, name="二甲双胍", coding=f"{ATC}|A10BA02"),
    LabResult(start=AT, items=[Analyte(measure="glucose", value=5.1, unit="mmol/L")]),
    Screening(start=AT, instrument="PAR-Q+"),
    Screening(start=AT, instrument="IPAQ", title="Physical activity"),
    Session(start=AT, title="SAS 5k"),
])  # fmt: skip
def test_what_is_not_sensitive_has_no_label(record: Envelope) -> None:
    assert RULES.label(record, NOON, None) == ((), "N")


def test_the_highest_confidentiality_is_the_records() -> None:
    assert RULES.label(Condition(start=AT, name="抑郁，家庭暴力"), NOON, None) == (("PSY", "SDV"), "V")


@pytest.mark.parametrize(("born", "turns"), [
    (date(2012, 5, 1), "2026-05-01T00:00:00+08:00"), (date(2012, 2, 29), "2026-03-01T00:00:00+08:00"), (date(2016, 2, 29), "2030-03-01T00:00:00+08:00"),
])  # fmt: skip
def test_a_childs_record_is_one_until_midnight_of_the_fourteenth_birthday(born: date, turns: str) -> None:
    midnight = datetime.fromisoformat(turns)
    adult_at = of_age(born, "Asia/Shanghai")
    before, after = (RULES.label(Session(start=AT), moment, adult_at).sensitivity for moment in (midnight - timedelta(seconds=1), midnight))
    assert (before, after) == (("MINOR14",), ())


@pytest.mark.parametrize("row", json.loads(kinehub_json.sample), ids=lambda row: row["record"]["kind"])
def test_words_are_found_in_every_kind(row: dict[str, Any]) -> None:
    (decoded,) = kinehub_json.decode(io.BytesIO(json.dumps([{"record": row["record"] | {"note": "抑郁"}}]).encode()), Context(received_at=NOON))
    assert isinstance(decoded, Decoded)
    assert "PSY" in found(decoded.record)


def test_v3_codes_are_those_of_r4() -> None:
    assert all(is_code(one.system, one.code) for one in SENSITIVITIES.values())
