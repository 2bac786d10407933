"""The centre's pages: nothing is stored before it is taken, and what waits in between lies sealed."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime, time, timedelta

import orjson
from openpyxl import Workbook, load_workbook

from tests.builders import a_pressure, a_session, an_id_number
from tests.web.test_resident import granted
from tests.web.town import CSV, Place, Visitor, today


def dated(days_ago: int) -> bytes:
    """The example file on days of its own, so that tests do not meet each other's rows."""
    text = CSV
    for number, day in enumerate(("2026-05-02", "2026-05-01", "2026-04-30", "2026-04-29")):
        text = text.replace(day, (today() - timedelta(days=days_ago + number)).isoformat())
    return text.encode()


def records(place: Place) -> int:
    return int(place.rows("SELECT count(*) AS n FROM records WHERE kind < 20")[0]["n"])


def previewed(visitor: Visitor, content: bytes, name: str = "sessions.csv") -> str:
    answer = visitor.upload(content, name)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def counts(page: str) -> list[int]:
    return [
        int(number) for number in re.findall(r"<li class=\"[a-z]*\"><strong>(\d+)</strong>|<li><strong>(\d+)</strong>", page) for number in number if number
    ]


def test_a_preview_names_cell_reason_and_suggestion_and_stores_nothing(place: Place) -> None:
    before = records(place)
    with place.browse("staff") as staff:
        page = staff.show(previewed(staff, dated(40)))
    assert counts(page) == [2, 1, 3, 0]
    for said in ("G4", "平均心率 1045", "是不是 104.5？", "E3", "号码没有登记", "王・・"):
        assert said in page
    assert "王秀英" not in page
    assert records(place) == before


def test_taking_gives_a_receipt_and_the_same_file_is_known_afterwards(place: Place) -> None:
    before = records(place)
    with place.browse("staff") as staff:
        path = previewed(staff, dated(60))
        answer = staff.send_form(f"{path}/accept")
        page = staff.show(answer.headers["location"])
        assert counts(page) == [2, 1, 3]
        assert records(place) == before + 2
        assert counts(staff.show(previewed(staff, dated(60)))) == [0, 1, 3, 2]
        assert records(place) == before + 2


def test_a_waiting_row_is_settled_by_a_member_number(place: Place) -> None:
    with place.browse("staff") as staff:
        receipt = staff.send_form(f"{previewed(staff, dated(80))}/accept").headers["location"].partition("?")[0]
        wrong = staff.send_form(f"{receipt}/pending/5", system="member", value="YH-9999")
        assert "没有找到这样的居民" in staff.show(wrong.headers["location"].partition("#")[0])
        settled = staff.send_form(f"{receipt}/pending/5", system="member", value="YH-0002")
        page = staff.show(settled.headers["location"].partition("#")[0])
    assert counts(page) == [3, 0, 3]


def test_the_file_comes_back_with_its_errors_and_can_be_sent_again(place: Place) -> None:
    content = "殷行社区,＝1+1\n".encode() + dated(100) + b",,,,,,,\n"
    with place.browse("staff") as staff:
        answer = staff.get(f"{previewed(staff, content)}/marked")
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        again = previewed(staff, answer.content)
        assert counts(staff.show(again)) == [2, 1, 3, 0]
        twice = list(csv.reader(io.StringIO(staff.get(f"{again}/marked").content.decode("utf-8-sig"))))
    assert "filename*=UTF-8''sessions-" in answer.headers["content-disposition"]
    assert rows[0] == ["殷行社区", "'＝1+1"]
    assert rows[1][-2:] == twice[1][-2:] == ["错误", "怎么办"]
    assert [len(rows), len(twice[1])] == [8, len(rows[1])]
    assert rows[2] == ["YH-4417", "王秀英", "康复操课", rows[2][3], rows[2][4], "45", "104", ""]
    assert rows[4][-2:] == ["G5 平均心率 1045：数值不可能", "平均心率应在 20 到 260 之间。 是不是 104.5？"]
    assert rows[5][-2].startswith("A6 号码没有登记")
    assert rows[7][1].startswith("'=cmd")
    assert answer.headers["cache-control"] == "no-store"


def test_a_workbook_comes_back_as_a_workbook_whose_formulas_are_text(place: Place) -> None:
    book = Workbook()
    sheet = book.worksheets[0]
    for row in csv.reader(io.StringIO(dated(180).decode())):
        sheet.append(row)
    sheet["B2"].value, sheet["B2"].data_type = "=1+1", "s"
    sheet["D2"].value = datetime.combine(today() - timedelta(days=180), time(9))
    out = io.BytesIO()
    book.save(out)
    with place.browse("staff") as staff:
        answer = staff.upload(out.getvalue(), "五月.xlsx")
        answer = staff.get(f"{answer.headers['location']}/marked")
        assert counts(staff.show(previewed(staff, answer.content, "again.xlsx"))) == [2, 1, 3, 0]
    found = load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert [cell.value for cell in found[1]][-2:] == ["错误", "怎么办"]
    assert (found["B2"].value, found["B2"].data_type) == ("=1+1", "s")
    assert found["D2"].is_date
    assert found["I3"].value.startswith("E3 结束时间")
    assert answer.headers["content-disposition"].endswith(".xlsx")


def test_another_formats_faults_come_back_as_a_list(place: Place) -> None:
    records = [a_session(f"{today() - timedelta(days=200)}T07:00:00+08:00", 30) | {"who": {"member_number": number}} for number in ("YH-4417", "YH-9999")]
    with place.browse("staff") as staff:
        answer = staff.get(f"{previewed(staff, orjson.dumps({'records': records}), 'records.json')}/marked")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0] == ["行", "错误", "怎么办"]
    assert rows[1][:2] == ["第 2 行", "号码没有登记"]


def test_a_file_sent_again_doubles_nothing_and_says_so(place: Place) -> None:
    with place.browse("staff") as staff:
        staff.send_form(f"{previewed(staff, dated(220))}/accept")
        before = records(place)
        path = previewed(staff, dated(220))
        assert "能收的 2 行以前都收过了" in staff.show(path)
        page = staff.show(staff.send_form(f"{path}/accept").headers["location"])
    assert "其中 2 行以前收过，没有重复记" in page
    assert records(place) == before


def test_the_preview_says_who_has_not_agreed_with_this_centre_and_nothing_else(place: Place) -> None:
    content = dated(240) + f"YH-0002,李建国,快走,{today() - timedelta(days=240)} 10:00,{today() - timedelta(days=240)} 10:30,30,110,2500\n".encode()
    with place.browse("staff") as staff, place.browse("li") as neighbour:
        path = previewed(staff, content)
        before = staff.show(path)
        assert "2 位会员里 2 位还没有同意本中心" in before
        assert ">王・・ …4417</li>" in before
        granted(neighbour, place, "activity,health-check", "clinic", "five")
        assert staff.show(path) == before
        place.rows("UPDATE parties SET purposes = '{TREAT}' WHERE number = $1", place.town.center.number)
        granted(neighbour, place, "activity", "center")
        place.rows("UPDATE parties SET purposes = '{}' WHERE number = $1", place.town.center.number)
        after = staff.show(path)
        assert "2 位会员里 1 位还没有同意本中心" in after
        assert ">李・・ …0002</li>" not in after
        neighbour.send_form("/resident/stop-all")
        assert staff.show(path) == before


def test_each_member_whose_consents_are_opened_for_the_centre_finds_one_entry(place: Place) -> None:
    count = "SELECT resident FROM audit WHERE rule = 'system:agreed-with-party' AND party = $1"
    content = dated(300) + f"YH-0002,李建国,快走,{today() - timedelta(days=300)} 10:00,{today() - timedelta(days=300)} 10:30,30,110,2500\n".encode()
    with place.browse("staff") as staff:
        path = previewed(staff, content)
        before = len(place.rows(count, place.town.center.number))
        staff.show(path)
        opened = place.rows(count, place.town.center.number)
    assert len(opened) == before + 2
    assert {row["resident"] for row in opened} == {place.town.resident, place.town.neighbour}


def test_a_parked_file_is_sealed_expires_and_belongs_to_one_account(place: Place) -> None:
    with place.browse("staff") as staff, place.browse("colleague") as other:
        path = previewed(staff, dated(120))
        parked = place.rows("SELECT p.body, p.expires - now() AS left FROM pending p WHERE reason = 'preview'")
        assert len(parked) == 1
        assert "王秀英".encode() not in parked[0]["body"]
        assert parked[0]["left"] <= timedelta(hours=1)
        assert other.get(path).status_code == other.get(f"{path}/marked").status_code == 404
        place.rows("UPDATE pending SET expires = now() - interval '1 second' WHERE reason = 'preview'")
        gone = staff.get(path)
        assert gone.status_code == 404
        assert "一小时" in gone.text
        assert staff.send_form(f"{path}/accept").status_code == 404


def test_a_new_file_takes_the_place_of_the_parked_one_and_its_key(place: Place) -> None:
    with place.browse("staff") as staff:
        first = previewed(staff, dated(140))
        second = previewed(staff, dated(141))
        assert staff.get(first).status_code == 404
        assert staff.get(second).status_code == 200
    keys = place.rows("SELECT count(*) AS n FROM data_keys k JOIN pending p ON p.subject = k.subject WHERE p.reason = 'preview'")
    assert keys[0]["n"] == 1


def test_a_file_that_cannot_be_used_says_so_in_words(place: Place) -> None:
    before = records(place)
    with place.browse("staff") as staff:
        for content, status, said in ((b"", 422, "请先选一个文件"), (b"\x00\x01\x02 nothing", None, 'role="alert"'), (b"PK\x03\x04 broken", None, "")):
            answer = staff.upload(content)
            assert answer.status_code in (status or 415, 422), answer.text
            assert said in answer.text
            assert answer.headers["content-type"].startswith("text/html")
    assert records(place) == before


def test_the_receipt_of_a_reading_that_is_no_exercise_opens(place: Place) -> None:
    reading = a_pressure(f"{today() - timedelta(days=9)}T09:00:00+08:00") | {"who": {"member_number": "YH-4417"}}
    with place.browse("staff") as staff:
        answer = staff.send_form(f"{previewed(staff, orjson.dumps({'records': [reading]}), 'reading.json')}/accept")
        page = staff.show(answer.headers["location"])
    assert counts(page) == [1, 0, 0]


def test_the_first_page_shows_how_full_the_venues_are_today(place: Place) -> None:
    with place.browse("staff") as staff:
        page = staff.show("/center")
        assert re.findall(r"(\d\d:\d\d–\d\d:\d\d)</th><td>二楼器械区(.*?)</td><td class=\"n\">(\d+)</td><td class=\"n\">(\d+)</td>", page) == [
            ("02:00–03:00", ' <span class="tag warn">超过容纳人数</span>', "57", "63"), ("01:00–02:00", "", "38", "44"), ("00:00–01:00", "", "4", "10"),
        ]  # fmt: skip
        assert "People at the venues today" in staff.show("/center?lang=en")


def test_a_preview_says_what_a_count_would_become(place: Place) -> None:
    before = place.rows("SELECT count(*) AS n FROM occupancy")[0]["n"]
    day = today()
    rows = f"场馆名称,时段开始,时段结束,在场人数,统计方式\n二楼器械区,{day} 05:00,{day} 06:00,31,闸机\n四楼,{day} 05:00,,3,\n2F,{day} 05:00,,-2,\n"
    with place.browse("staff") as staff:
        page = staff.show(previewed(staff, rows.encode(), "counts.csv"))
    assert counts(page) == [1, 0, 2, 0]
    for said in ("场馆客流 二楼器械区 在场人数 31 人", "目录里没有这个场馆", "请先把场馆加进目录"):
        assert said in page
    assert place.rows("SELECT count(*) AS n FROM occupancy")[0]["n"] == before


def test_a_party_that_registers_sees_before_whom_it_will_register(place: Place) -> None:
    who = {"name": "周新", "id_number": an_id_number(377), "member_number": "N-77"}
    others = [{"member_number": "N-77"}, {"name": "吴旧", "member_number": "N-78"}, {"name": "郑电", "id_number": an_id_number(379), "phone": "none"}]
    rows = [a_session(f"{today() - timedelta(days=300 + day)}T07:00:00+08:00", 30) | {"who": said} for day, said in enumerate([who, *others])]
    content = orjson.dumps({"records": rows})
    with place.browse("staff") as staff:
        assert counts(staff.show(previewed(staff, content, "waits.json"))) == [0, 4, 0, 0]
        place.rows("UPDATE parties SET may_register = true WHERE number = $1", place.town.center.number)
        try:
            path = previewed(staff, content, "joins.json")
            page = staff.show(path)
            assert counts(page) == [2, 2, 0, 0]
            assert page.count("收下时登记为新会员") == 2
            assert counts(staff.show(staff.send_form(f"{path}/accept").headers["location"])) == [2, 2, 0]
            assert counts(staff.show(previewed(staff, content, "again.json"))) == [0, 2, 0, 2]
        finally:
            place.rows("UPDATE parties SET may_register = false WHERE number = $1", place.town.center.number)
