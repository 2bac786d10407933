"""A code for a visit: what it gives, to whom, once, for minutes; and that nobody tries them all."""

from __future__ import annotations

import re
from uuid import UUID

import pytest

from tests.web.town import Place, Visitor

WRONG = "号码不对，或者已经用过、过时了"
LOCKED = "输错太多次了"


def made(visitor: Visitor, kinds: str = "activity", hours: str = "2") -> str:
    """A code, made in the two screens."""
    assert "请至少选一样" in visitor.show("/resident/code?asked=1")
    page = visitor.show("/resident/code?" + "&".join(f"kind={kind}" for kind in kinds.split(",")))
    fields = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', page))
    answer = visitor.post("/resident/code", data=fields | {"hours": hours})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "<svg" in answer.text
    return "".join(re.findall(r"<span>(\d{3})</span>", answer.text))


def consents(place: Place) -> int:
    (row,) = place.rows("SELECT count(*) AS n FROM audit WHERE resident = $1 AND action = 'consent-grant'", place.town.neighbour)
    return int(row["n"])


def enter(place: Place, code: str) -> tuple[int, str, str]:
    with place.browse("doctor") as doctor:
        answer = doctor.send_form("/hospital/code", code=code)
        return answer.status_code, answer.headers.get("location", ""), answer.text


@pytest.fixture(autouse=True)
def no_guesses(place: Place) -> None:
    place.rows("DELETE FROM code_guesses")


def test_a_code_lets_the_doctor_who_enters_it_see_what_was_chosen_and_one_tap_stops_it(place: Place) -> None:
    with place.browse("li") as visitor, place.browse("doctor") as doctor:
        code = made(visitor)
        assert "没有可以显示给您的记录" in doctor.show(f"/hospital/patients/{place.town.neighbour}")
        answer = doctor.send_form("/hospital/code", code=f" {code[:3]} {code[3:6]} {code[6:]} ")
        assert answer.headers["location"] == f"/hospital/patients/{place.town.neighbour}"
        shown = doctor.show(answer.headers["location"])
        home = visitor.show("/resident")
        looks = visitor.show("/resident/looks")
        (stop,) = re.findall(r'action="(/resident/grants/[^"]+/stop)"', home)
        receipt = visitor.show(stop.removesuffix("/stop"))
        visitor.send_form(stop)
        assert "没有可以显示给您的记录" in doctor.show(answer.headers["location"])
    assert "羽毛球" in shown
    assert "李建国" not in shown, "the name was not chosen"
    assert "市第二医院" in home
    assert re.search(r"到 \d+年\d+月\d+日 星期. (凌晨|上午|下午|晚上) \d+:\d\d", home)
    assert "我同意市第二医院为了看病和健康指导" in receipt
    assert "用了您看病时给的号码" in looks
    assert "李医生" in looks


def test_a_code_is_good_once_and_a_newer_one_ends_it(place: Place) -> None:
    with place.browse("li") as visitor:
        first, second = made(visitor), made(visitor)
        before = consents(place)
        assert enter(place, first)[0] == 404
        assert enter(place, f"{place.url}/hospital/code#{second}")[0] == 303, "as a scanner types it"
        status, _, page = enter(place, second)
        third = made(visitor)
        visitor.send_form("/resident/code/cancel")
        cancelled, _, same = enter(place, third)
        visitor.send_form("/resident/stop-all")
    assert (status, cancelled) == (404, 404)
    assert WRONG in page
    assert WRONG in same
    assert consents(place) == before + 1


def test_a_code_ends_by_itself_and_what_it_gave_does_too(place: Place) -> None:
    with place.browse("li") as visitor, place.browse("doctor") as doctor:
        old = made(visitor)
        place.rows("UPDATE visit_codes SET expires = now()")
        assert enter(place, old)[0] == 404
        _, patient, _ = enter(place, made(visitor))
        assert "羽毛球" in doctor.show(patient)
        consent = next(entry["resource"] for entry in visitor.get("/fhir/Consent?_count=200").json()["entry"] if entry["resource"]["status"] == "active")
        visitor.send_form("/resident/stop-all")
    period = consent["provision"]["period"]
    assert (period["start"][11:13] != period["end"][11:13], len(period["end"]) > 19) == (True, True)
    assert {one["code"] for one in consent["provision"]["class"]} == {"activity"}
    assert {one["code"] for one in consent["provision"]["purpose"]} == {"TREAT"}


def test_too_many_wrong_codes_lock_the_account_and_then_the_hospital_even_for_the_right_one(place: Place) -> None:
    with place.browse("li") as visitor:
        right = made(visitor)
        before = consents(place)
        for _ in range(5):
            assert enter(place, "000000000")[0] == 404
        status, _, page = enter(place, right)
        assert (status, LOCKED in page) == (403, True)
        place.rows("UPDATE code_guesses SET account = gen_random_uuid(), wrong = 20")
        place.rows("INSERT INTO code_guesses SELECT gen_random_uuid(), party, 5, since FROM code_guesses, generate_series(1, 3)")
        assert enter(place, right)[0] == 403
        assert consents(place) == before
        place.rows("UPDATE code_guesses SET since = now() - interval '16 minutes'")
        place.rows("UPDATE visit_codes SET expires = now() + interval '1 minute'")
        assert enter(place, right)[0] == 303
        visitor.send_form("/resident/stop-all")
    (refused,) = place.rows("SELECT count(*) AS n FROM audit WHERE action = 'visit-code' AND outcome = 'refused' AND resident IS NULL")
    assert refused["n"] >= 7


def test_nothing_of_a_code_is_kept_but_a_token(place: Place) -> None:
    with place.browse("li") as visitor:
        code = made(visitor)
        (row,) = place.rows("SELECT * FROM visit_codes")
        visitor.send_form("/resident/code/cancel")
    assert row["resident"] == UUID(str(place.town.neighbour))
    assert code.encode() not in row["token"]
    assert len(row["token"]) == 16
    assert not place.rows("SELECT * FROM visit_codes")
    assert "code#" not in "".join(str(dict(one)) for one in place.rows("SELECT action, rule, outcome FROM audit"))


def test_what_was_not_offered_is_not_given(place: Place) -> None:
    with place.browse("li") as visitor:
        for fields in ({"kinds": "location", "hours": "2"}, {"kinds": "activity", "hours": "9"}, {"kinds": "activity", "hours": "²"}, {"kinds": "activity"}):
            assert visitor.send_form("/resident/code", **fields).status_code == 400, fields
    assert not place.rows("SELECT * FROM visit_codes")


def test_only_doctors_enter_codes_and_only_residents_make_them(place: Place) -> None:
    for login in ("staff", "wang"):
        with place.browse(login) as visitor:
            assert visitor.send_form("/hospital/code", code="123456789").status_code == 403
    with place.browse("doctor") as doctor:
        assert doctor.send_form("/resident/code", kinds="activity", hours="2").status_code == 403
