"""Whole cases, and the consents of the IHE PCF guide as they stand there (input/fsh/consent.fsh)."""

from __future__ import annotations

from typing import Any

import pytest

from consent.case import decide_case
from schemas.errors import BadRequest
from tests.consent.cases import ACT_CODE, CLASS, LEVEL, LOINC, REASON, actor, codings, concepts, consent, observation, rule

TPO = codings(REASON, "TREAT", "HPAYMT", "HOPERAT")
N, R = (codings(LEVEL, code)[0] for code in "NR")
TEST = codings(REASON, "HTEST")


def tpo(*nested: dict[str, Any], **elements: Any) -> dict[str, Any]:
    return consent(rule("permit", *nested, purpose=TPO, **elements), dateTime="2022-06-13")


def guide(code: str, *labels: dict[str, str], made: str, name: str) -> dict[str, Any]:
    found = observation(code, labels=[*TEST, *labels], effectiveDateTime=made, encounter={"reference": "Encounter/ex-encounter"})
    return {**found, "id": name, "performer": [{"reference": "Practitioner/ex-author"}]}


ALCOHOL = guide("74013-4", codings(ACT_CODE, "ETHUD")[0], R, made="2022-06-13", name="ex-alcoholUse")
SUGAR = guide("2339-0", N, made="2020-12-04T23:50:50-05:00", name="ex-bloodSugar")
MIND = guide("10190-7", codings(ACT_CODE, "PSY")[0], R, made="2021-01-01", name="ex-mind")
YEAR = {"start": "2022-01-01", "end": "2022-12-31"}
AUTHOR = [{"meaning": "authoredby", "reference": {"reference": "Practitioner/ex-author"}}]
ENCOUNTER = [{"meaning": "related", "reference": {"reference": "Encounter/ex-encounter"}}]
ONE = [{"meaning": "instance", "reference": {"reference": "Observation/ex-alcoholUse"}}]
FOCUSED = [actor("Practitioner/ex-practitioner")]
FOOBAR = codings("http://example.org/policies/purposeOfUse", "FooBar")
BREAKERS = [actor("Group/ex-privilegedUsers")]


def case(written: dict[str, Any], resource: dict[str, Any], **asked: Any) -> dict[str, Any]:
    request = {"actor": "Practitioner/someone", "purpose": "TREAT", "at": "2026-06-01T10:00:00+08:00", **asked}
    return {"id": 7, "timezone": "Asia/Shanghai", "consents": [written], "request": request, "resource": resource}


def test_what_a_resource_refers_to_is_related_to_it_though_nothing_else_is_at_hand() -> None:
    derived = guide("2339-0", N, made="2020-12-04", name="ex-mean") | {"derivedFrom": [{"reference": "Observation/ex-bloodSugar"}]}
    related = [{"meaning": "related", "reference": {"reference": "Observation/ex-mean"}}]
    assert decide_case(case(consent(rule("deny", rule("permit", data=related))), derived))["decision"] == "permit"


EX = {"actor": "Practitioner/ex-practitioner"}
BTG = {"purpose": "BTG", "memberOf": ["Group/ex-privilegedUsers"]}


@pytest.mark.parametrize(("written", "asked", "alcohol", "sugar", "mind"), [
    (tpo(), {}, "permit", "permit", "permit"),
    (tpo(), {"purpose": "HRESCH"}, "deny", "deny", "deny"),
    (tpo(), {"purpose": None}, "deny", "deny", "deny"),
    (tpo(period={"end": "2022-12-31"}), {}, "deny", "deny", "deny"),
    (consent(rule("deny", purpose=TPO)), {}, "deny", "deny", "deny"),
    (tpo(dataPeriod=YEAR), {}, "permit", "deny", "deny"),
    (tpo(rule("deny", dataPeriod=YEAR)), {}, "deny", "permit", "permit"),
    (tpo(data=AUTHOR), {}, "permit", "permit", "permit"),
    (tpo(rule("deny", data=AUTHOR)), {}, "deny", "deny", "deny"),
    (tpo(data=ENCOUNTER), {}, "permit", "permit", "permit"),
    (tpo(rule("deny", data=ENCOUNTER)), {}, "deny", "deny", "deny"),
    (tpo(data=ONE), {}, "permit", "deny", "deny"),
    (tpo(rule("deny", data=ONE)), {}, "deny", "permit", "permit"),
    (consent(rule("permit", purpose=FOOBAR)), {"purpose": "FooBar"}, "permit", "permit", "permit"),
    (consent(rule("deny", rule("permit", purpose=codings(REASON, "BTG"), actor=BREAKERS))), {}, "deny", "deny", "deny"),
    (consent(rule("deny", rule("permit", purpose=codings(REASON, "BTG"), actor=BREAKERS))), BTG, "permit", "permit", "permit"),
    (tpo(securityLabel=[N]), {}, "deny", "permit", "deny"),
    (tpo(securityLabel=[N, R]), {}, "permit", "permit", "permit"),
    (tpo(rule("deny", securityLabel=[R]), securityLabel=[N]), {}, "deny", "permit", "deny"),
    (tpo(rule("permit", securityLabel=[R], actor=FOCUSED), securityLabel=[N]), {}, "deny", "permit", "deny"),
    (tpo(rule("permit", securityLabel=[R], actor=FOCUSED), securityLabel=[N]), EX, "permit", "permit", "permit"),
    (tpo(rule("permit", securityLabel=codings(ACT_CODE, "PSY"), actor=FOCUSED), securityLabel=[N]), EX, "deny", "permit", "permit"),
    (tpo(rule("permit", securityLabel=codings(ACT_CODE, "PSY", "SDV"), actor=FOCUSED), securityLabel=[N]), {}, "deny", "permit", "deny"),
    (tpo(rule("permit", securityLabel=[R], purpose=codings(REASON, "BTG"), actor=BREAKERS), securityLabel=[N]), BTG, "permit", "permit", "permit"),
    (tpo(rule("permit", securityLabel=[R], purpose=codings(REASON, "BTG"), actor=BREAKERS), securityLabel=[N]), {}, "deny", "permit", "deny"),
])  # fmt: skip
def test_the_guides_consents_decide_as_the_guide_says(written: dict[str, Any], asked: dict[str, Any], alcohol: str, sugar: str, mind: str) -> None:
    found = [decide_case(case(written, each, **asked))["decision"] for each in (ALCOHOL, SUGAR, MIND)]
    assert found == [alcohol, sugar, mind]


def test_the_answer_names_case_decision_rule_and_reason() -> None:
    answer = decide_case(case(tpo(), SUGAR))
    assert answer == {"id": 7, "decision": "permit", "rule": ["Consent/c", "provision"], "text": "Permitted by Consent/c provision."}
    assert decide_case(case(tpo(), SUGAR, purpose="HRESCH"), "zh-CN")["text"] == "不能查看：没有任何授权允许。"


def test_a_bundle_is_what_its_resources_are() -> None:
    bundle = {"resourceType": "Bundle", "total": 2, "entry": [{"resource": ALCOHOL}, {"resource": SUGAR}]}
    answer = decide_case(case(tpo(rule("deny", data=ONE)), bundle))
    assert answer["decision"] == "redact"
    assert [entry["resource"]["id"] for entry in answer["resource"]["entry"]] == ["ex-bloodSugar"]
    assert "total" not in answer["resource"]
    assert decide_case(case(tpo(), bundle))["decision"] == "permit"
    assert decide_case(case(tpo(), bundle, purpose="HRESCH"))["decision"] == "deny"


def test_parameters_are_left_with_what_may_be_seen_at_any_depth() -> None:
    inner = {"name": "inner", "part": [{"name": "denied", "resource": ALCOHOL}, {"name": "count", "valueInteger": 2}]}
    answer = decide_case(case(tpo(rule("deny", data=ONE)), {"resourceType": "Parameters", "parameter": [inner, {"name": "other", "resource": SUGAR}]}))
    assert answer["decision"] == "redact"
    left = [{"name": "inner", "part": [{"name": "count", "valueInteger": 2}]}, {"name": "other", "resource": SUGAR}]
    assert answer["resource"]["parameter"] == left


def test_a_consent_of_another_patient_decides_nothing() -> None:
    assert decide_case(case({**tpo(), "patient": {"reference": "Patient/q"}}, SUGAR))["decision"] == "deny"


def test_a_grant_by_our_classes_keeps_sensitive_data_back_in_a_case_too() -> None:
    labels = [*codings(CLASS, "activity"), *codings(ACT_CODE, "PSY")]
    granted = consent(rule("permit", class_=codings(CLASS, "activity")))
    assert decide_case(case(granted, observation(labels=labels)))["decision"] == "deny"


def test_a_code_denied_in_a_component_is_redacted() -> None:
    part = {"code": concepts(LOINC, "8480-6")[0], "valueQuantity": {"value": 1}}
    panel = observation("85354-9", component=[part, {"code": concepts(LOINC, "8462-4")[0]}])
    answer = decide_case(case(tpo(rule("deny", code=concepts(LOINC, "8480-6"))), panel))
    assert (answer["decision"], len(answer["resource"]["component"])) == ("redact", 1)


@pytest.mark.parametrize(("broken", "field"), [
    ({"resource": None}, "resource"), ({"request": None}, "request"), ({"request": {"at": "2026-06-01T10:00:00Z"}}, "request.actor"),
    ({"request": {"actor": "Practitioner/a", "at": "noon"}}, "request.at"), ({"consents": 1}, "consents"), ({"timezone": "Nowhere"}, "timezone"),
    ({"request": {"actor": "Practitioner/a", "at": "2026-06-01T10:00:00Z", "memberOf": [1]}}, "request.memberOf"),
    ({"resources": ["x"]}, "resources"), ({"request": {"actor": "Practitioner/a", "at": "2026-06-01T10:00:00"}}, "at"),
])  # fmt: skip
def test_a_case_that_cannot_be_read_is_refused_with_its_place(broken: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        decide_case({**case(tpo(), SUGAR), **broken})
    assert refused.value.field == field
