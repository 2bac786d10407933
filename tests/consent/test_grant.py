"""Consents as the hub writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from consent.decision import Decision, compile_policy, decide
from consent.grant import Assisted, Paper, assisted, consent_for, renewed, withdrawn
from consent.request import Facts, Request
from schemas.classes import ALL, DataClass
from schemas.errors import BadRequest

GIVEN = datetime(2026, 5, 1, 1, 2, 3, tzinfo=UTC)


def a_grant(**given: Any) -> dict[str, Any]:
    base = {
        "resident": "Patient/p",
        "recipient": "Organization/h",
        "purpose": "TREAT",
        "classes": DataClass.ACTIVITY,
        "recorded": GIVEN,
        "consent_id": "g",
    }
    return consent_for(**{**base, **given})


def seen_at(consent: dict[str, Any], at: datetime = datetime(2026, 6, 1, tzinfo=UTC), **asked: Any) -> Decision:
    policy = compile_policy([consent], resident="Patient/p", zone="Asia/Shanghai")
    assert not policy.problems
    return decide(policy, Request(**{"actor": "Practitioner/a", "acts_for": "Organization/h", "purpose": "TREAT", **asked}, at=at))


def test_a_grant_shows_exactly_the_granted_classes_to_its_receiver() -> None:
    assert seen_at(a_grant()).classes == DataClass.ACTIVITY
    assert seen_at(a_grant(classes=ALL)).classes == ALL
    assert seen_at(a_grant(), acts_for="Organization/i").classes == 0
    assert seen_at(a_grant(), purpose="HRESCH").classes == 0
    assert seen_at(a_grant(), action="disclose").classes == DataClass.ACTIVITY
    assert seen_at(a_grant(), action="correct").classes == 0


def test_a_grant_holds_at_once_and_for_a_year_unless_said() -> None:
    assert a_grant()["provision"]["period"] == {"start": "2026-05-01T01:02:03+00:00", "end": "2027-04-30"}
    assert seen_at(a_grant(), GIVEN).classes
    assert seen_at(a_grant(), GIVEN).valid_until == datetime(2027, 4, 30, 16, tzinfo=UTC)
    assert not seen_at(a_grant(), datetime(2027, 4, 30, 16, tzinfo=UTC)).classes
    assert a_grant(valid_from=date(2028, 2, 29))["provision"]["period"]["end"] == "2029-02-27"


def test_who_recorded_a_grant_changes_nothing_of_what_it_permits_and_is_not_carried_over() -> None:
    by = Assisted(("a", "陈老师"), "Organization/c", "desk", "id-card", GIVEN, ("b", "王老师"), Paper("1-0", "image/png", 7, "f" * 64))
    made = assisted(a_grant(), by)
    assert (seen_at(made).classes, seen_at(made).valid_until) == (seen_at(a_grant()).classes, seen_at(a_grant()).valid_until)
    stopped = assisted(withdrawn(made, GIVEN), by)
    assert [one["id"] for one in stopped["contained"]] == ["assisted-1", "assisted-2"]
    assert renewed(stopped, GIVEN, "g") == a_grant()


def test_sensitive_data_is_shown_by_name_beside_the_rest() -> None:
    made = seen_at(a_grant(sensitive=["PSY"]))
    assert made.restricted
    shown = [made.check(Facts(1, sensitivity=frozenset(labels))).decision for labels in ((), ("PSY",), ("HIV",), ("PSY", "HIV"))]
    assert shown == ["permit", "permit", "deny", "deny"]
    assert seen_at(a_grant()).check(Facts(1, sensitivity=frozenset({"PSY"}))).decision == "deny"


def test_data_dates_limit_what_was_made_when() -> None:
    made = seen_at(a_grant(data_from=date(2026, 1, 1), data_until=date(2026, 1, 31)))
    inside, after = datetime(2026, 1, 31, 15, 59, tzinfo=UTC), datetime(2026, 1, 31, 16, tzinfo=UTC)
    assert made.check(Facts(1, starts=inside, ends=inside)).decision == "permit"
    assert made.check(Facts(1, starts=inside, ends=after)).decision == "deny"
    assert made.until == after


def test_a_withdrawn_consent_permits_nothing() -> None:
    ended = withdrawn(a_grant(), datetime(2026, 5, 2, tzinfo=UTC))
    assert ended["status"] == "inactive"
    assert seen_at(ended).classes == 0
    assert withdrawn(ended, datetime(2026, 5, 3, tzinfo=UTC))["extension"][0]["valueDateTime"] == "2026-05-03T00:00:00+00:00"


@pytest.mark.parametrize(("given", "field"), [
    ({"purpose": "SPYING"}, "purpose"),
    ({"classes": DataClass(0)}, "classes"),
    ({"recipient": "a hospital"}, "recipient"),
    ({"resident": "p"}, "resident"),
    ({"sensitive": ["PSY", "a b"]}, "sensitive[1]"),
    ({"valid_until": date(2031, 5, 1)}, "valid_until"),
    ({"valid_until": date(2026, 4, 1)}, "valid"),
    ({"data_from": date(2026, 2, 1), "data_until": date(2026, 1, 1)}, "data"),
    ({"recorded": datetime.fromisoformat("2026-05-01T00:00:00")}, "valid_from"),
])  # fmt: skip
def test_a_grant_that_cannot_be_is_refused_with_its_place(given: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        a_grant(**given)
    assert refused.value.field == field


def test_five_years_are_the_longest() -> None:
    assert a_grant(valid_from=date(2026, 5, 1), valid_until=date(2031, 4, 30))["provision"]["period"]["end"] == "2031-04-30"
