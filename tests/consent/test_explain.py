"""Decisions in words."""

from __future__ import annotations

from typing import Any

import pytest

from consent.decision import compile_policy
from consent.explain import explain, sentence
from tests.consent.cases import CLASS, LOINC, ask, codings, concepts, consent, rule, verdict


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
