"""One's own account: where it is signed in, ending that from elsewhere, passkeys, and what asks for a recent sign-in."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from hub.access.sessions import digest
from tests.exchange.test_own_consent import a_consent
from tests.web.test_family import helping
from tests.web.town import PASSWORD, Place, Visitor, token


def test_a_session_is_ended_from_elsewhere_on_its_next_request(place: Place) -> None:
    with place.browse("colleague") as here, place.browse("colleague") as there, place.browse("colleague") as third:
        page = here.show("/account")
        keys = re.findall(r'action="/account/sessions/([0-9a-f]{16})/end"', page)
        assert len(keys) >= 2
        here.send_form(f"/account/sessions/{keys[0]}/end")
        assert third.get("/center").status_code == 303, "the newest of the others"
        assert there.get("/center").status_code == 200
        here.send_form("/account/sessions/others/end")
        assert there.get("/center").status_code == 303
        assert here.get("/center").status_code == 200


def test_nobody_ends_anothers_session_or_removes_their_passkey(place: Place) -> None:
    with place.browse("staff") as mine, place.browse("doctor2") as theirs:
        mine.show("/account")
        with place.browse("staff") as again:
            (key, *_) = re.findall(r'action="/account/sessions/([0-9a-f]{16})/end"', again.show("/account"))
        theirs.send_form(f"/account/sessions/{key}/end")
        assert mine.get("/center").status_code == 200
        place.rows("INSERT INTO passkeys (credential, account, public_key, sign_count) SELECT $1, id, '', 0 FROM accounts WHERE id = ("
                   "SELECT account FROM sessions WHERE csrf = $2)", uuid4().bytes, mine.csrf)  # fmt: skip
        (passkey,) = re.findall(r'href="(/account/passkeys/[0-9a-f]{16})"', mine.show("/account"))
        assert theirs.get(passkey).status_code == 404
        assert theirs.send_form(f"{passkey}/remove").status_code == 404
        assert theirs.send_form(f"{passkey}/name", name="mine now").status_code == 404
        assert passkey in mine.show("/account")
        mine.send_form(f"{passkey}/remove")
        assert passkey not in mine.show("/account")


PHONE = {"User-Agent": "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"}


def a_passkey(place: Place, visitor: Visitor) -> str:
    """A passkey of who is signed in; the address of its page."""
    before = set(re.findall(r'href="(/account/passkeys/[0-9a-f]{16})"', visitor.show("/account")))
    place.rows(
        "INSERT INTO passkeys (credential, account, public_key, sign_count, device) SELECT $1, account, '', 0, 'chrome android' FROM sessions WHERE csrf = $2",
        uuid4().bytes, visitor.csrf,
    )  # fmt: skip
    (made,) = set(re.findall(r'href="(/account/passkeys/[0-9a-f]{16})"', visitor.show("/account"))) - before
    return made


def test_devices_are_told_by_name_and_a_passkey_by_the_name_its_owner_gives(place: Place) -> None:
    with place.browse() as phone, place.browse("xiaoming") as desk:
        phone.headers.update(PHONE)
        phone.sign_in("xiaoming")
        page = desk.show("/account")
        assert "Chrome · 安卓" in page
        assert "不认识的设备 · 就是这里" in page, "the client of the tests is no browser"
        passkey = a_passkey(place, phone)
        assert "Chrome · 安卓" in phone.show(passkey)
        assert phone.send_form(f"{passkey}/name", name="  妈妈的 旧手机 ").status_code == 303
        assert "妈妈的 旧手机" in phone.show("/account")
        assert "妈妈的".encode().hex() not in str(place.rows("SELECT encode(name, 'hex') FROM passkeys")), "sealed"
        assert phone.send_form(f"{passkey}/name", name="长" * 41).status_code == 400
        assert "&lt;b&gt;" in (phone.send_form(f"{passkey}/name", name="<b>"), phone.show(passkey))[1]
        phone.send_form(f"{passkey}/name", name=" ")
        assert "Chrome · 安卓" in phone.show(passkey)
        phone.send_form(f"{passkey}/remove")


def test_the_last_way_in_stays(place: Place) -> None:
    with place.browse("xiaoming") as child:
        passkey = a_passkey(place, child)
        hashed = place.rows("SELECT password FROM accounts WHERE resident = $1", place.town.child)[0]["password"]
        place.rows("UPDATE accounts SET password = NULL WHERE resident = $1", place.town.child)
        try:
            refused = child.send_form(f"{passkey}/remove")
            assert (refused.status_code, "唯一的登录办法" in refused.text) == (409, True)
            other = a_passkey(place, child)
            assert child.send_form(f"{passkey}/remove").status_code == 303
            assert child.send_form(f"{other}/remove").status_code == 409
        finally:
            place.rows("UPDATE accounts SET password = $2 WHERE resident = $1", place.town.child, hashed)
        assert child.send_form(f"{other}/remove").status_code == 303


def grown_old(place: Place, visitor: Visitor) -> None:
    """The sign-in was eleven minutes ago."""
    place.rows("UPDATE sessions SET created = created - interval '11 minutes' WHERE token = $1", digest(visitor.cookies["kinehub_session"]))


def test_what_shows_more_asks_who_it_is_and_what_shows_less_never_does(place: Place) -> None:
    with place.browse("li") as resident:
        link = re.findall(r'class="choice" href="([^"]+)"', resident.show("/resident/grants/new"))[0].replace("&amp;", "&")
        read_back = f"{link}&kind=activity"
        fields = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', resident.show(read_back)))
        made = resident.post("/resident/grants/new", data=fields).headers["location"].partition("granted=")[2].partition("#")[0]
        grown_old(place, resident)
        copies = ("/resident/downloads", "/resident/records/print", "/resident/records.csv", "/resident/records.pdf")
        for path in (read_back, *copies, "/resident/code?kind=activity"):
            answer = resident.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?again=1&next={quote(path, safe='/')}")
        home = {"Referer": f"{place.url}/resident#main"}
        for path, more in {
            "/resident/grants/new": fields | {"once": ""}, "/resident/code": {"kinds": "activity", "hours": "2"}, f"/resident/grants/{made}/again": {},
            "/resident/resume": {}, f"/resident/sources/{place.town.center.id}/open": {}, "/resident/family/invite": {"look": "1", "until": "2020-01-01"},
            f"/resident/family/{uuid4()}/agree": {"look": "1"},
        }.items():  # fmt: skip
            answer = resident.post(path, data={"csrf": resident.csrf} | more, headers=home)
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?again=1&next=/resident"), path
        for foreign in ("https://evil.example/resident/more", f"{place.url}//evil.example", "", "http://[x"):
            answer = resident.post("/resident/resume", data={"csrf": resident.csrf}, headers={"Referer": foreign})
            assert answer.headers["location"] == "/sign-in?again=1&next=/resident", foreign
        for path in ("/resident/pause", f"/resident/sources/{place.town.center.id}/shut", f"/resident/grants/{made}/stop", "/resident/stop-all"):
            assert resident.send_form(path).headers["location"].startswith("/resident"), path
        (pause,) = [one["id"] for one in consents(resident) if "data" not in one["provision"] and one["provision"]["type"] == "deny"]
        assert "again=1" in resident.send_form(f"/resident/grants/{pause}/stop").headers["location"], "a refusal taken back shows more"
        resident.sign_in("li", again=True)
        resident.send_form("/resident/resume")
        resident.send_form(f"/resident/sources/{place.town.center.id}/open")


def consents(visitor: Visitor) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in visitor.get("/fhir/Consent?_count=200").json().get("entry", [])]
    return [one for one in found if one["status"] == "active"]


def test_a_consent_over_fhir_asks_who_it_is_where_it_shows_more(place: Place) -> None:
    with place.browse("li") as resident:
        headers = {"X-CSRF-Token": resident.csrf, "Content-Type": "application/fhir+json"}
        given = a_consent(place.town.neighbour, place.town.hospital.reference)
        refusal = given | {"provision": {"type": "deny"}}

        def written(body: dict[str, Any], id_: str = "") -> httpx.Response:
            method, path = ("PUT", f"/fhir/Consent/{id_}") if id_ else ("POST", "/fhir/Consent")
            return resident.request(method, path, json=body | ({"id": id_} if id_ else {}), headers=headers)

        permit = written(given).json()["id"]
        grown_old(place, resident)
        asked = written(given)
        assert (asked.status_code, "once more" in asked.text) == (401, True)
        assert written(given, permit).status_code == 401
        assert written(given | {"status": "inactive"}, permit).status_code == 200
        denied = written(refusal)
        assert denied.status_code == 201
        assert written(refusal | {"status": "inactive"}, denied.json()["id"]).status_code == 401
        resident.sign_in("li", again=True)
        headers["X-CSRF-Token"] = resident.csrf
        assert written(refusal | {"status": "inactive"}, denied.json()["id"]).status_code == 200


def test_who_has_confirmed_goes_on_with_what_was_begun_and_for_whom(place: Place) -> None:
    """Without a script: the screen that was read back comes back, and one still acts for the same person, though not after another's sign-in."""
    with place.browse("li") as elder, place.browse("wang") as helper:
        helping(elder, helper, "look", "grant", "stop")
        link = re.findall(r'class="choice" href="([^"]+)"', helper.show("/resident/grants/new"))[0].replace("&amp;", "&")
        grown_old(place, helper)
        asked = helper.get(f"{link}&kind=activity&term=month")
        page = helper.show(asked.headers["location"])
        assert "请再确认一次是您本人" in page
        fields = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', page.replace("&amp;", "&")))
        entered = helper.post("/sign-in", data=fields | {"login": "wang", "password": PASSWORD})
        read_back = helper.show(entered.headers["location"])
        assert "一个月" in read_back
        assert "您正在替李建国办事" in read_back
        other = helper.post("/sign-in", data={"csrf": token(helper.get("/sign-in?again=1").text), "login": "xiaoming", "password": PASSWORD})
        assert other.status_code == 303
        assert "您正在替" not in helper.show("/resident")
    place.rows("DELETE FROM representatives")


def test_downloads_and_passkeys_ask_for_a_recent_sign_in(place: Place) -> None:
    with place.browse("li") as resident:
        assert resident.get("/resident/download").status_code == 200
        place.rows("UPDATE sessions SET created = created - interval '11 minutes' WHERE token = $1", digest(resident.cookies["kinehub_session"]))
        for path in ("/resident/download", "/resident/records.csv"):
            answer = resident.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?again=1&next={path}")
        assert resident.post("/account/passkeys/options", headers={"X-CSRF-Token": resident.csrf}).status_code in (303, 401)
        assert resident.show("/resident")


def entered(place: Place, address: str, password: str = "not the password") -> httpx.Response:
    """A sign-in that a proxy says came from this address."""
    with place.browse() as visitor:
        page = visitor.get("/sign-in").text
        return visitor.post("/sign-in", data={"csrf": token(page), "login": "li", "password": password}, headers={"X-Forwarded-For": address})


def test_wrong_passwords_from_one_public_address_shut_it_out_and_nobody_else(place: Place) -> None:
    try:
        for address in ("8.8.4.4", "2001:4860:4860::8844", "10.0.0.7", "fd00::1"):
            assert entered(place, address).status_code == 401
        assert entered(place, "8.8.4.4", PASSWORD).status_code == 303
        assert [row["wrong"] for row in place.rows("SELECT wrong FROM sign_in_sources")] == [1, 1]
        place.rows("UPDATE sign_in_sources SET wrong = 100")
        for address in ("8.8.4.4", "2001:4860:4860::1"):
            shut = entered(place, address, PASSWORD)
            assert (shut.status_code, shut.headers["retry-after"], "过一刻钟再试" in shut.text) == (429, "900", True)
        for address in ("8.8.8.8", "2001:4860:4861::1", "10.0.0.7"):
            assert entered(place, address, PASSWORD).status_code == 303
        place.rows("UPDATE sign_in_sources SET since = since - interval '15 minutes'")
        assert entered(place, "8.8.4.4", PASSWORD).status_code == 303
    finally:
        place.rows("DELETE FROM sign_in_sources")
        place.rows("UPDATE accounts SET failures = 0, locked_until = NULL")
