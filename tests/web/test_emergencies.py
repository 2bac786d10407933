"""Emergency access: who may open one, what it shows and what not, how it ends, who is told, who judges it, and that it is counted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.builders import an_id_number
from tests.web.town import Place, Visitor

TEXT = "患者昏倒在诊室，家属联系不上。"
NEIGHBOUR = an_id_number(3)
PATIENT = "/hospital/emergency/patient"


@pytest.fixture(autouse=True)
def none_before(place: Place) -> Iterator[None]:
    place.rows("DELETE FROM emergencies")
    place.rows("DELETE FROM code_guesses")
    yield
    place.rows("DELETE FROM emergencies")


def opened(doctor: Visitor, **more: str) -> tuple[int, str, str]:
    fields = {"system": "id-number", "value": NEIGHBOUR, "reason": "unconscious", "text": TEXT, "hours": "4"} | more
    page = {"Referer": f"{doctor.base_url.scheme}://{doctor.base_url.netloc.decode()}/hospital/emergency"}
    answer = doctor.post("/hospital/emergency", data={"csrf": doctor.csrf} | fields, headers=page)
    return answer.status_code, answer.headers.get("location", ""), answer.text


def audited(place: Place, action: str) -> list[str]:
    rows = place.rows("SELECT outcome FROM audit WHERE action = $1 AND purpose = 'BTG' ORDER BY at", action)
    return [row["outcome"] for row in rows]


def test_a_doctor_sees_one_patient_for_hours_and_the_resident_reads_who_and_why_at_once(place: Place) -> None:
    with place.browse("doctor") as doctor, place.browse("li") as resident:
        assert "没有可以显示给您的记录" in doctor.show(f"/hospital/patients/{place.town.neighbour}")
        assert opened(doctor)[:2] == (303, PATIENT)
        home = resident.show("/resident")
        shown = doctor.show(PATIENT)
        looks, told = resident.show("/resident/looks"), resident.show("/resident/emergencies")
    assert "羽毛球" in shown
    assert "李建国" in shown
    assert "sessions.csv" not in shown, "nothing to take away"
    assert "data-print" not in shown
    assert "紧急查看：李医生（市第二医院）" in home
    assert "看了您的记录" in looks
    assert "为了：紧急情况" in looks
    assert "紧急打开了您的记录" in looks
    assert TEXT in told
    assert "昏迷，不能说话" in told


def test_every_page_of_the_doctor_says_so_until_it_ends_and_then_nothing_is_left(place: Place) -> None:
    with place.browse("doctor") as doctor, place.browse("doctor") as other_browser, place.browse("doctor2") as colleague:
        opened(doctor)
        for path in ("/hospital", "/account", PATIENT, "/hospital/code"):
            assert "您正在紧急查看" in doctor.show(path), path
            assert "您正在紧急查看" in other_browser.show(path), path
            assert path == PATIENT or "您正在紧急查看" not in colleague.show(path), path
        assert colleague.get(PATIENT).status_code == 403, "it is one doctor's"
        assert "没有可以显示给您的记录" in doctor.show(f"/hospital/patients/{place.town.neighbour}"), "the ordinary page stays as consent has it"
        place.rows("UPDATE emergencies SET expires = clock_timestamp()")
        for visitor in (doctor, other_browser):
            answer = visitor.get(PATIENT)
            assert answer.status_code == 403, "expired in the middle of reading"
            assert "羽毛球" not in answer.text
            assert "您正在紧急查看" not in visitor.show("/hospital")
        opened(doctor)
        assert doctor.send_form("/hospital/emergency/end").status_code == 303
        assert doctor.get(PATIENT).status_code == 403


def test_the_resident_may_end_it_and_nobody_else_of_the_residents(place: Place) -> None:
    with place.browse("doctor") as doctor, place.browse("li") as resident, place.browse("wang") as another:
        opened(doctor)
        (stop,) = re.findall(r'action="(/resident/emergencies/[^"]+/end)"', resident.show("/resident/emergencies"))
        assert another.send_form(stop).status_code == 404
        assert doctor.get(PATIENT).status_code == 200
        assert resident.send_form(stop).status_code == 303
        assert doctor.get(PATIENT).status_code == 403
        assert TEXT not in another.show("/resident/emergencies")


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"reason": ""}, 400), ({"reason": "curious"}, 400), ({"text": "  快  "}, 400), ({"text": "字" * 501}, 400), ({"hours": "48"}, 400), ({"hours": ""}, 400),
     ({"value": an_id_number(77)}, 404), ({"system": "name", "value": "李"}, 400)],
)  # fmt: skip
def test_without_a_reason_or_for_more_than_a_day_or_without_a_number_nothing_is_opened(place: Place, fields: dict[str, str], status: int) -> None:
    with place.browse("doctor") as doctor:
        assert opened(doctor, **fields)[0] == status
        assert doctor.get(PATIENT).status_code == 403
    assert audited(place, "emergency-open")[-1] == "refused"
    assert not place.rows("SELECT 1 FROM emergencies")


def test_only_a_doctor_whose_organization_may_opens_one(place: Place) -> None:
    with place.browse("staff") as staff, place.browse("li") as resident, place.browse("doctor") as doctor:
        assert opened(staff)[0] == 403
        assert opened(resident)[0] == 403
        place.rows("UPDATE parties SET purposes = '{TREAT}' WHERE number = $1", place.town.hospital.number)
        try:
            assert opened(doctor)[0] == 403
            assert "/hospital/emergency" not in doctor.show("/hospital")
        finally:
            place.rows("UPDATE parties SET purposes = '{TREAT,BTG}' WHERE number = $1", place.town.hospital.number)


def test_one_patient_at_a_time_and_few_a_day(place: Place) -> None:
    with place.browse("doctor") as doctor:
        assert opened(doctor)[0] == 303
        assert opened(doctor, value=an_id_number(2))[0] == 409
        for _ in range(4):
            doctor.send_form("/hospital/emergency/end")
            assert opened(doctor)[0] == 303
        doctor.send_form("/hospital/emergency/end")
        assert opened(doctor)[0] == 403


def test_many_wrong_numbers_lock_the_door(place: Place) -> None:
    with place.browse("doctor") as doctor:
        assert [opened(doctor, value=an_id_number(80 + n))[0] for n in range(5)] == [404] * 5
        assert opened(doctor)[0] == 403


def test_an_old_sign_in_is_asked_for_once_more(place: Place) -> None:
    with place.browse("doctor") as doctor:
        place.rows("UPDATE sessions SET created = created - interval '11 minutes' WHERE account IN (SELECT id FROM accounts WHERE role = 'doctor')")
        answer = doctor.get("/hospital/emergency")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?again=1&next=/hospital/emergency")
        assert "请再确认一次是您本人" in doctor.show(answer.headers["location"])
        assert opened(doctor)[:2] == (303, "/sign-in?again=1&next=/hospital/emergency")
        doctor.sign_in("doctor", again=True)
        assert opened(doctor)[0] == 303


def test_a_colleague_judges_it_and_nobody_their_own(place: Place) -> None:
    with place.browse("doctor") as doctor, place.browse("doctor2") as colleague, place.browse("li") as resident:
        opened(doctor)
        (form,) = re.findall(r'action="(/hospital/reviews/[^"]+)"', colleague.show("/hospital/reviews"))
        own = doctor.show("/hospital/reviews")
        assert doctor.send_form(form, outcome="justified").status_code == 403
        assert colleague.send_form(form, outcome="splendid").status_code == 400
        assert colleague.send_form(form, outcome="justified").status_code == 303
        assert colleague.send_form(form, outcome="unjustified").status_code == 409
        assert TEXT not in colleague.show("/hospital/reviews")
        assert "同事的复核：合理" in resident.show("/resident/emergencies")
        assert "复核了一次紧急查看" in resident.show("/resident/looks")
    assert TEXT in own
    assert form not in own
    assert audited(place, "emergency-review")[-1] == "justified"


def test_who_has_one_unreviewed_for_three_days_opens_no_other(place: Place) -> None:
    with place.browse("doctor") as doctor, place.browse("doctor2") as colleague:
        opened(doctor)
        place.rows("UPDATE emergencies SET opened = opened - interval '71 hours', expires = clock_timestamp()")
        assert opened(doctor)[0] == 303
        doctor.send_form("/hospital/emergency/end")
        place.rows("UPDATE emergencies SET opened = opened - interval '2 hours'")
        assert opened(doctor)[0] == 403
        for form in re.findall(r'action="(/hospital/reviews/[^"]+)"', colleague.show("/hospital/reviews")):
            colleague.send_form(form, outcome="unclear")
        assert opened(doctor)[0] == 303


def test_each_organization_s_number_is_that_of_the_audit(place: Place) -> None:
    before = audited(place, "emergency-open").count("success")
    with place.browse("doctor") as doctor, place.browse("wang") as resident, place.browse("admin") as operator:
        for _ in range(2):
            opened(doctor)
            doctor.send_form("/hospital/emergency/end")
        for page in (resident.show("/resident/emergencies"), operator.show("/admin"), doctor.show("/hospital/reviews")):
            assert re.search(r"市第二医院</td><td class=\"n\">2</td>", page)
    assert audited(place, "emergency-open").count("success") - before == 2


def test_an_emergency_does_not_reach_what_the_resident_refused_for_emergencies_by_name(place: Place) -> None:
    btg = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "BTG"}
    me = f"Patient/{place.town.neighbour}"
    consent = {
        "resourceType": "Consent", "status": "active", "patient": {"reference": me}, "performer": [{"reference": me}], "dateTime": "2026-01-01",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}], "policy": [{"uri": "https://kinehub.org/policy/resident-consent"}],
        "provision": {"type": "deny", "purpose": [btg]},
    }  # fmt: skip
    with place.browse("doctor") as doctor, place.browse("li") as resident:
        opened(doctor)
        resident.send_form("/resident/pause")
        assert "羽毛球" in doctor.show(PATIENT), "a pause is not about emergencies"
        made = resident.post("/fhir/Consent", json=consent, headers={"X-CSRF-Token": resident.csrf, "Content-Type": "application/fhir+json"})
        assert made.status_code == 201, made.text
        assert "羽毛球" not in doctor.show(PATIENT)
        resident.send_form("/resident/resume")
        resident.send_form(f"/resident/grants/{made.json()['id']}/stop")
        assert "羽毛球" in doctor.show(PATIENT)


@pytest.mark.parametrize("fields", [{"text": "快"}, {"hours": "48"}])
def test_a_form_that_is_refused_tells_nothing_of_the_number(place: Place, fields: dict[str, str]) -> None:
    with place.browse("doctor") as doctor:
        known, unknown = opened(doctor, **fields), opened(doctor, value=an_id_number(77), **fields)
        assert known[:2] == unknown[:2] == (400, "")
        assert opened(doctor)[0] == 303
        assert opened(doctor)[0] == opened(doctor, value=an_id_number(77))[0] == 409, "nor while another one is open"


def test_wrong_numbers_of_one_doctor_do_not_shut_out_a_colleague(place: Place) -> None:
    with place.browse("doctor") as doctor, place.browse("doctor2") as colleague:
        for _ in range(21):
            opened(doctor, value=an_id_number(77))
        assert opened(colleague)[0] == 303
