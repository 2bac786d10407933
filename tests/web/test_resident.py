"""The resident's pages over HTTP, as a browser without a script uses them."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import orjson
from joserfc import jws
from joserfc.jwk import KeySet

from hub.audit.heads import opened, public_key
from hub.audit.proof import check
from schemas.classes import CODES
from tests.web.town import Place, Visitor, today


def granted(visitor: Visitor, place: Place, kinds: str = "activity", party: str = "hospital", term: str = "year") -> str:
    """Grant in the three screens; the last page's address."""
    who = visitor.show("/resident/grants/new?find=" + {"hospital": "市第二医院", "clinic": "社区卫生", "center": "殷行社区"}[party])
    first = re.search(r'class="choice" href="([^"]+)"', who)
    assert first
    link = first[1].replace("&amp;", "&")
    assert 'name="kind" value="activity"' in visitor.show(link)
    page = visitor.show(link + "".join(f"&kind={kind}" for kind in kinds.split(",")) + f"&term={term}")
    answer = visitor.post("/resident/grants/new", data=hidden(page))
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def written(visitor: Visitor) -> int:
    """How many Consents there are, stopped ones too."""
    return len(visitor.get("/fhir/Consent?_count=200").json().get("entry", []))


def hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', page))


def test_the_home_page_answers_the_four_questions(place: Place) -> None:
    with place.browse("wang") as visitor:
        page = visitor.show("/resident")
    for said in ("存了我的什么", "谁能看", "谁看过", "我要停止", "市第二医院", "殷行社区运动健康中心", "自己上传", "12345", "还差 65 分钟", "从这里开始"):
        assert said in page


def test_a_receipt_is_a_file_that_the_hubs_keys_confirm(place: Place) -> None:
    with place.browse("wang") as visitor:
        path = f"/resident/grants/{place.town.consent}"
        assert f'href="{path}/receipt.json"' in visitor.show(path)
        kept = visitor.get(f"{path}/receipt.json")
        keys = KeySet.import_key_set(visitor.get("/oauth/jwks").json())
    receipt = kept.json()["receipt"]
    signed = jws.deserialize_compact(kept.json()["jws"], keys, algorithms=["ES256"])
    assert orjson.loads(signed.payload) == receipt
    assert receipt["record_id"] == receipt["consent"]["id"] == str(place.town.consent)
    assert receipt["pii_principal_id"] == f"Patient/{place.town.resident}"
    assert receipt["processing"]["recipient"] == place.town.hospital.reference
    assert "市第二医院" in receipt["processing"]["notice"]
    assert set(receipt["processing"]["data"]) == {"activity", "health-check", "fitness-test", "identity"}
    assert receipt["event"]["state"] in ("given", "withdrawn")
    with place.browse("li") as neighbour:
        assert neighbour.get(f"{path}/receipt.json").status_code == 404


def test_nobody_meets_another_residents_data(place: Place) -> None:
    with place.browse("li") as neighbour:
        pages = [neighbour.show(path) for path in ("/resident", "/resident/records", "/resident/looks")]
        bundle = neighbour.get("/resident/download").text
        preview = neighbour.get(f"/resident/grants/{place.town.consent}/preview")
        stop = neighbour.send_form(f"/resident/grants/{place.town.consent}/stop")
    assert not [page for page in [*pages, bundle] if "康复" in page or str(place.town.resident) in page]
    assert "王秀英" not in pages[1] + bundle, "she may stand in the log, as one who helped"
    assert preview.status_code == stop.status_code == 404
    with place.browse("wang") as visitor:
        assert f"/resident/grants/{place.town.consent}/stop" in visitor.show(f"/resident/grants/{place.town.consent}")


def test_the_list_pages_through_every_record_once(place: Place) -> None:
    (count,) = place.rows("SELECT count(*) AS n FROM records WHERE resident = $1 AND kind < 20", place.town.resident)
    with place.browse("wang") as visitor:
        path, seen = "/resident/records", 0
        while path:
            page = visitor.show(path)
            seen += len(re.findall(r"<li><div><strong>", page))
            older = re.search(r'plain" href="(/resident/records\?before=[^"]+)"', page)
            path = older[1] if older else ""
        assert seen == count["n"]
        assert visitor.get("/resident/records?before=nonsense").status_code == 400


def test_the_same_workout_from_two_sources_is_shown_as_one(place: Place) -> None:
    with place.browse("wang") as visitor:
        page = visitor.show("/resident/records")
    assert page.count("与手环云的记录是同一次锻炼，只计一次") == 1


def test_a_grant_is_read_back_and_one_tap_stops_it(place: Place) -> None:
    with place.browse("li") as visitor, place.browse("doctor") as doctor:
        patient = f"/hospital/patients/{place.town.neighbour}"
        assert "没有可以显示给您的记录" in doctor.show(patient)
        home = granted(visitor, place)
        assert "现在可以看：运动" in visitor.show(home)
        assert "羽毛球" in doctor.show(patient)
        stop = re.search(r'action="(/resident/grants/[^"]+/stop)"', visitor.show("/resident"))
        assert stop
        answer = visitor.send_form(stop[1])
        assert answer.status_code == 303
        assert "没有可以显示给您的记录" in doctor.show(patient)
        assert "看不到您的记录" in visitor.show(answer.headers["location"])
        assert visitor.send_form(stop[1]).status_code == 303
        looks, blocked = visitor.show("/resident/looks"), visitor.show("/resident/looks?tab=denied")
        entries = [visitor.show(path) for path in re.findall(r'href="(/resident/looks/\d+/\d+)"', looks)]
    assert "李医生" in looks
    assert any("其中哪几项" in entry and "运动项目" in entry and "收缩压" not in entry for entry in entries)
    assert "已挡住" in blocked


def test_each_look_is_proven_to_be_under_the_newest_seal(place: Place) -> None:
    with place.browse("wang") as visitor, place.browse("li") as neighbour:
        assert "/proof" not in visitor.show("/resident/looks"), "one choice for each line is too many in large type"
        page = visitor.show("/resident/looks?tab=automated&view=compact")
        assert "这份记录无法被悄悄修改" in page
        while not (links := re.findall(r'href="(/resident/looks/\d+/\d+/proof)"', page)):  # the newest minute is not under a seal yet
            older = re.search(r'href="(/resident/looks\?tab=[^"]+)">更早的', page)
            assert older
            page = visitor.show(older[1].replace("&amp;", "&"))
        assert [neighbour.get(link).status_code for link in links] == [404] * len(links)
        keys = public_key(visitor.get("/oauth/jwks").content)
        seal = opened(visitor.get("/resident/looks/head").text, keys)
        found = [visitor.get(link).content for link in links]
    assert all(check(proof, keys).head == seal for proof in found)
    assert all(str(place.town.neighbour) not in proof.decode() and len(proof) < 4096 for proof in found)
    with place.browse() as stranger:
        assert stranger.get(links[0]).status_code == 303


def test_what_was_stopped_is_given_back_as_it_was_with_one_tap(place: Place) -> None:
    with place.browse("li") as visitor, place.browse("doctor") as doctor:
        patient = f"/hospital/patients/{place.town.neighbour}"
        granted(visitor, place, term="month")
        first = _live(visitor)
        stopped = visitor.show(visitor.send_form(f"/resident/grants/{first}/stop").headers["location"])
        assert f'action="/resident/grants/{first}/again"' in stopped
        assert "没有可以显示给您的记录" in doctor.show(patient)
        assert "现在可以看：运动" in visitor.show(visitor.send_form(f"/resident/grants/{first}/again").headers["location"])
        assert "羽毛球" in doctor.show(patient)
        second = _live(visitor)
        old, new = (re.search("起到 [^，]+，看我的[^。]+", visitor.show(f"/resident/grants/{one}")) for one in (first, second))
        assert second != first
        assert old
        assert new
        assert old[0] == new[0]
        visitor.send_form("/resident/stop-all")
        assert "按错了？" in visitor.show("/resident?stopped=all")


def test_a_form_sent_again_changes_nothing_and_leads_where_it_led(place: Place) -> None:
    with place.browse("li") as visitor:
        link = re.findall(r'class="choice" href="([^"]+)"', visitor.show("/resident/grants/new"))[0].replace("&amp;", "&")
        form = hidden(visitor.show(f"{link}&kind=activity"))
        before = written(visitor)
        assert visitor.post("/resident/grants/new", data=form | {"term": "ever"}).status_code == 400
        with ThreadPoolExecutor(6) as taps:
            led = {answer.headers["location"] for answer in taps.map(lambda _: visitor.post("/resident/grants/new", data=form), range(6))}
        (made,) = (one.partition("granted=")[2].partition("#")[0] for one in led)
        assert written(visitor) == before + 1, "what was refused may be sent again, and is then carried out once"
        assert visitor.send_form(f"/resident/grants/{made}/stop").status_code == 303
        assert visitor.post("/resident/grants/new", data=form).headers["location"] in led
        page = visitor.show(f"/resident?stopped={made}")
        back = re.search(rf'action="(/resident/grants/{made}/again)">(.*)', page)
        assert back
        twice = [visitor.post(back[1], data=hidden(back[2])).headers["location"] for _ in range(2)]
        assert written(visitor) == before + 2
        assert len(set(twice)) == 1
        assert visitor.post(back[1], data=hidden(back[2]) | {"once": "x" * 200}).status_code == 400
        visitor.send_form("/resident/stop-all")


def test_a_code_that_is_shown_once_is_not_made_twice_by_the_same_form(place: Place) -> None:
    with place.browse("li") as visitor:
        form = hidden(visitor.show("/resident/family/new")) | {"look": "1", "until": today().isoformat()}
        shown = visitor.post("/resident/family/invite", data=form)
        again = visitor.post("/resident/family/invite", data=form)
        assert (shown.status_code, again.status_code) == (200, 409)
        assert "没有再做一次" in again.text
        assert len(place.rows("SELECT FROM representatives WHERE resident = $1", place.town.neighbour)) == 1
        place.rows("DELETE FROM representatives")


def refusals(place: Place) -> int:
    return len(place.rows("SELECT FROM audit WHERE resident = $1 AND action = 'consent-refuse'", place.town.neighbour))


def test_one_tap_pauses_everything_and_one_more_gives_it_back(place: Place) -> None:
    before = refusals(place)
    with place.browse("li") as visitor, place.browse("doctor") as doctor:
        patient = f"/hospital/patients/{place.town.neighbour}"
        granted(visitor, place)
        assert "羽毛球" in doctor.show(patient)
        assert visitor.send_form("/resident/pause").headers["location"] == "/resident#main"
        assert visitor.send_form("/resident/pause").status_code == 303
        home = visitor.show("/resident")
        assert "没有可以显示给您的记录" in doctor.show(patient)
        assert "全部暂停着" in home
        assert "羽毛球" in home
        assert "现在全部暂停着，您恢复以后" in visitor.show(granted(visitor, place, party="clinic"))
        preview = visitor.show(f"/resident/grants/{_live(visitor)}/preview")
        back = visitor.show(visitor.send_form("/resident/resume").headers["location"])
        assert "羽毛球" in doctor.show(patient)
        looks = visitor.show("/resident/looks?tab=own")
        visitor.send_form("/resident/stop-all")
    assert "羽毛球" not in preview
    assert "您按了全部暂停" in preview
    assert "已经恢复" in back
    assert "全部暂停着" not in back
    assert ("不再让人看" in looks, "收回了不让看" in looks) == (True, True)
    assert refusals(place) == before + 1


def test_what_came_from_a_source_that_is_off_is_seen_by_nobody_else(place: Place) -> None:
    town = place.town
    with place.browse("wang") as visitor, place.browse("doctor") as doctor, place.browse("li") as neighbour:
        patient = f"/hospital/patients/{town.resident}"
        assert "太极" in doctor.show(patient)
        assert "/shut" in visitor.show("/resident/sources")
        assert visitor.send_form(f"/resident/sources/{town.center.id}/shut").status_code == 303
        shown, mine = doctor.show(patient), visitor.show("/resident/records")
        assert "太极" not in shown
        assert "步行" in shown or "健走" in shown
        assert "太极" in mine
        assert "关着：别人看不到" in visitor.show("/resident/sources")
        assert visitor.send_form(f"/resident/sources/{town.center.id}/open").status_code == 303
        assert "太极" in doctor.show(patient)
        assert "关着：别人看不到" not in visitor.show("/resident/sources")
        assert neighbour.send_form(f"/resident/sources/{town.hospital.id}/shut").status_code == 404


def test_what_has_ended_or_was_never_given_is_not_given_back(place: Place) -> None:
    with place.browse("li") as neighbour, place.browse("wang") as visitor:
        assert neighbour.send_form(f"/resident/grants/{place.town.consent}/again").status_code == 404
        assert visitor.send_form(f"/resident/grants/{place.town.consent}/again").status_code == 303
        assert visitor.show("/resident").count('/stop"') == 1


def test_a_stop_says_what_another_consent_still_shows(place: Place) -> None:
    with place.browse("li") as visitor:
        granted(visitor, place, "activity")
        granted(visitor, place, "health-check")
        page = visitor.show(visitor.send_form(f"/resident/grants/{_live(visitor)}/stop").headers["location"])
        visitor.send_form("/resident/stop-all")
    assert "还能看：运动" in page
    assert "看不到您的记录" not in page


def test_a_receipt_says_what_was_agreed_when_and_how_to_stop(place: Place) -> None:
    with place.browse("li") as visitor, place.browse("wang") as stranger:
        home = visitor.show(granted(visitor, place, "activity,health-check"))
        link = re.search(r'href="(/resident/grants/[0-9a-f-]{36})"', home)
        assert link
        page = visitor.show(link[1])
        visitor.send_form("/resident/stop-all")
        after = visitor.show(link[1])
        assert stranger.get(link[1]).status_code == 404
    assert "每一次改动" not in page
    changes = after.partition("每一次改动")[2]
    assert re.search(r"停止了，不再算数.*看：运动、健康检测", changes, re.DOTALL), "the newest first"
    for said in ("同意回执", "我同意市第二医院为了看病和健康指导", "运动、健康检测", "李建国", "有效", "打 12345", link[1].rpartition("/")[2]):
        assert said in page, said
    assert "停止了" in after


def test_only_private_kinds_of_which_something_is_stored_are_asked_for(place: Place) -> None:
    with place.browse("wang") as visitor:
        who = re.search(r'class="choice" href="([^"]+)"', visitor.show("/resident/grants/new"))
        assert who
        before = visitor.show(who[1].replace("&amp;", "&"))
        (row,) = place.rows("SELECT id, labels FROM records WHERE resident = $1 AND kind = 1 LIMIT 1", place.town.resident)
        place.rows("UPDATE records SET labels = labels | $2 WHERE id = $1", row["id"], int(CODES["location"]))
        after = visitor.show(who[1].replace("&amp;", "&"))
        place.rows("UPDATE records SET labels = $2 WHERE id = $1", row["id"], row["labels"])
    assert 'value="location"' not in before
    assert 'value="location"' in after
    assert 'value="laboratory"' not in after


def _live(visitor: Visitor) -> str:
    """The newest grant in force."""
    found = re.search(r'action="/resident/grants/([^"]+)/stop"', visitor.show("/resident"))
    assert found
    return found[1]


def test_the_sentence_names_receiver_purpose_kinds_and_last_day(place: Place) -> None:
    with place.browse("li") as visitor:
        who = visitor.show("/resident/grants/new?find=平安")
        link = re.search(r'class="choice" href="([^"]+)"', who)
        assert link
        page = visitor.show(link[1].replace("&amp;", "&") + "&kind=activity&kind=location")
    assert re.search(r"我同意平安健康保险为了保险理赔，从今天起到 \d{4}年\d+月\d+日 星期.，看我的运动、位置轨迹。我随时可以停止。", page)


def test_nothing_is_ticked_beforehand_and_nothing_chosen_is_not_saved(place: Place) -> None:
    with place.browse("li") as visitor:
        who = re.search(r'class="choice" href="([^"]+)"', visitor.show("/resident/grants/new"))
        assert who
        link = who[1].replace("&amp;", "&")
        assert " checked" not in visitor.show(link)
        assert "请至少选一样" in visitor.show(link + "&asked=1")
        to = link.partition("to=")[2]
        assert visitor.send_form("/resident/grants/new", to=to, kinds="biometric", term="year", until="2030-01-01").status_code == 400


def test_five_years_is_the_longest_and_stop_all_stops_everything(place: Place) -> None:
    with place.browse("li") as visitor:
        granted(visitor, place, "activity,health-check", "clinic", "five")
        granted(visitor, place, "activity", "clinic", "day")
        visitor.send_form("/resident/alerts/seen")
        assert visitor.show("/resident").count('/stop"') == 2
        answer = visitor.send_form("/resident/stop-all")
        page = visitor.show(answer.headers["location"])
    assert "全部停止了" in page
    assert '/stop"' not in page


def test_a_day_that_was_not_read_back_is_refused(place: Place) -> None:
    with place.browse("li") as visitor:
        who = re.search(r'class="choice" href="([^"]+)"', visitor.show("/resident/grants/new"))
        assert who
        to = who[1].partition("to=")[2].replace("&amp;", "&")
        for until in ("2099-01-01", "2020-01-01", "soon"):
            assert visitor.send_form("/resident/grants/new", to=to, kinds="activity", term="year", until=until).status_code == 400


def test_the_download_is_a_bundle_of_all_of_ones_own(place: Place) -> None:
    with place.browse("wang") as visitor:
        answer = visitor.get("/resident/download")
    assert answer.headers["cache-control"] == "no-store"
    bundle = orjson.loads(answer.content)
    types = {entry["resource"]["resourceType"] for entry in bundle["entry"]}
    assert bundle["type"] == "collection"
    assert {"Patient", "Consent", "Observation", "Provenance"} <= types
    about = {entry["resource"]["subject"]["reference"] for entry in bundle["entry"] if "subject" in entry["resource"]}
    assert about == {f"Patient/{place.town.resident}"}


def test_the_resident_sees_what_the_doctor_would_see(place: Place) -> None:
    with place.browse("wang") as visitor, place.browse("doctor") as doctor:
        mine = visitor.show(f"/resident/grants/{place.town.consent}/preview")
        theirs = doctor.show(f"/hospital/patients/{place.town.resident}")
    table = re.compile(r"<tbody>.*?</tbody>", re.DOTALL)
    assert table.findall(mine) == table.findall(theirs)
