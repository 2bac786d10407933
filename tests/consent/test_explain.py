"""Decisions in words."""

from __future__ import annotations

from typing import Any

import pytest

from consent.decision import compile_policy
from consent.explain import explain, sentence
from consent.words import reason
from tests.consent.cases import ACT_CODE, CLASS, LEVEL, LOINC, REASON, TYPES, actor, ask, codings, concepts, consent, rule, verdict

ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"


def explained(tree: dict[str, Any], language: str = "en") -> dict[str, dict[str, Any]]:
    policy = compile_policy([consent(tree)], resident="Patient/p", zone="Asia/Shanghai")
    return {each["class"]: each for each in explain(policy, ask(), language)["classes"]}


def test_each_class_says_what_may_be_seen_and_by_which_rule() -> None:
    tree = rule(
        "permit", rule("deny", class_=codings(CLASS, "sleep")), rule("deny", code=concepts(LOINC, "8867-4"), class_=codings(CLASS, "health-check"))
    )
    found = explained(tree)
    assert (found["activity"]["decision"], found["activity"]["rule"]) == ("permit", ["Consent/c", "provision"])
    assert (found["sleep"]["decision"], found["sleep"]["rule"]) == ("deny", ["Consent/c", "provision.provision[0]"])
    assert (found["health-check"]["decision"], found["health-check"]["except"]) == ("partly", ["Consent/c", "provision.provision[1]"])
    assert (found["biometric"]["decision"], found["biometric"]["rule"]) == ("deny", [])


@pytest.mark.parametrize(
    ("language", "text"), [("en", "May see Exercise (Consent/c provision)."), ("zh-CN", "可以查看运动（依据 Consent/c provision）。")]
)
def test_the_sentence_is_in_the_language_asked_for(language: str, text: str) -> None:
    assert explained(rule("permit"), language)["activity"]["text"] == text


def test_a_verdict_without_rule_says_that_no_consent_permits() -> None:
    assert sentence(verdict(), "en") == "No rule of any consent permits it."
    assert sentence(verdict(consent(rule("deny"))), "zh-CN") == "不能查看：被 Consent/c provision 拒绝。"


def test_what_is_not_understood_is_listed() -> None:
    policy = compile_policy([consent(rule("permit", purpose=[]))], resident="Patient/p", zone="Asia/Shanghai")
    assert explain(policy, ask(), "en")["problems"] == [{"rule": ["Consent/c", "provision.purpose"], "text": "not a list of elements"}]


NESTED = rule(
    "permit",
    rule("deny", rule("permit", purpose=codings(REASON, "ETREAT"), action=concepts(ACTION, "access")), class_=codings(CLASS, "sleep", "location"),
         dataPeriod={"start": "2026-05-01", "end": "2026-05-31"}),
    actor=[actor("Practitioner/a")], purpose=codings(REASON, "TREAT"), period={"end": "2026-12"},
)  # fmt: skip


@pytest.mark.parametrize(("language", "reason"), [
    ("en", "permits Practitioner/a for treatment: all data, valid until 2026-12-31; but refuses anybody: Routes and places, Sleep, and only data"
           " dated from 2026-05-01 to 2026-05-31."),
    ("zh-CN", "允许Practitioner/a为治疗查看全部数据，有效期至 2026-12-31；但拒绝任何人查看位置轨迹、睡眠，且限日期在 2026-05-01 至 2026-05-31 的数据。"),
])  # fmt: skip
def test_the_reason_tells_each_rule_down_to_the_one_that_decides(language: str, reason: str) -> None:
    assert explained(NESTED, language)["sleep"]["reason"] == reason


@pytest.mark.parametrize(("elements", "words"), [
    ({"securityLabel": codings(LEVEL, "R") + codings(ACT_CODE, "PSY")},
     "refuses anybody: confidentiality restricted or higher or sensitive data (mental health)."),
    ({"code": concepts(LOINC, "8867-4")}, "refuses anybody: code heart-rate."),
    ({"data": [{"meaning": "authoredby", "reference": {"reference": "Organization/gym"}}]}, "refuses anybody: what was written by Organization/gym."),
    ({"actor": [{"role": {"text": "r"}}], "purpose": codings("urn:p", "X1")}, "refuses somebody not identified for X1: all data."),
    ({"class_": codings(TYPES, "Condition"), "period": {"start": "2026-06-01T08:30:00+08:00"}}, "refuses anybody: Condition, valid from 2026-06-01 08:30."),
    ({"action": concepts(ACTION, "disclose", "access")}, "refuses anybody to see, pass on: all data."),
])  # fmt: skip
def test_each_element_of_a_rule_has_its_words(elements: dict[str, Any], words: str) -> None:
    policy = compile_policy([consent(rule("deny", **elements))], resident="Patient/p", zone="Asia/Shanghai")
    assert reason(policy, ("Consent/c", "provision"), 1) == words
    assert reason(policy, ("Consent/c", "provision"), 0).endswith("。")
    assert reason(policy, ("own-upload", "x"), 1) == ""
