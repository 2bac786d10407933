"""What a resident hears of without looking for it, until they say that they know; and the copies of their records."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from uuid import UUID, uuid4

import pytest
from pypdf import PdfReader

from hub.web import papers
from tests.web.test_resident import granted
from tests.web.town import Place, Visitor, today

FIRST = "市第二医院第一次看了您的记录"


@pytest.fixture
def visitor(place: Place) -> Iterator[Visitor]:
    """The neighbour, who heard of everything before, and leaves with nothing given."""
    with place.browse("li") as visitor:
        visitor.send_form("/resident/alerts/seen")
        yield visitor
        visitor.send_form("/resident/stop-all")


def looked(place: Place, party: int, count: int = 1, action: str = "read", outcome: str = "success") -> None:
    """Looks of a party in a chain of their own, as another process of the hub would have noted them."""
    (chain,) = place.rows("INSERT INTO audit_chains DEFAULT VALUES RETURNING chain")
    place.rows(
        "INSERT INTO audit (chain, seq, at, resident, party, actor, action, outcome, hash) "
        "SELECT $1::int, n, clock_timestamp(), $2::uuid, $3::int, 'Organization/x', $4::text, $5::text, '' FROM generate_series(1, $6::int) n",
        chain["chain"], place.town.neighbour, party, action, outcome, count,
    )  # fmt: skip


def forget(place: Place, *parties: int) -> None:
    place.rows("DELETE FROM audit WHERE party = ANY($1::int[]) AND actor = 'Organization/x'", list(parties))


def test_the_first_look_of_an_organization_is_told_until_it_is_known(place: Place, visitor: Visitor) -> None:
    number = 90_001
    place.rows(
        "INSERT INTO parties (number, id, name, kind, client_id, jwks, purposes) OVERRIDING SYSTEM VALUE "
        "VALUES ($1, $2, '新来的诊所', 'hospital', $3, '{}', '{TREAT}')", number, uuid4(), str(uuid4()),
    )  # fmt: skip
    try:
        looked(place, number, outcome="refused")
        assert "新来的诊所" not in visitor.show("/resident/alerts"), "nothing was seen"
        looked(place, number)
        assert "新来的诊所第一次看了您的记录" in visitor.show("/resident")
        page = visitor.show("/resident/alerts")
        assert "/resident/looks/" in page
        assert "looked at your records for the first time" in visitor.show("/resident/alerts?lang=en")
        visitor.show("/resident?lang=zh-CN")
        assert visitor.send_form("/resident/alerts/seen").headers["location"] == "/resident#main"
        looked(place, number)
        assert "新来的诊所第一次" not in visitor.show("/resident/alerts")
        assert "看过了提醒" in visitor.show("/resident/looks?tab=own")
    finally:
        forget(place, number)
        place.rows("DELETE FROM parties WHERE number = $1", number)


def test_many_looks_on_one_day_and_an_export_are_urgent(place: Place, visitor: Visitor) -> None:
    clinic = place.rows("SELECT number FROM parties WHERE name = '社区卫生服务中心'")[0]["number"]
    try:
        looked(place, clinic, 99)
        assert "99 次" not in visitor.show("/resident/alerts")
        looked(place, clinic, 1)
        assert "看了您的记录 100 次" in visitor.show("/resident")
        looked(place, clinic, 1, action="export")
        assert "批量取走了您的记录" in visitor.show("/resident")
    finally:
        forget(place, clinic)


def backdate(place: Place, days: int) -> None:
    """As if everything that the neighbour acknowledged had been so many days ago."""
    place.rows(
        "UPDATE audit SET at = at - make_interval(days => $2) WHERE resident = $1 AND action IN ('alerts-seen', 'consents-reviewed')",
        place.town.neighbour, days,
    )  # fmt: skip


def agreed(visitor: Visitor, place: Place, ends_in: int, recorded: str = "2026-01-02") -> None:
    """A Consent of the neighbour's for the hospital, given on a day of long ago."""
    body = {
        "resourceType": "Consent", "status": "active", "patient": {"reference": f"Patient/{place.town.neighbour}"}, "dateTime": f"{recorded}T08:00:00+08:00",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}], "policy": [{"uri": "https://example.org/policy"}],
        "provision": {
            "type": "permit", "period": {"end": (today() + timedelta(days=ends_in)).isoformat()},
            "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": place.town.hospital.reference}}],
        },
    }  # fmt: skip
    made = visitor.post("/fhir/Consent", json=body, headers={"X-CSRF-Token": visitor.csrf})
    assert made.status_code == 201, made.text


def test_an_end_is_told_a_month_and_a_week_before(place: Place, visitor: Visitor) -> None:
    for days, told in ((31, False), (29, True), (6, True)):
        backdate(place, 60)
        agreed(visitor, place, days)
        assert (f"还有 {days} 天到期" in visitor.show("/resident/alerts")) is told
        visitor.send_form("/resident/alerts/seen")
        assert "天到期" not in visitor.show("/resident/alerts"), "known until the next mark"
        visitor.send_form("/resident/stop-all")


def test_a_grant_shorter_than_a_week_ends_without_a_word(place: Place, visitor: Visitor) -> None:
    granted(visitor, place, term="day")
    backdate(place, 60)
    assert "天到期" not in visitor.show("/resident/alerts")


def test_once_a_year_it_is_asked_whether_all_is_still_right(place: Place, visitor: Visitor) -> None:
    backdate(place, 400)
    granted(visitor, place, term="five")
    assert "一年了" not in visitor.show("/resident/alerts"), "agreed to today"
    agreed(visitor, place, 900, recorded="2025-01-02")
    assert "一年了" in visitor.show("/resident/alerts")
    visitor.send_form("/resident/alerts/seen")
    assert "一年了" in visitor.show("/resident/alerts"), "to know of it is not to have done it"
    page = visitor.show("/resident/review")
    assert "市第二医院" in page
    visitor.send_form("/resident/review")
    assert "一年了" not in visitor.show("/resident/alerts")
    assert "重新看过谁能看" in visitor.show("/resident/looks?tab=own")


def test_the_table_holds_every_record_and_figure_and_no_formula(place: Place) -> None:
    with place.browse("wang") as visitor:
        answer = visitor.get("/resident/records.csv")
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        downloads = visitor.show("/resident/downloads")
    (count,) = place.rows("SELECT count(*) AS n FROM records WHERE resident = $1 AND kind < 20 AND NOT deleted", place.town.resident)
    assert rows[0] == ["日期", "时间", "种类", "内容", "指标", "数值", "单位", "来源", "编号"]
    assert len({row[8] for row in rows[1:]}) == count["n"]
    assert {"握力", "收缩压"} <= {row[4] for row in rows}
    assert all(row[5] == "" or float(row[5]) is not None for row in rows[1:])
    assert 'href="/resident/records.csv"' in downloads
    assert UUID(rows[1][8])


def test_the_pdf_says_what_the_printed_page_says(place: Place) -> None:
    with place.browse("wang") as visitor:
        answer = visitor.get("/resident/records.pdf")
        page = visitor.show("/resident/records/print")
        english = PdfReader(io.BytesIO(visitor.get("/resident/records.pdf?lang=en").content))
        assert visitor.get("/resident/records.pdf?years=21").status_code in (400, 422)
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/pdf", "no-store")
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''kinehub-")
    sheets = PdfReader(io.BytesIO(answer.content))
    told = squeezed("".join(sheet.extract_text() for sheet in sheets.pages))
    rows = re.findall(r'<tr><th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td></tr>', page)
    assert len(rows) > 3
    assert all(squeezed(unescape(cell)) in told for row in rows for cell in row)
    assert squeezed("王秀英的记录") in told
    assert "第1页" in squeezed(sheets.pages[0].extract_text())
    assert "Page 1" in english.pages[0].extract_text()


def squeezed(text: str) -> str:
    """Without the blanks and line ends that type-setting puts in."""
    return "".join(text.split())


def test_what_somebody_wrote_is_text_on_a_sheet() -> None:
    """As markup it would have the hub read a file or an address, and a half tag would leave no sheet at all."""
    wrote = '<img src="file:///etc/hostname"/> <b>x & </i>\u3000y\x00'
    (sheet,) = PdfReader(io.BytesIO(papers.table("一", wrote, ("甲",), [(wrote,)], (1,)))).pages
    assert squeezed(sheet.extract_text()).count(squeezed(wrote.replace("\x00", ""))) == 2
    assert not sheet.images


def test_the_printed_page_has_the_last_year_and_earlier_ones_when_asked(place: Place) -> None:
    with place.browse("wang") as visitor:
        page = visitor.show("/resident/records/print")
        assert visitor.get("/resident/records/print?years=21").status_code in (400, 422)
    assert "王秀英的记录" in page
    assert "太极" in page
    assert "data-print" in page
