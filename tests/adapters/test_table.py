"""Tables: layouts chosen by headers, cells as staff write them, refusals with cell and advice, workbooks that bite."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from adapters import table
from adapters.base import AdapterError, Context, Decoded, Limits, Rejected, TooLarge, detect
from mappings import sources
from schemas.errors import MappingError
from schemas.records import Session

HEADERS = ["会员号", "姓名", "项目", "开始时间", "结束时间", "时长(分钟)", "平均心率", "距离"]
GOOD: dict[str, Any] = {"会员号": "A1", "姓名": "样本", "项目": "健走", "开始时间": "2026-05-01 08:00", "结束时间": "2026-05-01 08:45"}


def read(content: bytes, **limits: int) -> list[Decoded | Rejected]:
    return list(table.decode(io.BytesIO(content), Context(limits=Limits(**limits))))


def as_csv(*rows: dict[str, Any], mark: str = ",", charset: str = "utf-8", above: int = 0) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark)
    for n in range(above):
        writer.writerow([f"2026年5月 第{n}页"])
    headers = list(dict.fromkeys(key for row in rows for key in row))
    writer.writerow(headers)
    writer.writerows([row.get(header, "") for header in headers] for row in rows)
    return out.getvalue().encode(charset)


def as_xlsx(*rows: Sequence[Any], sheet: str = "记录") -> bytes:
    book = Workbook()
    first = book.worksheets[0]
    first.title = sheet
    for row in rows:
        first.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def session(row: dict[str, Any]) -> Session:
    (found,) = read(as_csv(row))
    assert isinstance(found, Decoded), found
    assert isinstance(found.record, Session)
    return found.record


def refusal(**change: Any) -> Rejected:
    good, found = read(as_csv(GOOD, {**GOOD, **change}))
    assert isinstance(good, Decoded)
    assert isinstance(found, Rejected), found
    return found


def rewritten(content: bytes, part: str, text: bytes, packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", packing) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, text if entry.filename == part else old.read(entry.filename))
        if part not in old.namelist():
            new.writestr(part, text)
    return out.getvalue()


def covers(found: Any, expected: Any) -> bool:
    """Whether `found` says everything `expected` says."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(key in found and covers(found[key], value) for key, value in expected.items())
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(covers, found, expected))
    return bool(found == pytest.approx(expected) if isinstance(expected, int | float) else found == expected)


EXAMPLES = [pytest.param(layout, example, id=f"{layout.id}-{n}") for layout in sources.layouts() for n, example in enumerate(layout.examples)]


@pytest.mark.parametrize(("layout", "example"), EXAMPLES)
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_examples_of_each_layout_hold(layout: sources.Layout, example: dict[str, Any], form: str) -> None:
    row = example["row"]
    content = as_csv(row) if form == "csv" else as_xlsx(list(row), list(row.values()))
    (found,) = read(content)
    if "rejects" in example:
        assert isinstance(found, Rejected)
        assert covers(msgspec.to_builtins(found), dict(example["rejects"]))
        return
    assert isinstance(found, Decoded), found
    assert covers(json.loads(msgspec.json.encode(found.record)), example["gives"])
    assert {flag.code for flag in found.record.flags} == set(example.get("flags", []))
    assert covers(json.loads(msgspec.json.encode(found.who)) or {}, example.get("who", {}))


def test_sample_holds_a_record_of_every_kind() -> None:
    kinds = {json.loads(msgspec.json.encode(found.record))["kind"] for found in read(table.sample) if isinstance(found, Decoded)}
    assert kinds == table.emits


@pytest.mark.parametrize(("mark", "charset"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "gb18030"), ("|", "gb18030"), ("\t", "utf-16")])
def test_csv_of_any_usual_delimiter_and_encoding_is_read(mark: str, charset: str) -> None:
    (found,) = read(as_csv(GOOD, mark=mark, charset=charset))
    assert isinstance(found, Decoded)
    assert found.who
    assert found.who.name == "样本"


@pytest.mark.parametrize("above", [0, 1, 9])
def test_headers_are_found_under_titles_and_rows_keep_their_numbers(above: int) -> None:
    (found,) = read(as_csv({**GOOD, "平均心率": "1045"}, above=above))
    assert isinstance(found, Rejected)
    assert (found.row, found.cell) == (above + 2, f"F{above + 2}")


def test_headers_under_a_merged_title_of_a_workbook_are_found() -> None:
    book = Workbook()
    sheet = book.worksheets[0]
    sheet["A1"] = "银杭中心 2026年5月"
    sheet.merge_cells("A1:H1")
    sheet.append([])
    sheet.append(HEADERS)
    sheet.append(["A1", "样本", "健走", datetime(2026, 5, 1, 8), datetime(2026, 5, 1, 8, 45), 45, 104, 3200])  # noqa: DTZ001
    out = io.BytesIO()
    book.save(out)
    (found,) = read(out.getvalue())
    assert isinstance(found, Decoded)
    assert (found.row, found.record.start.local) == (4, datetime(2026, 5, 1, 8))  # noqa: DTZ001


def test_blank_rows_are_skipped_and_counted() -> None:
    found = read(
        as_xlsx(HEADERS, [None] * 8, ["A1", "样本", "健走", "2026-05-01 08:00"], ["", " ", None], ["A2", "样本", "健走", "2026-05-01 09:00"])
    )
    assert [item.row for item in found] == [3, 5]


def test_every_fitting_sheet_is_read_and_cells_name_their_sheet() -> None:
    book = load_workbook(io.BytesIO(as_xlsx(HEADERS, ["A1", "样本", "健走", "2026-05-01 08:00", None, None, 1045])))
    book.create_sheet("说明").append(["请先看这里"])
    extra = book.create_sheet("出入")
    extra.append(["会员号", "入场时间"])
    extra.append(["A1", "2026-05-01 07:55"])
    out = io.BytesIO()
    book.save(out)
    found = read(out.getvalue())
    assert [type(item) for item in found] == [Rejected, Decoded]
    assert isinstance(found[0], Rejected)
    assert found[0].cell == "记录!G2"


def test_each_row_carries_its_own_cells() -> None:
    found = read(as_csv(GOOD, {**GOOD, "会员号": "A2"}))
    assert [json.loads(item.original or b"")["会员号"] for item in found] == ["A1", "A2"]


@pytest.mark.parametrize(
    ("written", "local", "precision"),
    [
        ("2026-05-01 08:00", datetime(2026, 5, 1, 8), "minute"),  # noqa: DTZ001
        ("2026/5/1 8:00:05", datetime(2026, 5, 1, 8, 0, 5), "instant"),  # noqa: DTZ001
        ("2026年5月1日 8:30", datetime(2026, 5, 1, 8, 30), "minute"),  # noqa: DTZ001
        ("2026年5月1日 下午3时5分", datetime(2026, 5, 1, 15, 5), "minute"),  # noqa: DTZ001
        ("２０２６．５．１　０８：００", datetime(2026, 5, 1, 8), "minute"),  # noqa: DTZ001
        ("20260501 0800", None, ""),
        ("2026-05-01T08:00:00", datetime(2026, 5, 1, 8), "instant"),  # noqa: DTZ001
        ("2026-05-01", datetime(2026, 5, 1), "day"),  # noqa: DTZ001
        ("05/01/2026 08:00", None, ""),
        ("46143.33", None, ""),
        ("2026-02-30 08:00", None, ""),
        ("08:00", None, ""),
    ],
)
def test_dates_are_read_as_staff_write_them_and_never_guessed(written: str, local: datetime | None, precision: str) -> None:
    row = {"会员号": "A1", "项目": "健走", "开始时间": written}
    if local is None:
        (found,) = read(as_csv(row))
        assert isinstance(found, Rejected)
        assert (found.field, found.code) == ("start", "time")
        return
    start = session(row).start
    assert (start.local, start.at, start.precision) == (local, None, precision)


def test_an_offset_in_the_cell_is_kept() -> None:
    start = session({**GOOD, "开始时间": "2026-05-01T08:00:00+08:00", "结束时间": ""}).start
    assert start.at
    assert (start.at.isoformat(), start.offset_minutes) == ("2026-05-01T00:00:00+00:00", 480)


def test_typed_cells_of_a_workbook_are_read() -> None:
    headers = ["Member ID", "Date", "Time in", "Time out", "Activity", "Duration", "Distance (m)"]
    (found,) = read(as_xlsx(headers, [1001, date(2026, 5, 1), time(18, 5), time(18, 50), "Running", timedelta(minutes=45), 5200]))
    assert isinstance(found, Decoded)
    assert isinstance(found.record, Session)
    assert found.who
    assert (found.who.member_number, found.record.elapsed_s, found.record.distance_m) == ("1001", 2700, 5200)
    assert found.record.end
    assert found.record.end.local == datetime(2026, 5, 1, 18, 50)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("45", 2700), ("45分", 2700), ("45 分钟", 2700), ("0:45", 2700), ("0:45:30", 2730), ("1小时5分", 3900), ("1.5小时", 5400), ("90s", 90)],
)
def test_lengths_of_time_are_read_as_staff_write_them(written: str, seconds: float) -> None:
    assert session({**GOOD, "结束时间": "", "时长(分钟)": written}).elapsed_s == seconds


@pytest.mark.parametrize(
    ("header", "written", "metres"),
    [
        ("距离", "3200", 3200),
        ("距离(公里)", "3.2", 3200),
        ("距离（km）", "3.2", 3200),
        ("距离", "3.2公里", 3200),
        ("距离", "3,200", 3200),
        ("距离(必填)", "3200米", 3200),
    ],
)
def test_units_in_headers_and_cells_are_honoured(header: str, written: str, metres: float) -> None:
    assert session({**GOOD, header: written}).distance_m == pytest.approx(metres)


@pytest.mark.parametrize(
    ("field", "written", "code", "advice"),
    [
        ("平均心率", "1045", "out-of-range", "104.5?"),
        ("平均心率", "1O4", "not-a-number", "104?"),
        ("平均心率", "很快", "not-a-number", "Type a plain number."),
        ("平均心率", "104公斤", "unit", "Write the number in /min."),
        ("时长(分钟)", "45:30", "duration", "Write hours:minutes:seconds, for example 0:45:30."),
        ("结束时间", "2026-05-01 07:00", "end-before-start", "Check both; were they swapped?"),
        ("项目", "", "required", "Fill it in."),
        ("身份证号", "3.30106E+17", "digits-lost", "Format the column as text and type it again."),
        ("出生日期", "五月", "time", "Write it as 2026-05-01 08:00."),
    ],
)
def test_a_bad_cell_is_named_with_code_and_advice(field: str, written: str, code: str, advice: str) -> None:
    found = refusal(**{field: written})
    assert (found.row, found.code, found.advice) == (3, code, advice)
    assert found.cell
    assert found.cell.endswith("3")


@pytest.mark.parametrize(
    ("header", "written"),
    [("时长(分钟)", "1" + " " * 20_000 + "x"), ("开始时间", "2026-05-01" + " " * 20_000 + "x"), ("距离" + "_" * 100_000 + "b_", "1")],
)
def test_a_row_of_blanks_is_read_to_its_end(tmp_path: Path, header: str, written: str) -> None:
    """Tried in every way to divide them, they kept a process busy for ever: here in one of its own."""
    file = tmp_path / "rows.csv"
    file.write_bytes(as_csv({**GOOD, "结束时间": "", header: written}))
    line = [sys.executable, "-m", "hub", "--data-dir", str(tmp_path), "--json", "adapters", "check", str(file)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert "table" in done.stdout, (done.returncode, done.stdout[-300:], done.stderr[-300:])


def test_every_bad_cell_of_a_row_is_named() -> None:
    found = read(as_csv({**GOOD, "平均心率": "x", "距离": "y"}))
    assert [item.field for item in found if isinstance(item, Rejected)] == ["hr_avg", "distance_m"]


def test_messages_do_not_repeat_who_someone_is() -> None:
    secret = "13800138000"
    for field in ("出生日期", "性别", "手机", "平均心率", "开始时间", "距离"):
        for found in read(as_csv({**GOOD, field: f"{secret}李四"})):
            if isinstance(found, Rejected):
                assert secret not in found.message + found.advice
                assert "李四" not in found.message + found.advice


def test_zero_is_absent_and_said() -> None:
    found = session({**GOOD, "平均心率": "0", "距离": "0", "热量": "0"})
    assert (found.hr_avg, found.distance_m, found.energy_kcal) == (None, None, None)
    assert [flag.code for flag in found.flags] == ["heart-rate-not-measured", "distance-not-measured", "energy-not-measured"]


def test_an_unknown_sport_keeps_its_name() -> None:
    found = session({**GOOD, "项目": "陀螺"})
    assert (found.sport, found.title, found.flags[0].code) == (None, "陀螺", "sport-unknown")


def test_a_duration_longer_than_the_visit_is_said() -> None:
    assert [flag.code for flag in session({**GOOD, "时长(分钟)": "80"}).flags] == ["figures-disagree"]


def test_what_no_layout_fits_is_refused_with_what_is_missing() -> None:
    with pytest.raises(AdapterError, match="lacks: 开始时间") as refused:
        read(as_csv({"会员号": "A1", "姓名": "样本", "项目": "健走"}))
    assert refused.value.code == "headers"
    with pytest.raises(AdapterError, match="No header row"):
        read(as_csv({"a": "1", "b": "2"}))


def test_formats_are_recognised_by_content_and_name() -> None:
    assert detect(as_csv(GOOD, charset="gb18030")[:4096], None) is table  # type: ignore[comparison-overlap]
    assert detect(table.sample[:4096], None) is table  # type: ignore[comparison-overlap]
    assert not table.recognises(b"<gpx>", "a.gpx")
    assert not table.recognises(b"\x0e\x10\x43\x08", "a.fit")


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"a", b"PK\x03\x04", b"PK\x03\x04" + b"\0" * 200, b"\xd0\xcf\x11\xe0" + b"\0" * 600, b"a,b\0", b"\xff\xff\xff",
     "会员号,项目,开始时间\n".encode(), table.sample[:500], table.sample[:-30], b'"' + b"x" * 300_000],
)  # fmt: skip
def test_broken_files_are_adapter_errors(content: bytes) -> None:
    with pytest.raises(AdapterError):
        read(content)


def test_too_many_rows_or_bytes_are_refused() -> None:
    with pytest.raises(TooLarge):
        read(as_csv(*[GOOD] * 4), rows=3)
    with pytest.raises(TooLarge):
        read(as_xlsx(HEADERS, *[("A1", "样本", "健走", "2026-05-01 08:00"), ()] * 4), rows=3)
    with pytest.raises(TooLarge):
        read(as_csv(GOOD), bytes=20)
    with pytest.raises(TooLarge):
        read(b"," * 2_000_000)


def test_a_cell_in_the_last_corner_is_no_million_rows() -> None:
    book = load_workbook(io.BytesIO(as_xlsx(HEADERS, ["A1", "样本", "健走", "2026-05-01 08:00"])))
    book.worksheets[0]["XFD1048576"] = "x"
    out = io.BytesIO()
    book.save(out)
    (found,) = read(out.getvalue())
    assert isinstance(found, Decoded)


def test_a_size_that_lies_hides_no_rows() -> None:
    content = as_xlsx(HEADERS, ["A1", "样本", "健走", "2026-05-01 08:00"])
    part = "xl/worksheets/sheet1.xml"
    lying = zipfile.ZipFile(io.BytesIO(content)).read(part).replace(b'ref="A1:H2"', b'ref="A1:A1"')
    assert len(read(rewritten(content, part, lying))) == 1


SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'
BOMBS = {
    "tags": SHEET % (b"<a/>" * 2_100_000),
    "one row": SHEET % (b'<row r="1">' + b"<c/>" * 2_100_000 + b"</row>"),
    "nested rows": SHEET % (b'<row r="1">' + b"<row></row><c/>" * 700_000 + b"</row>"),
    "one text": SHEET % (b"<row><c><v>" + b"1" * 4_000_000 + b"</v></c></row>"),
    "entities": b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + SHEET % b'<row r="1"><c t="str"><v>&b;</v></c></row>',
    "no xml": b"\0\0\0\0",
}


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize("bomb", list(BOMBS))
def test_workbooks_that_unfold_are_refused_with_memory_flat(bomb: str, packing: int) -> None:
    content = rewritten(as_xlsx(HEADERS), "xl/worksheets/sheet1.xml", BOMBS[bomb], packing)
    tracemalloc.start()
    with pytest.raises(AdapterError):
        read(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 1024 * 1024


@pytest.mark.parametrize("name", ["../evil.xml", "/etc/passwd", "a\\..\\b.xml"])
def test_entries_that_leave_the_workbook_are_refused(name: str) -> None:
    with pytest.raises(AdapterError):
        read(rewritten(as_xlsx(HEADERS, ["A1"]), name, b"x"))


def test_entries_in_great_number_are_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for n in range(3_000):
            new.writestr(f"xl/{n}.bin", b"")
    with pytest.raises(TooLarge):
        read(out.getvalue())


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("id: x\ntitle: {zh: a, en: b}\nkind: session\ncolums: {}\n", 4, "unknown key 'colums'"),
        ("id: x\ntitle: {zh: a, en: b}\nkind: dance\n", 3, "kind 'dance'"),
        ("id: x\ntitle: {zh: a, en: b}\nkind: session\ncolumns:\n  start: [s]\n  pace: [p]\n", 6, "unknown key 'pace'"),
        ("id: x\ntitle: {zh: a, en: b}\nkind: session\ncolumns:\n  start: {headers: [s], transform: eval}\n", 5, "unknown transform"),
        (
            "id: x\ntitle: {zh: a, en: b}\nkind: session\ncolumns:\n  start: [s]\n  hr_avg:\n    headers: [h]\n    unit: kg\n",
            8,
            "cannot be converted",
        ),
        ("id: x\ntitle: {zh: a, en: b}\nkind: session\ncolumns:\n  start: [s]\n  sport: [s]\n", 6, "already belongs"),
        ("id: x\ntitle: {zh: a, en: b}\nkind: session\ncolumns:\n  start: [s]\nexamples: []\n", 6, "two or more"),
        ("id: x\ntitle: {zh: a, en: b}\nkind: session\ncolumns:\n  start: [s]\nconstants:\n  indoor: maybe\n", 7, "wrong type"),
        ("id: x\nid: y\n", 2, "stands twice"),
        ("id: [x\n", 2, ""),
    ],
)
def test_a_wrong_layout_is_refused_with_file_and_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MappingError) as refused:
        sources.compile_layout(path)
    assert refused.value.message.startswith(f"wrong.yaml:{line}:")
    assert said in refused.value.message


_cells = st.one_of(
    st.none(), st.text(max_size=12), st.integers(), st.floats(), st.booleans(), st.datetimes(), st.dates(), st.times(), st.timedeltas(),
    st.sampled_from(["0:45", "45分", "2026-05-01", "8:00", "1e400", "١٢", "²", "-0", "9" * 30]),
)  # fmt: skip


@given(st.lists(_cells, min_size=len(HEADERS), max_size=len(HEADERS)))
def test_any_cells_give_records_or_faults(cells: list[Any]) -> None:
    placed = sources.place(next(layout for layout in sources.layouts() if layout.id == "yinhang_sessions"), HEADERS)
    filled = sources.fill(placed, cells)
    assert bool(filled.records) != bool(filled.faults)
    for record in filled.records:
        assert msgspec.json.encode(record)


@given(st.binary(max_size=300))
def test_random_bytes_give_adapter_errors_or_rows_only(noise: bytes) -> None:
    for content in (noise, as_csv(GOOD) + noise, b"PK\x03\x04" + noise, table.sample[:2000] + noise):
        try:
            assert all(isinstance(item, Decoded | Rejected) for item in read(content))
        except AdapterError:
            continue
