"""What residents ask of who holds or saw their data: who reads it, what it does at once, how it is answered, and that its clock runs."""

from __future__ import annotations

import base64
import csv
import io
import re
from datetime import timedelta
from uuid import UUID

import orjson

from hub.audit.heads import opened as signed_head
from hub.audit.heads import public_key
from tests.web.test_emergencies import opened
from tests.web.test_family import acting, invited
from tests.web.test_resident import granted
from tests.web.town import Place, Visitor, today

HEAD = "会员号,姓名,项目,开始时间,结束时间,时长(分钟),平均心率,距离\n"


def recorded(place: Place, days_ago: int, minutes: int = 33) -> UUID:
    """A session of the neighbour's that the centre uploaded; uploaded again with other minutes, a new version of it."""
    day = (today() - timedelta(days=days_ago)).isoformat()
    row = f"YH-0002,李建国,快走,{day} 09:00,{day} 09:{minutes},{minutes},104,\n"
    with place.browse("staff") as staff:
        preview = staff.upload((HEAD + row).encode()).headers["location"]
        assert staff.send_form(f"{preview}/accept").status_code == 303
    rows = place.rows("SELECT id FROM records WHERE resident = $1 AND kind = 1 ORDER BY recorded DESC LIMIT 1", place.town.neighbour)
    return UUID(str(rows[0]["id"]))


def asked(visitor: Visitor, record: UUID, kind: str, words: str = "那天我没有去") -> str:
    """The address of a petition about a record, made from its form."""
    page = visitor.show(f"/resident/petitions/new?record={record}")
    fields = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', page))
    answer = visitor.post("/resident/petitions/new", data=fields | {"kind": kind, "words": words})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).partition("#")[0]


def answered(visitor: Visitor, petition: str, desk: str, outcome: str, words: str = "核对过了") -> int:
    path = petition.replace("/resident/", f"/{desk}/")
    visitor.show(path)
    return visitor.send_form(path, outcome=outcome, words=words).status_code


def test_the_source_answers_a_correction_once_it_is_made_and_the_resident_reads_it(place: Place) -> None:
    record = recorded(place, 41)
    with place.browse("li") as visitor, place.browse("staff") as staff, place.browse("colleague") as colleague, place.browse("doctor") as other:
        assert f"/resident/petitions/new?record={record}" in visitor.show("/resident/records") + visitor.show("/resident/records?view=compact")
        petition = asked(visitor, record, "correction")
        assert re.search("还有 1[45] 天答复", visitor.show(petition))
        assert "请更正" in staff.show("/center/petitions")
        page = staff.show(petition.replace("/resident/", "/center/"))
        assert "那天我没有去" in page
        assert "健走 33 分钟" in page
        assert other.get(petition.replace("/resident/", "/hospital/")).status_code == 404
        assert answered(staff, petition, "center", "corrected") == 409, "it is as it was"
        place.rows("UPDATE records SET version = version + 1 WHERE id = $1", record)
        assert answered(staff, petition, "center", "corrected", "改成了二十分钟") == 303
        place.rows("UPDATE records SET version = version - 1 WHERE id = $1", record)
        assert answered(colleague, petition, "center", "not-wrong") == 409, "answered already"
        shown = visitor.show(petition)
        assert "已经更正" in shown
        assert "改成了二十分钟" in shown
        assert "已经更正" in visitor.show("/resident/petitions")
        assert "答复了您的要求" in visitor.show("/resident/looks?tab=people")


def test_a_record_of_which_deletion_is_asked_is_seen_by_nobody_else_at_once_and_by_nobody_once_deleted(place: Place) -> None:
    record = recorded(place, 2, 57)
    with place.browse("li") as visitor, place.browse("staff") as staff, place.browse("doctor") as doctor:
        patient = f"/hospital/patients/{place.town.neighbour}"
        granted(visitor, place)
        assert "57" in doctor.show(f"{patient}/sessions.csv")
        petition = asked(visitor, record, "deletion")
        assert "57" not in doctor.show(f"{patient}/sessions.csv")
        assert "羽毛球" in doctor.show(patient)
        assert "健走 57 分钟" in visitor.show("/resident/records")
        assert "一条记录" in visitor.show("/resident/grants")
        assert "健走 57 分钟" in staff.show(petition.replace("/resident/", "/center/")), "in the resident's own words"
        assert answered(staff, petition, "center", "deleted", "已删") == 303
        assert "健走 57 分钟" not in visitor.show("/resident/records")
        assert str(record) not in orjson.dumps([one["resource"]["id"] for one in visitor.get("/resident/download").json()["entry"]]).decode()
        assert "已经删除" in visitor.show(petition)
        visitor.send_form("/resident/stop-all")
    place.rows("UPDATE records SET deleted = false WHERE id = $1", record)
    with place.browse("li") as visitor, place.browse("doctor") as doctor:
        granted(visitor, place)
        assert "57" not in doctor.show(f"/hospital/patients/{place.town.neighbour}/sessions.csv"), "a record that came again stays hidden"
        visitor.send_form("/resident/stop-all")
    place.rows("UPDATE records SET deleted = true WHERE id = $1", record)


def test_a_look_is_disputed_where_it_stands_and_not_answered_by_who_looked(place: Place) -> None:
    with place.browse("li") as visitor, place.browse("doctor") as doctor, place.browse("admin") as admin, place.browse("wang") as stranger:
        granted(visitor, place)
        doctor.show(f"/hospital/patients/{place.town.neighbour}")
        log = visitor.show("/resident/looks?tab=people")
        link = re.search(r'href="(/resident/looks/\d+/\d+)"', log)
        assert link
        look = visitor.show(link[1])
        for said in ("李医生", "医生", "市第二医院", "看病和健康指导", "您的同意：看：运动"):
            assert said in look, said
        seen = re.search(r"<dd>运动 \d+ 条.*?<dt>其中哪几项</dt><dd>([^<]+)", look, re.DOTALL)
        assert seen
        assert "心率" in seen[1], seen[1]
        assert stranger.get(link[1]).status_code == 404
        assert stranger.send_form(link[1], words="x").status_code == 404
        assert visitor.send_form(link[1], words=" ").status_code == 400
        made = visitor.send_form(link[1], words="我不认识他").headers["location"].partition("#")[0]
        assert visitor.send_form(link[1], words="再说一次").status_code == 409
        assert f'href="{made}"' in visitor.show(link[1])
        assert answered(doctor, made, "hospital", "explained") == 403, "one's own look"
        assert "请说明为什么看" in admin.show("/admin/petitions")
        assert answered(admin, made, "admin", "misuse", "已经处理") == 303
        assert "不该看，已经处理" in visitor.show(made)
        visitor.send_form("/resident/stop-all")


def test_each_entry_is_in_one_part_of_the_log(place: Place) -> None:
    with place.browse("li") as visitor, place.browse("doctor") as doctor:
        doctor.show(f"/hospital/patients/{place.town.neighbour}")
        parts = {tab: visitor.show(f"/resident/looks?tab={tab}") for tab in ("people", "automated", "denied", "own")}
        assert visitor.get("/resident/looks?tab=nonsense").status_code == 200
        links = {tab: set(re.findall(r'href="(/resident/looks/\d+/\d+)"', page)) for tab, page in parts.items()}
    assert "已挡住" in parts["denied"]
    assert "已挡住" not in parts["people"] + parts["automated"] + parts["own"]
    assert "记下了您的新记录" in parts["automated"]
    assert "您自己" in parts["own"]
    assert all(links.values())
    assert sum(map(len, links.values())) == len(set.union(*links.values()))


def test_a_late_answer_shows_as_late_to_all_three(place: Place) -> None:
    record = recorded(place, 44)
    with place.browse("li") as visitor, place.browse("staff") as staff, place.browse("admin") as admin:
        petition = asked(visitor, record, "correction")
        place.rows("UPDATE petitions SET due = now() - interval '2 days' WHERE id = $1", UUID(petition.rpartition("/")[2]))
        for page in (visitor.show("/resident/petitions"), staff.show("/center/petitions"), admin.show("/admin/petitions")):
            assert "过期 2 天没有答复" in page
        assert answered(admin, petition, "admin", "not-wrong") == 403, "the source of a record answers for it"
        assert answered(staff, petition, "center", "not-wrong") == 303


def test_nobody_asks_of_anothers_record_or_reads_anothers_petition(place: Place) -> None:
    record = recorded(place, 46)
    with place.browse("li") as visitor, place.browse("wang") as stranger:
        petition = asked(visitor, record, "correction")
        assert stranger.get(f"/resident/petitions/new?record={record}").status_code == 404
        assert stranger.send_form("/resident/petitions/new", record=str(record), kind="deletion", words="x").status_code == 404
        assert stranger.get(petition).status_code == 404
        assert visitor.send_form("/resident/petitions/new", record="nothing", kind="deletion", words="x").status_code == 404
        assert visitor.send_form("/resident/petitions/new", record=str(record), kind="dispute", words="x").status_code == 400
        assert visitor.send_form("/resident/petitions/new", record=str(record), kind="correction", words="again").status_code == 409
    (row,) = place.rows("SELECT * FROM petitions WHERE id = $1", UUID(petition.rpartition("/")[2]))
    assert "那天".encode() not in row["words"]


def test_what_is_to_be_deleted_is_hidden_from_family_and_in_an_emergency_too(place: Place) -> None:
    record = recorded(place, 3, 49)
    with place.browse("li") as elder, place.browse("wang") as helper, place.browse("doctor") as doctor:
        assert helper.send_form("/resident/family/accept", code=invited(elder, "look")).status_code == 303
        assert acting(helper) == 303
        assert "健走 49 分钟" in helper.show("/resident/records")
        place.rows("DELETE FROM code_guesses")
        assert opened(doctor)[0] == 303
        assert "49 分钟" in doctor.show("/hospital/emergency/patient")
        asked(elder, record, "deletion")
        assert "健走 49 分钟" not in helper.show("/resident/records")
        assert "羽毛球" in helper.show("/resident/records")
        shown = doctor.show("/hospital/emergency/patient")
        assert "羽毛球" in shown
        assert "49 分钟" not in shown
        doctor.send_form("/hospital/emergency/end")
    place.rows("DELETE FROM emergencies")
    place.rows("DELETE FROM representatives")
    place.rows("UPDATE records SET deleted = true WHERE id = $1", record)


def test_no_version_of_a_deleted_record_is_left_in_its_history(place: Place) -> None:
    record = recorded(place, 4, 38)
    with place.browse("li") as visitor, place.browse("staff") as staff:
        entries = [one["resource"] for one in visitor.get("/resident/download").json()["entry"]]
        names = [f"{one['resourceType']}/{one['id']}" for one in entries if one["id"].startswith(str(record))]
        assert names
        assert all(visitor.get(f"/fhir/{name}/_history").status_code == 200 for name in names)
        petition = asked(visitor, record, "deletion")
        assert answered(staff, petition, "center", "deleted") == 303
        assert {visitor.get(f"/fhir/{name}/_history").status_code for name in names} == {404}
        assert {visitor.get(f"/fhir/{name}/_history/1").status_code for name in names} == {404}


def test_a_new_version_of_a_hidden_record_shows_nothing_of_itself(place: Place) -> None:
    record = recorded(place, 5, 36)
    day = (today() - timedelta(days=5)).isoformat()
    with place.browse("li") as visitor, place.browse("staff") as staff, place.browse("doctor") as doctor:
        granted(visitor, place)
        asked(visitor, record, "deletion")
        preview = staff.upload((HEAD + f"YH-0002,李建国,快走,{day} 09:00,{day} 09:36,36,104,3217\n").encode()).headers["location"]
        assert staff.send_form(f"{preview}/accept").status_code == 303
        assert place.rows("SELECT version FROM records WHERE id = $1", record)[0]["version"] == 2
        table = doctor.show(f"/hospital/patients/{place.town.neighbour}/sessions.csv")
        assert "3217" not in table
        assert day not in table
        visitor.send_form("/resident/stop-all")
    place.rows("UPDATE records SET deleted = true WHERE id = $1", record)


def test_a_deletion_that_is_not_asked_hides_nothing_and_one_asked_twice_hides_once(place: Place) -> None:
    def refusals() -> int:
        return int(place.rows("SELECT count(*) AS n FROM audit WHERE resident = $1 AND action = 'consent-refuse'", place.town.neighbour)[0]["n"])

    record, before = recorded(place, 37), refusals()
    with place.browse("li") as visitor:
        page = visitor.show(f"/resident/petitions/new?record={record}")
        fields = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', page)) | {"kind": "deletion"}
        assert visitor.post("/resident/petitions/new", data=fields | {"words": "长" * 701}).status_code == 400
        assert refusals() == before
        asked(visitor, record, "deletion")
        assert refusals() == before + 1
        assert visitor.post("/resident/petitions/new", data=fields | {"words": "再删一次"}).status_code == 409
        assert refusals() == before + 1


def test_the_whole_log_is_taken_away_as_a_table_and_that_is_an_entry_too(place: Place) -> None:
    with place.browse("li") as visitor, place.browse("doctor") as doctor, place.browse("doctor2") as stranger:
        granted(visitor, place)
        doctor.show(f"/hospital/patients/{place.town.neighbour}")
        assert stranger.get("/resident/looks/log.csv").status_code in (303, 403, 404)
        rows = list(csv.reader(io.StringIO(visitor.get("/resident/looks/log.csv").content.decode("utf-8-sig"))))
        entries = place.rows("SELECT count(*) AS n FROM audit WHERE resident = $1", place.town.neighbour)[0]["n"]
        assert len(rows) - 1 == entries - 1, "the download itself came after"
        seen = next(row for row in rows if row[2] == "李医生" and "运动" in row[7])
        assert seen[3:6] == ["医生", "市第二医院", "看病和健康指导"]
        assert "运动项目" in seen[8]
        assert seen[10].startswith("Consent/")
        assert re.fullmatch(r"\d+-\d+", seen[12])
        bundle = visitor.get("/resident/looks/log.json").json()
        *told, head = [entry["resource"] for entry in bundle["entry"]]
        places = {one["valueString"] for event in told for entity in event["entity"] for one in entity.get("detail", []) if one["type"] == "entry"}
        assert places > {row[12] for row in rows[1:]}, "the same entries, and the two downloads"
        sealed = signed_head(base64.b64decode(head["data"]).decode(), public_key(visitor.get("/oauth/jwks").content))
        assert {row[13] for row in rows[1:]} <= {"", str(sealed.size)}
        again = visitor.get("/resident/looks/log.csv").content.decode("utf-8-sig")
        assert "下载了记录" in again
        visitor.send_form("/resident/stop-all")
