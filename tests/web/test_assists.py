"""Staff help a resident to decide, at a desk or by phone: who it is, the signed form, the witness, what the resident reads of it and can undo."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest

from hub.access.sessions import Person
from hub.store import assists as store
from hub.store import erasure
from hub.store.keyring import WrappedKey
from schemas.errors import SealError
from tests.builders import a_city, an_id_number
from tests.web.test_resident import granted
from tests.web.town import Place, Visitor

ZHAO = {"system": "id-number", "value": an_id_number(9), "name": "赵德明"}
CALLED = ZHAO | {"checked": "call-back", "phone": "199-0000-0009", "born": "1955-04-17"}
SCAN = b"%PDF-1.7\n% a signature of his \xe2\xe3\xcf\xd3 \n%%EOF"


@pytest.fixture(autouse=True)
def none_before(place: Place) -> Iterator[None]:
    for statement in ("DELETE FROM assists", "DELETE FROM code_guesses"):
        place.rows(statement)
    yield
    with place.browse("zhao") as visitor:
        visitor.send_form("/resident/stop-all")
        visitor.send_form("/resident/resume")
    place.rows("DELETE FROM assists")


def begun(staff: Visitor, **typed: str) -> str:
    """The address of a case for the elder."""
    answer = staff.send_form("/center/assist", **(ZHAO | {"checked": "id-card"} | typed))
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def read_back(staff: Visitor, case: str, *kinds: str, find: str = "市第二医院", more: str = "") -> dict[str, str]:
    """What the last screen of a grant would send."""
    who = re.search(r'class="choice" href="([^"]+)"', staff.show(f"{case}/grant?find={find}"))
    assert who
    page = staff.show(html.unescape(who[1]) + "".join(f"&kind={kind}" for kind in kinds or ("activity",)) + more)
    return dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', page))


def chosen(staff: Visitor, case: str, *kinds: str, find: str = "市第二医院", more: str = "") -> str:
    """The case's page once the choice was read back."""
    answer = staff.post(f"{case}/grant", data=read_back(staff, case, *kinds, find=find, more=more))
    assert answer.status_code == 303, answer.text
    return staff.show(case)


def number_of(staff: Visitor, form: str) -> str:
    found = re.search(r"表的号码：(\S+?)<", staff.show(form))
    assert found
    return found[1]


def sent(staff: Visitor, case: str, number: str, scan: bytes = SCAN, name: str = "a.pdf") -> tuple[int, str]:
    answer = staff.post(f"{case}/paper", data={"csrf": staff.csrf, "number": number}, files={"file": (name, scan)})
    return answer.status_code, answer.text


def sees(place: Place) -> bool:
    with place.browse("doctor") as doctor:
        return "乒乓球" in doctor.get(f"/hospital/patients/{place.town.elder}").text


def consents(place: Place) -> int:
    rows = place.rows("SELECT count(*) AS n FROM records WHERE resident = $1 AND kind = 21", place.town.elder)
    return int(rows[0]["n"])


def recorded(place: Place, staff: Visitor, **typed: str) -> str:
    """A case at the desk, recorded with the signed form."""
    case = begun(staff, **typed)
    chosen(staff, case)
    assert sent(staff, case, number_of(staff, f"{case}/form"))[0] == 303
    return case


def test_a_signed_form_at_the_desk_lets_see_from_the_next_request_and_the_consent_says_who_recorded_it(place: Place) -> None:
    with place.browse("staff") as staff, place.browse("zhao") as resident:
        case = begun(staff)
        assert "收到签字才算数" in chosen(staff, case)
        assert not sees(place)
        number = number_of(staff, f"{case}/form")
        assert sent(staff, case, number)[0] == 303
        assert sees(place)
        receipt = staff.show(case)
        for said in ("办好了", "陈老师（殷行社区运动健康中心）", "看了身份证", "当面", "我同意市第二医院", "怎么停止"):
            assert said in receipt, said
        assert "乒乓球" not in receipt
        identity = case.rpartition("/")[2]
        assert "替您办了一件事，请核对" in resident.show("/resident/alerts")
        page = resident.show(f"/resident/assists/{identity}")
        for said in ("陈老师（殷行社区运动健康中心）", "看了身份证", "我同意市第二医院"):
            assert said in page, said
        grant = re.search(r'action="/resident/grants/([^/]+)/stop"', page)
        assert grant
        assert "谁替您记的" in resident.show(f"/resident/grants/{grant[1]}")
        consent = resident.get(f"/resident/grants/{grant[1]}/receipt.json").json()["receipt"]["consent"]
        assert consent["performer"] == [{"reference": f"Patient/{place.town.elder}"}]
        assert consent["verification"][0]["verified"] is True
        assert consent["verification"][0]["verifiedWith"] == {"reference": f"Patient/{place.town.elder}"}
        assert consent["sourceAttachment"]["contentType"] == "application/pdf"
        (provenance,) = consent["contained"]
        assert provenance["target"] == [{"reference": "#"}]
        assert provenance["activity"] == {"text": "desk"}
        assert [agent["who"].get("display") for agent in provenance["agent"]] == [None, "陈老师"]
        assert provenance["entity"][0]["what"]["identifier"]["value"] == sha256(SCAN).hexdigest()
        resident.send_form(f"/resident/grants/{grant[1]}/stop")
        assert not sees(place)
        assert resident.send_form(f"/resident/grants/{grant[1]}/again").status_code == 303
        again = re.search(r'href="/resident/grants/([0-9a-f-]{36})"', resident.show("/resident/grants"))
        assert again
        mine = resident.get(f"/resident/grants/{again[1]}/receipt.json").json()["receipt"]["consent"]
        assert not mine.keys() & {"contained", "verification", "sourceAttachment"}, "given back by herself"


def test_by_phone_nothing_is_permitted_before_a_second_person_confirms_it(place: Place) -> None:
    with place.browse("staff") as staff, place.browse("colleague") as colleague, place.browse("front") as other, place.browse("zhao") as resident:
        case = begun(staff, **CALLED)
        assert "等一位同事做见证" in chosen(staff, case)
        assert not sees(place)
        assert "请您做见证" in colleague.show("/center/assist")
        assert "我听到了" in colleague.show(case)
        assert other.get(case).status_code == 404, "of another organization"
        assert other.send_form(f"{case}/confirm", heard="yes").status_code == 404
        assert staff.send_form(f"{case}/confirm", heard="yes").status_code == 403, "their own witness"
        assert colleague.send_form(f"{case}/confirm").status_code == 400
        assert sent(staff, case, "1-00000000")[0] in (400, 409)
        assert not sees(place)
        assert colleague.send_form(f"{case}/confirm", heard="yes").status_code == 303
        assert sees(place)
        before = consents(place)
        assert colleague.send_form(f"{case}/confirm", heard="yes").status_code == 409, "sent again"
        assert consents(place) == before
        page = resident.show(f"/resident/assists/{case.rpartition('/')[2]}")
        assert "王老师" in page
        assert "电话" in page


def test_a_witness_who_did_not_hear_it_ends_it(place: Place) -> None:
    before = consents(place)
    with place.browse("staff") as staff, place.browse("colleague") as colleague:
        case = begun(staff, **CALLED)
        chosen(staff, case)
        assert colleague.send_form(f"{case}/confirm", heard="no").status_code == 303
        assert "见证人没有听到" in staff.show(case)
        assert colleague.send_form(f"{case}/confirm", heard="yes").status_code == 409
        assert colleague.get(case).status_code == 404
    assert consents(place) == before
    assert not sees(place)


def test_what_is_private_is_not_agreed_to_by_phone_and_needs_the_signature_at_the_desk(place: Place) -> None:
    with place.browse("staff") as staff, place.browse("colleague") as colleague:
        called = begun(staff, **CALLED)
        page = staff.show(f"{called}/grant?to={read_back(staff, called)['to']}")
        assert 'value="diagnosis"' not in page
        assert 'value="HIV"' not in page
        fields = read_back(staff, called)
        for forged in ({"kinds": "activity,diagnosis"}, {"kinds": "activity,location"}, {"sensitive": "HIV"}):
            assert staff.post(f"{called}/grant", data=fields | forged).status_code == 403, forged
        assert staff.send_form(f"{called}/resume").status_code == 403
        desk = begun(staff)
        page = staff.show(f"{desk}/grant?to={fields['to']}")
        assert 'value="diagnosis"' in page, "offered whatever is stored"
        assert 'value="HIV"' in page
        asked = staff.show(f"{desk}/grant?to={fields['to']}&kind=activity&ask=HIV")
        assert "艾滋病病毒：也让市第二医院看吗" in asked
        chosen(staff, desk, "activity", more="&ask=HIV&yes=HIV")
        assert "请同事做见证" not in staff.show(desk)
        assert staff.send_form(f"{desk}/ask").status_code == 403
        form = staff.show(f"{desk}/form")
        assert "敏感：艾滋病病毒，也给看。单独签名" in form
        assert colleague.get(desk).status_code == 404


def test_to_ones_own_organization_the_signature_and_a_witness_are_needed(place: Place) -> None:
    with place.browse("front") as staff, place.browse("front2") as colleague:
        called = begun(staff, **CALLED)
        assert staff.post(f"{called}/grant", data=read_back(staff, called)).status_code == 403
        case = begun(staff)
        assert "签字以外还要一位同事做见证" in chosen(staff, case)
        assert staff.send_form(f"{case}/ask").status_code == 403
        assert sent(staff, case, number_of(staff, f"{case}/form"))[0] == 303
        assert not sees(place)
        assert "等一位同事做见证" in staff.show(case)
        assert colleague.send_form(f"{case}/confirm", heard="yes").status_code == 303
        assert sees(place)


def test_a_stop_is_done_at_once_and_tells_staff_nothing_of_what_there_was(place: Place) -> None:
    with place.browse("zhao") as resident, place.browse("staff") as staff:
        granted(resident, place)
        assert sees(place)
        shown = []
        for receiver in ("市第二医院", "平安健康保险"):
            case = begun(staff, **CALLED)
            page = staff.show(f"{case}/stop?find={receiver}")
            to = re.search(rf'/stop\?to=([0-9a-f-]{{36}})"><strong>{receiver}', page)
            assert to
            assert f"我不再让{receiver}看我的记录" in staff.show(f"{case}/stop?to={to[1]}")
            assert staff.send_form(f"{case}/stop", to=to[1]).status_code == 303
            shown.append(re.sub(rf"{receiver}|{case}|{case.rpartition('/')[2]}|\d\d:\d\d", "", staff.show(case)))
            assert staff.send_form(f"{case}/stop", to=to[1]).status_code == 409, "sent again"
        assert shown[0] == shown[1], "one had a consent and one had not"
        assert not sees(place)
        log = resident.show("/resident/looks?tab=people")
        assert "替您办了一件事" in log
        stopped = re.search(r'href="/resident/grants/([0-9a-f-]{36})"', resident.show("/resident/grants"))
        assert stopped
        consent = resident.get(f"/resident/grants/{stopped[1]}/receipt.json").json()["receipt"]["consent"]
        assert consent["status"] == "inactive"
        assert consent["contained"][0]["activity"] == {"text": "phone"}


def test_pausing_is_done_at_once_and_taken_back_with_a_signature_alone(place: Place) -> None:
    with place.browse("zhao") as resident, place.browse("staff") as staff, place.browse("colleague") as colleague:
        granted(resident, place)
        case = begun(staff, **CALLED)
        assert staff.send_form(f"{case}/stop", to="everybody").status_code == 303
        assert not sees(place)
        assert "全部暂停着" in resident.show("/resident")
        desk = begun(staff)
        assert staff.send_form(f"{desk}/resume").status_code == 303
        assert staff.send_form(f"{desk}/ask").status_code == 403
        assert colleague.get(desk).status_code == 404
        assert not sees(place)
        assert sent(staff, desk, number_of(staff, f"{desk}/form"))[0] == 303
        assert sees(place)


def test_the_resident_who_did_not_say_it_stops_it_with_one_tap_and_gets_an_answer(place: Place) -> None:
    with place.browse("staff") as staff, place.browse("colleague") as colleague, place.browse("zhao") as resident, place.browse("wang") as stranger:
        case = recorded(place, staff)
        page = f"/resident/assists/{case.rpartition('/')[2]}"
        assert stranger.get(page).status_code == 404
        assert stranger.send_form(f"{page}/dispute").status_code == 404
        assert "我没有这样说" in resident.show(page)
        answer = resident.send_form(f"{page}/dispute")
        assert answer.status_code == 303
        assert not sees(place)
        petition = answer.headers["location"].partition("#")[0]
        assert "我没有这样说" in resident.show(petition)
        assert resident.send_form(f"{page}/dispute").headers["location"].partition("#")[0] == petition, "tapped twice"
        desk = petition.replace("/resident/", "/center/")
        staff.show(desk)
        assert staff.send_form(desk, outcome="explained", words="他说了").status_code == 403, "their own act"
        assert colleague.send_form(desk, outcome="misuse", words="弄错了").status_code == 303


def test_a_scan_is_sealed_for_the_resident_and_comes_back_as_a_file_alone(place: Place) -> None:
    with place.browse("staff") as staff, place.browse("colleague") as colleague, place.browse("zhao") as resident, place.browse("wang") as stranger:
        case = recorded(place, staff)
        identity = case.rpartition("/")[2]
        (row,) = place.rows("SELECT paper, choice FROM assists WHERE id = $1", UUID(identity))
        assert b"signature of his" not in row["paper"]
        assert b"grant" not in row["choice"]
        for visitor, path in ((resident, f"/resident/assists/{identity}/paper"), (staff, f"{case}/paper")):
            answer = visitor.get(path)
            assert answer.content == SCAN
            assert answer.headers["content-disposition"].startswith("attachment;")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        for visitor, path in ((colleague, f"{case}/paper"), (colleague, case), (stranger, f"/resident/assists/{identity}/paper"), (stranger, f"{case}/paper")):
            assert visitor.get(path).status_code in (403, 404)
        assert "打开了您签字的表" in resident.show("/resident/looks?tab=people")
        place.rows("UPDATE assists SET expires = now() - interval '1 second' WHERE id = $1", UUID(identity))
        assert staff.get(case).status_code == 404
        assert staff.get(f"{case}/paper").status_code == 404
        assert resident.get(f"/resident/assists/{identity}/paper").content == SCAN


def test_an_odd_scan_is_refused_and_the_case_stays(place: Place) -> None:
    with place.browse("staff") as staff:
        case = begun(staff)
        chosen(staff, case)
        number = number_of(staff, f"{case}/form")
        for scan in (b"", b"<html><script>alert(1)</script>", b"MZ\x90\x00", b"%PDF-" + bytes(5 * 2**20), bytes(9 * 2**20)):
            status, page = sent(staff, case, number, scan)
            assert status in (400, 413)
            assert "只收 PDF、JPEG、PNG" in page
            assert "我同意市第二医院" in page
        assert place.rows("SELECT state, paper FROM assists")[0]["paper"] is None
        assert sent(staff, case, number, b"\xff\xd8\xff\xe0 a photograph", "a.exe")[0] == 303
        assert staff.get(f"{case}/paper").headers["content-type"] == "image/jpeg"


def test_only_a_form_of_the_wording_that_is_in_force_counts(place: Place) -> None:
    with place.browse("staff") as staff:
        case = begun(staff)
        chosen(staff, case)
        first = number_of(staff, f"{case}/form")
        chosen(staff, case, "activity", "fitness-test")
        for wrong in ("", "0-12345678", first):
            status, page = sent(staff, case, wrong)
            assert status == 400
            assert "没有这个号码的表" in page
        assert "我同意市第二医院" in staff.show(case)
        assert not sees(place)
        assert sent(staff, case, number_of(staff, "/center/assist/form").upper())[0] == 303, "an empty form, filled in by hand"


def test_who_is_unknown_somebody_else_or_a_child_is_answered_in_the_same_words(place: Place) -> None:
    told = set()
    with place.browse("staff") as staff:
        for typed in (
            {"value": an_id_number(77), "name": "无此人"}, {"name": "王秀英"}, {"value": "990000"}, {"value": an_id_number(4), "name": "王小明"},
            CALLED | {"phone": "19900000004"}, CALLED | {"born": "1955-04-18"},
        ):  # fmt: skip
            place.rows("DELETE FROM code_guesses")
            answer = staff.send_form("/center/assist", **(ZHAO | {"checked": "id-card"} | typed))
            assert answer.status_code == 404
            assert "号码和人对不上，或者这里不能替他办" in answer.text
            assert f'value="{typed.get("value", ZHAO["value"])}"' in answer.text, "what was typed is kept"
            told.add(re.sub(r'value="[^"]*"|\schecked', "", answer.text))
    assert len(told) == 1
    assert not place.rows("SELECT * FROM assists")


def test_guesses_are_counted_and_what_is_missing_is_said(place: Place) -> None:
    with place.browse("staff") as staff, place.browse("zhao") as resident:
        for missing in ({"checked": ""}, {"name": " "}, {"value": ""}, {"checked": "call-back"}, {"checked": "call-back", "phone": "1", "born": "soon"}):
            assert staff.send_form("/center/assist", **(ZHAO | {"checked": "id-card"} | missing)).status_code == 400, missing
        tried = [staff.send_form("/center/assist", **(ZHAO | {"checked": "id-card", "name": "赵德"})).status_code for _ in range(6)]
        assert tried == [404] * 5 + [403]
        assert staff.send_form("/center/assist", **(ZHAO | {"checked": "id-card"})).status_code == 403, "the right one as well"
        assert "身份没有核对上" in resident.show("/resident/looks?tab=people")


def test_forms_that_are_replayed_forged_or_too_old_change_nothing(place: Place) -> None:
    before = consents(place)
    with place.browse("staff") as staff, place.browse("colleague") as colleague, place.browse("wang") as stranger:
        case = begun(staff)
        fields = read_back(staff, case)
        for forged in ({"to": "x"}, {"kinds": "biometric"}, {"until": "2099-01-01"}, {"until": "x"}, {"sensitive": "XYZ"}, {"term": "ever"}):
            assert staff.post(f"{case}/grant", data=fields | forged).status_code == 400, forged
        assert colleague.post(f"{case}/grant", data=fields | {"csrf": colleague.csrf}).status_code == 404
        assert stranger.post(f"{case}/grant", data=fields | {"csrf": stranger.csrf}).status_code == 403
        assert staff.send_form(f"{case}/stop", to=str(uuid4())).status_code == 400
        assert staff.send_form(f"{case}/ask").status_code == 409, "nothing chosen"
        assert staff.send_form(f"{case}/cancel").status_code == 303
        for path, more in ((f"{case}/grant", fields), (f"{case}/stop", {"to": "everybody"}), (f"{case}/cancel", {}), (f"{case}/resume", {})):
            assert staff.send_form(path, **more).status_code == 409, path
        assert staff.get(f"{case}/grant").status_code == 409
        old = begun(staff)
        place.rows("UPDATE assists SET expires = now() - interval '1 second'")
        assert staff.post(f"{old}/grant", data=fields).status_code == 404
        assert staff.send_form(f"{old}/stop", to="everybody").status_code == 404
        begun(staff)
        assert len(place.rows("SELECT * FROM assists")) == 1, "what is over is forgotten"
    assert consents(place) == before


def test_a_grant_for_a_resident_asks_staff_who_they_are_and_a_stop_does_not(place: Place) -> None:
    with place.browse("staff") as staff, place.browse("colleague") as colleague:
        case, called, stopping = begun(staff), begun(staff, **CALLED), begun(staff, **CALLED)
        fields = read_back(staff, case)
        chosen(staff, called)
        place.rows("UPDATE sessions SET created = created - interval '11 minutes' WHERE account IS NOT NULL")
        for visitor, path, more in ((staff, f"{case}/grant", fields), (staff, f"{case}/resume", {}), (colleague, f"{called}/confirm", {"heard": "yes"})):
            answer = visitor.send_form(path, **more)
            assert answer.headers.get("location", "").startswith("/sign-in?again=1"), path
        assert staff.send_form(f"{stopping}/stop", to="everybody").status_code == 303
    assert not sees(place)


def test_two_confirmations_at_the_same_moment_make_one_consent(place: Place) -> None:
    async def both(case: UUID) -> list[BaseException | None]:
        async with a_city(place.database, place.folder) as city:
            center, now = place.town.center, datetime.now(UTC)
            witness = Person(uuid4(), "staff", "王老师", center.number, None, None, "", now)
            found = await store.read(city.hub, case, party=center)
            return await asyncio.gather(*(store.confirm(city.hub, found, witness, center, True) for _ in range(2)), return_exceptions=True)

    before = consents(place)
    with place.browse("staff") as staff:
        case = begun(staff, **CALLED)
        chosen(staff, case)
    done = asyncio.run(both(UUID(case.rpartition("/")[2])))
    assert sorted(type(one).__name__ for one in done) == ["Conflict", "NoneType"]
    assert consents(place) == before + 1


def test_an_erasure_takes_the_signed_form_with_it_in_every_copy(place: Place) -> None:
    async def registered() -> UUID:
        async with a_city(place.database, place.folder) as city:
            return await city.resident("钱守义", 10)

    async def erased(resident: UUID, wrapped: WrappedKey) -> dict[str, Any]:
        async with a_city(place.database, place.folder) as city:
            assert city.hub.keyring.unwrap(str(resident), wrapped)
            certificate = await erasure.erase(city.hub, resident, actor="test")
            with pytest.raises(SealError):
                city.hub.keyring.unwrap(str(resident), wrapped)
            return certificate

    resident = asyncio.run(registered())
    with place.browse("staff") as staff:
        case = recorded(place, staff, value=an_id_number(10), name="钱守义")
        (kept,) = place.rows("SELECT a.paper, k.kek, k.erasure, k.wrapped FROM assists a JOIN data_keys k ON k.subject = a.resident")
        assert kept["paper"]
        certificate = asyncio.run(erased(resident, WrappedKey(kept["kek"], kept["erasure"], kept["wrapped"])))
        assert certificate["rows_deleted"]["assists"] == 1
        assert not place.rows("SELECT * FROM assists")
        assert staff.get(f"{case}/paper").status_code == 404
