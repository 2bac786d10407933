"""What a resident wrote over FHIR, or has from elsewhere, is shown on their pages as what it does: to everybody, refused, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.test_resident import granted
from tests.web.town import Place, Visitor

ALL_MAY_SEE_ALL = "任何机构都能看您的所有记录"
CLASSES = "https://kinehub.org/fhir/CodeSystem/data-class"


def a_consent(place: Place, base: str, provision: dict[str, Any] | None = None, scope: str = "patient-privacy") -> dict[str, Any]:
    """A Consent of the neighbour's as another program would write it."""
    return {
        "resourceType": "Consent", "status": "active", "patient": {"reference": f"Patient/{place.town.neighbour}"},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": scope}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}], "dateTime": "2026-01-02T08:00:00+08:00",
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": base}]},
    } | ({"provision": provision} if provision else {})  # fmt: skip


def to(reference: str) -> dict[str, Any]:
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "PRCP"}]}
    return {"actor": [{"role": role, "reference": {"reference": reference}}]}


def of(*classes: str) -> dict[str, Any]:
    return {"class": [{"system": CLASSES, "code": code} for code in classes]}


@pytest.fixture
def visitor(place: Place) -> Iterator[Visitor]:
    """The neighbour, who leaves with every consent taken back."""
    with place.browse("li") as visitor:
        yield visitor
        while live := [one for one in consents(visitor) if one["status"] == "active"]:
            visitor.send_form(f"/resident/grants/{live[0]['id']}/stop")


def consents(visitor: Visitor) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in visitor.get("/fhir/Consent?_count=200").json().get("entry", [])]


def write(visitor: Visitor, consent: dict[str, Any]) -> str:
    """The id of the Consent, written over FHIR in the resident's own sign-in."""
    made = visitor.post("/fhir/Consent", json=consent, headers={"X-CSRF-Token": visitor.csrf})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def test_a_consent_that_names_nobody_warns_that_everyone_sees_everything(place: Place, visitor: Visitor) -> None:
    granted(visitor, place)
    one = write(visitor, a_consent(place, "OPTIN"))
    granted(visitor, place, "health-check", "clinic")
    for path in ("/resident", "/resident/grants", f"/resident/grants/{one}"):
        page = visitor.show(path)
        assert ALL_MAY_SEE_ALL in page, path
        assert f'action="/resident/grants/{one}/stop"' in page, path
        assert "everyone may see all your records" in visitor.show(f"{path}?lang=en")
        visitor.show("/resident?lang=zh-CN")
    with place.browse("doctor") as doctor:
        assert "羽毛球" in doctor.show(f"/hospital/patients/{place.town.neighbour}")
    after = visitor.show(visitor.send_form(f"/resident/grants/{one}/stop").headers["location"])
    assert ALL_MAY_SEE_ALL not in after
    assert f"/resident/grants/{one}/again" not in after


def test_whatever_denies_everybody_everything_is_shown_as_a_pause_and_resumed(place: Place, visitor: Visitor) -> None:
    granted(visitor, place)
    for base, provision in (("OPTOUT", None), ("OPTIN", {"type": "deny"})):
        write(visitor, a_consent(place, base, provision))
        assert "全部暂停着" in visitor.show("/resident")
        with place.browse("doctor") as doctor:
            assert "没有可以显示给您的记录" in doctor.show(f"/hospital/patients/{place.town.neighbour}")
        assert "已经恢复" in visitor.show(visitor.send_form("/resident/resume").headers["location"])
    write(visitor, a_consent(place, "OPTOUT", to(place.town.hospital.reference)))
    assert "全部暂停着" not in visitor.show("/resident"), "a refusal of one receiver is no pause"


def test_stopping_a_grant_says_that_another_consent_lets_everyone_see(place: Place, visitor: Visitor) -> None:
    granted(visitor, place)
    grant = next(one["id"] for one in consents(visitor) if one["status"] == "active")
    write(visitor, a_consent(place, "OPTIN"))
    page = visitor.show(visitor.send_form(f"/resident/grants/{grant}/stop").headers["location"])
    assert "市第二医院还能看：所有记录" in page


@pytest.mark.parametrize(("base", "provision"), [
    ("OPTIN", of("activity")), ("OPTOUT", {"type": "deny", "provision": [{"type": "permit"} | of("activity")]}),
])  # fmt: skip
def test_a_consent_to_everyone_for_one_kind_names_the_kind(place: Place, visitor: Visitor, base: str, provision: dict[str, Any]) -> None:
    write(visitor, a_consent(place, base, provision))
    page = visitor.show("/resident")
    with place.browse("doctor") as doctor:
        assert "羽毛球" in doctor.show(f"/hospital/patients/{place.town.neighbour}")
    assert "任何机构都能看这些" in page
    assert "看：运动" in page
    assert ALL_MAY_SEE_ALL not in page


def test_a_refusal_is_shown_as_a_refusal(place: Place, visitor: Visitor) -> None:
    one = write(visitor, a_consent(place, "OPTOUT", {"type": "deny"} | to(place.town.hospital.reference)))
    home, listed, receipt = (visitor.show(path) for path in ("/resident", "/resident/grants", f"/resident/grants/{one}"))
    assert "现在没有人能看您的记录" in home
    assert f'"/resident/grants/{one}/stop"' not in home
    for page in (home, listed):
        assert "市第二医院" in page
        assert "您拒绝了，不让看：所有记录" in page
    assert "看：所有记录" not in home.replace("不让看：所有记录", "")
    assert "我拒绝让市第二医院看我的所有记录" in receipt
    assert "我同意" not in receipt
    assert ">收回<" in listed
    assert "preview" not in receipt
    assert "You refused to show: all records" in visitor.show("/resident?lang=en")
    visitor.show("/resident?lang=zh-CN")


def test_a_refusal_of_everyone_and_of_one_kind_says_so(place: Place, visitor: Visitor) -> None:
    write(visitor, a_consent(place, "OPTOUT", {"type": "deny"} | of("location")))
    page = visitor.show("/resident/grants")
    assert "任何机构" in page
    assert "您拒绝了，不让看：位置轨迹" in page


def test_stopping_everything_keeps_what_was_refused(place: Place, visitor: Visitor) -> None:
    """An uploader reads back its own until the resident denies it: the denial taken back by "stop everything" would show more."""
    granted(visitor, place)
    one = write(visitor, a_consent(place, "OPTOUT", {"type": "deny"} | to(place.town.center.reference)))
    page = visitor.show(visitor.send_form("/resident/stop-all").headers["location"])
    assert "您拒绝了，不让看：所有记录" in page
    assert {each["id"] for each in consents(visitor) if each["status"] == "active"} == {one}
    back = visitor.show(visitor.send_form(f"/resident/grants/{one}/stop").headers["location"])
    assert "已经收回" in back
    assert f"/resident/grants/{one}/again" in back
    again = visitor.show(visitor.send_form(f"/resident/grants/{one}/again").headers["location"])
    assert "已经拒绝。殷行社区运动健康中心不能看：所有记录" in again


def test_a_grant_with_an_exception_names_both(place: Place, visitor: Visitor) -> None:
    tree = {"type": "permit", "provision": [{"type": "deny"} | of("location")]} | to(place.town.hospital.reference)
    one = write(visitor, a_consent(place, "OPTIN", tree))
    for path in ("/resident", f"/resident/grants/{one}"):
        page = visitor.show(path)
        assert "市第二医院" in page
        assert ALL_MAY_SEE_ALL not in page
    assert "看：所有记录；不包括：位置轨迹" in visitor.show("/resident")


@pytest.mark.parametrize("scope", ["treatment", "adr"])
def test_a_consent_about_something_else_lets_nobody_see_and_is_said_to(place: Place, visitor: Visitor, scope: str) -> None:
    one = write(visitor, a_consent(place, "OPTIN", scope=scope))
    assert "现在没有人能看您的记录" in visitor.show("/resident")
    assert "这一份没有让任何人看" in visitor.show("/resident/grants")
    assert "没有让任何人看我的记录" in visitor.show(f"/resident/grants/{one}")
