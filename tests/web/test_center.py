"""The centre's pages: nothing is stored before it is taken, and what waits in between lies sealed."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta

from tests.web.town import CSV, Place, Visitor, today


def dated(days_ago: int) -> bytes:
    """The example file on days of its own, so that tests do not meet each other's rows."""
    text = CSV
    for number, day in enumerate(("2026-05-02", "2026-05-01", "2026-04-30", "2026-04-29")):
        text = text.replace(day, (today() - timedelta(days=days_ago + number)).isoformat())
    return text.encode()


def records(place: Place) -> int:
    return int(place.rows("SELECT count(*) AS n FROM records WHERE kind < 20")[0]["n"])


def previewed(visitor: Visitor, content: bytes) -> str:
    answer = visitor.upload(content)
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


def test_the_rejected_rows_come_back_with_their_errors_and_without_formulas(place: Place) -> None:
    with place.browse("staff") as staff:
        answer = staff.get(f"{previewed(staff, dated(100))}/rejected.csv")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0][-3:] == ["单元格", "错误", "怎么办"]
    assert len(rows) == 5
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    assert any(cell.startswith("'=cmd") for row in rows for cell in row)
    assert answer.headers["cache-control"] == "no-store"


def test_a_parked_file_is_sealed_expires_and_belongs_to_one_account(place: Place) -> None:
    with place.browse("staff") as staff, place.browse("colleague") as other:
        path = previewed(staff, dated(120))
        parked = place.rows("SELECT p.body, p.expires - now() AS left FROM pending p WHERE reason = 'preview'")
        assert len(parked) == 1
        assert "王秀英".encode() not in parked[0]["body"]
        assert parked[0]["left"] <= timedelta(hours=1)
        assert other.get(path).status_code == other.get(f"{path}/rejected.csv").status_code == 404
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
