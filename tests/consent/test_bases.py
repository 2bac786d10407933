"""Bases other than consent: what an emergency and a representative reach, and what neither does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from consent.decision import BIOMETRIC, Decision, compile_policy, emergency, representative
from consent.request import Facts, Request
from schemas.classes import DataClass
from schemas.labels import MINOR, SENSITIVITIES

NOW = datetime(2026, 5, 3, 8, tzinfo=UTC)
ENDS = NOW + timedelta(hours=4)
ACTIVITY = int(DataClass.ACTIVITY)
CHILD = SENSITIVITIES[MINOR].name


def bases() -> list[Decision]:
    policy = compile_policy([], resident="Patient/a", zone="Asia/Shanghai")
    request = Request(actor="Organization/x", at=NOW, purpose="BTG")
    return [emergency(policy, request, "emergency/1", ENDS), representative(policy, request, "representative/1", ENDS)]


@pytest.mark.parametrize(
    ("classes", "sensitivity", "said"),
    [(ACTIVITY, (), "permit"), (ACTIVITY, (CHILD,), "permit"), (ACTIVITY, ("PSY",), "deny"), (ACTIVITY, (CHILD, "PSY"), "deny"), (ACTIVITY, ("HIV",), "deny"),
     (BIOMETRIC, (), "deny"), (BIOMETRIC, (CHILD,), "deny"), (ACTIVITY | BIOMETRIC, (), "deny")],
)  # fmt: skip
def test_they_reach_what_is_ordinary_and_a_childs(classes: int, sensitivity: tuple[str, ...], said: str) -> None:
    for decision in bases():
        facts = Facts(classes=classes, sensitivity=frozenset(sensitivity))
        assert decision.check(facts, {"resourceType": "Observation"}).decision == said
        assert said == "deny" or decision.covers(facts)


def test_they_end_when_they_were_said_to() -> None:
    assert [decision.valid_until for decision in bases()] == [ENDS, ENDS]
