"""The standard's own templates: filled in with a spreadsheet program and sent back, they are taken; what was changed in them is named."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from openpyxl import Workbook, load_workbook

from adapters import table
from adapters.base import AdapterError, Context, Decoded, Rejected
from hub.cli import cli
from mappings import template_files, templates
from mappings.cells import letters
from mappings.sources import KINDS_TAKEN
from schemas import published
from schemas.records import STANDARD_VERSION
from schemas.sports import SPORTS
from schemas.standard import OF_RESIDENTS, STANDARD
from tests.builders import a_city

SOFFICE = shutil.which("soffice")
FIRST = "0.1.0"
LANGUAGES = pytest.mark.parametrize("language", templates.LANGUAGES)
KINDS = pytest.mark.parametrize("kind", KINDS_TAKEN)

FILLED: dict[str, dict[str, Any]] = {
    "session": {"sport": ("太极", "Tai chi"), "end": "2026-05-03 09:40", "elapsed_s": 40, "distance_m": 1500, "hr_avg": 98, "indoor": ("是", "yes")},
    "check-in": {"end": "2026-05-03 10:00", "method": ("刷卡", "Card"), "venue": "二楼"},
    "fitness-test": {"grip-strength": 24.6, "sit-and-reach": -3.5, "grade": ("合格", "Pass")},
    "body-composition": {"body-weight": 63.2, "body-fat": 21.5},
    "vital": {"systolic": 128, "diastolic": 79, "body-temperature": 36.6},
    "venue-occupancy": {"end": "2026-05-03 10:00", "venue": "二楼", "present": 41, "mean": 38.5, "counting": ("人工清点", "By hand")},
}
"""What staff fill in, beside the member number and the start."""
HOLDS: dict[str, list[dict[str, Any]]] = {
    "session": [{"kind": "session", "elapsed_s": 2400, "distance_m": 1500, "hr_avg": 98, "indoor": True}],
    "check-in": [{"kind": "check-in", "venue": "二楼"}],
    "fitness-test": [{"kind": "fitness-test", "items": [
        {"measure": "grip-strength", "value": 24.6, "unit": "kg"}, {"measure": "sit-and-reach", "value": -3.5, "unit": "cm"}]}],
    "body-composition": [{"kind": "body-composition", "quantities": [
        {"measure": "body-weight", "value": 63.2, "unit": "kg"}, {"measure": "body-fat", "value": 21.5, "unit": "%"}]}],
    "venue-occupancy": [{"kind": "venue-occupancy", "venue": "二楼", "present": 41, "mean": 38.5, "counting": "manual"}],
    "vital": [
        {"kind": "vital", "measure": "blood-pressure"},
        {"kind": "vital", "measure": "body-temperature", "quantity": {"measure": "body-temperature", "value": 36.6, "unit": "Cel"}},
    ],
}  # fmt: skip
"""What must come out of it."""


def row_of(kind: str, language: str, version: str = STANDARD_VERSION, **more: Any) -> list[Any]:
    """A row in the order of the template, its first cell empty."""
    values = {"member_number": "A1001", "start": "2026-05-03 09:00", **FILLED.get(kind, {}), **more}
    cells = (values.get(column.field) for column in templates.columns(kind, version))
    return [None, *(cell[language == "en"] if isinstance(cell, tuple) else cell for cell in cells)]


def filled_book(kind: str, language: str, version: str = STANDARD_VERSION, *, row: list[Any] | None = None, at: int = 3) -> bytes:
    """The template's workbook with a row in it, as a spreadsheet program saves it."""
    book = load_workbook(io.BytesIO(template_files.as_workbook(kind, version, language)))
    for place, value in enumerate(row_of(kind, language, version) if row is None else row, 1):
        book.worksheets[0].cell(at, place).value = value
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def filled_csv(kind: str, language: str, version: str = STANDARD_VERSION, *, headers: dict[str, str] | None = None, **more: Any) -> bytes:
    """The template's CSV file with a row in it; `headers`: the template's own to what stands there instead."""
    out = io.StringIO()
    lines = list(csv.reader(io.StringIO(template_files.as_csv(kind, version, language).decode("utf-8-sig"))))
    lines[0] = [(headers or {}).get(header, header) for header in lines[0]]
    csv.writer(out).writerows([*lines, row_of(kind, language, version, **more)])
    return out.getvalue().encode("utf-8-sig")


def rows_of(kind: str, language: str, **more: Any) -> list[list[Any]]:
    """Header row, example row and a row of one's own, as they stand in the CSV file."""
    made = csv.reader(io.StringIO(template_files.as_csv(kind, STANDARD_VERSION, language).decode("utf-8-sig")))
    return [*made, ["" if cell is None else cell for cell in row_of(kind, language, **more)]]


def as_csv(rows: Sequence[Sequence[Any]], charset: str = "utf-8-sig", mark: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=mark).writerows(rows)
    return out.getvalue().encode(charset)


def read(content: bytes) -> list[Decoded | Rejected]:
    return list(table.decode(io.BytesIO(content), Context()))


def holds(content: bytes, kind: str, row: int | None = 3) -> None:
    found = read(content)
    assert all(isinstance(one, Decoded) for one in found), found
    records = [json.loads(msgspec.json.encode(one.record)) for one in found if isinstance(one, Decoded)]
    assert len(records) == len(HOLDS[kind])
    for record, wanted in zip(records, HOLDS[kind], strict=True):
        assert wanted.items() <= record.items()
        assert record["start"]["local"].startswith("2026-05-03T09:00")
    for one in found:
        assert (one.who.member_number if one.who else None) == ("A1001" if kind in OF_RESIDENTS else None)
        assert row is None or one.row == row


# What they hold


@KINDS
@LANGUAGES
def test_a_workbook_has_comments_drop_downs_and_the_codes_explained(kind: str, language: str) -> None:
    english = language == "en"
    book = load_workbook(io.BytesIO(template_files.as_workbook(kind, STANDARD_VERSION, language)))
    sheet, codes, said = book.worksheets
    heads = [cell.value for cell in sheet[1]]
    assert heads[0] == f"{'template' if english else '模板'} {kind} {STANDARD_VERSION}"
    assert all(cell.comment and len(cell.comment.text) > 3 for cell in sheet[1])
    assert sheet.cell(2, 1).value == ("example" if english else "示例")
    lists = {str(rule.sqref) for rule in sheet.data_validations.dataValidation if rule.type == "list"}
    choosing = [column for column in templates.columns(kind, STANDARD_VERSION) if column.choices]
    assert len(lists) == len(choosing)
    assert [cell.value for cell in codes[1]] == [column.header(language) for column in choosing]
    explained = [row[0].value for row in said.iter_rows(min_row=4)]
    assert explained == heads[1:]


def test_a_session_chooses_its_sport_from_the_one_vocabulary_and_bounds_its_heart_rate() -> None:
    book = load_workbook(io.BytesIO(template_files.as_workbook("session", STANDARD_VERSION, "zh-CN")))
    assert {cell.value for cell in book["代码"]["B"][1:] if cell.value} == {sport.zh for sport in SPORTS.values()}
    heads = {cell.value: cell for cell in book.worksheets[0][1]}
    pulse = heads["平均心率(次/分)"]
    assert "可能的数值 20–260" in pulse.comment.text
    (rule,) = [rule for rule in book.worksheets[0].data_validations.dataValidation if str(rule.sqref).startswith(f"{pulse.column_letter}2")]
    assert (rule.type, float(rule.formula1), float(rule.formula2)) == ("decimal", 20, 260)
    assert "必填" in heads["开始时间"].comment.text


@KINDS
def test_every_column_has_a_header_of_its_own_in_both_languages(kind: str) -> None:
    shown = templates.columns(kind, STANDARD_VERSION)
    for language in templates.LANGUAGES:
        assert len({column.header(language) for column in shown}) == len(shown)
    required = {name for name, field in published.current()["kinds"][kind]["fields"].items() if field.get("required")}
    assert {column.field for column in shown if column.required} == required & {column.field for column in shown}
    assert {"start", "member_number" if kind in OF_RESIDENTS else "venue"} <= {column.field for column in shown}


# Sent back


@LANGUAGES
@pytest.mark.parametrize(
    ("kind", "version"),
    [(kind, version) for version in dict.fromkeys((FIRST, STANDARD_VERSION)) for kind in KINDS_TAKEN if kind in published.release(version)["kinds"]],
)
def test_a_filled_template_is_read_in_every_version_and_language(kind: str, language: str, version: str) -> None:
    holds(filled_book(kind, language, version), kind)
    holds(filled_csv(kind, language, version), kind)


def test_the_example_row_is_passed_over_and_alone_it_is_politely_refused() -> None:
    for kind in KINDS_TAKEN:
        for language in templates.LANGUAGES:
            for content in (template_files.as_workbook(kind, STANDARD_VERSION, language), template_files.as_csv(kind, STANDARD_VERSION, language)):
                with pytest.raises(AdapterError, match="its example row only") as refused:
                    read(content)
                assert refused.value.code == "only-example"


def test_a_row_written_over_the_example_is_not_lost_silently() -> None:
    own = row_of("session", "zh-CN")
    (found,) = read(filled_book("session", "zh-CN", row=["示例", *own[1:]], at=2))
    assert isinstance(found, Rejected)
    assert (found.code, found.cell, found.row) == ("example", "A2", 2)
    example = templates.example_row("session", STANDARD_VERSION, "zh-CN")
    (found,) = read(filled_book("session", "zh-CN", row=[None, *example[1:]], at=2))
    assert isinstance(found, Rejected)
    assert found.code == "example"


def test_typed_dates_and_numbers_of_a_spreadsheet_are_read() -> None:
    row = row_of("session", "en", start=datetime(2026, 5, 3, 9, 0), end=datetime(2026, 5, 3, 9, 40), hr_avg=98.0)  # noqa: DTZ001
    holds(filled_book("session", "en", row=row), "session")


@pytest.mark.parametrize(
    ("old", "new", "cell", "hint"),
    [("距离(米)", "路程", "Q1", "距离(米)"), ("平均心率(次/分)", "平均心律(次/分)", "U1", "平均心率"), ("距离(米)", "距离(kg)", "Q1", "距离(米)")],
)
def test_a_renamed_column_is_named_with_its_cell(old: str, new: str, cell: str, hint: str) -> None:
    with pytest.raises(AdapterError, match=rf"^{cell} is not a column of the template session") as refused:
        read(filled_csv("session", "zh-CN", headers={old: new}))
    assert (refused.value.code, refused.value.field) == ("template-header", cell)
    assert hint in refused.value.advice
    assert new not in refused.value.message


@LANGUAGES
@KINDS
def test_a_column_that_stands_twice_and_one_that_is_strange_are_told_apart(kind: str, language: str) -> None:
    rows = rows_of(kind, language)
    with pytest.raises(AdapterError) as refused:
        read(as_csv([[*row, row[8]] for row in rows]))
    last = letters(len(rows[0]))
    assert (refused.value.code, refused.value.field) == ("template-header", f"{last}1")
    assert refused.value.message.startswith(f"{last}1 is the same column")
    assert "as I1." in refused.value.message
    with pytest.raises(AdapterError, match=rf"^{last}1 is not a column of the template {kind}") as refused:
        read(as_csv([[*rows[0], "教练评语"], *([*row, "很好"] for row in rows[1:])]))
    assert "Was it" not in refused.value.advice


@KINDS
@LANGUAGES
def test_a_template_without_its_mark_is_not_taken_for_another_table(kind: str, language: str) -> None:
    """As another table it would lose columns, and the invented person of its example would have exercised."""
    rows = rows_of(kind, language)
    for spoilt in ([row[1:] for row in rows], [["", *rows[0][1:]], *rows[1:]], [["模版", *rows[0][1:]], *rows[1:]], [row[1:9] + row[10:] for row in rows]):
        with pytest.raises(AdapterError) as refused:
            read(as_csv(spoilt))
        assert (refused.value.code, refused.value.field, refused.value.row) == ("template-mark", "A1", 1)
        assert templates.mark_header(kind, STANDARD_VERSION, language) in refused.value.advice


def test_the_invented_person_of_the_example_is_nobody_in_a_table_of_a_centre_either() -> None:
    found = read("会员号,项目,开始时间\n示例-0001,健走,2026-05-01 08:00\nA1001,健走,2026-05-03 09:00\n".encode())
    assert [type(one) for one in found] == [Rejected, Decoded]
    assert isinstance(found[0], Rejected)
    assert (found[0].code, found[0].cell) == ("example", "A2")


@LANGUAGES
def test_rows_and_columns_in_another_order_and_headers_that_stand_again_are_read(language: str) -> None:
    head, example, own = rows_of("session", language)
    translated = rows_of("session", next(other for other in templates.LANGUAGES if other != language))[0]
    holds(as_csv([row[::-1] for row in (head, example, own)]), "session")
    holds(as_csv([head, head, example, own]), "session", row=4)
    holds(as_csv([head, translated, example, own]), "session", row=4)
    assert len(read(as_csv([head, own, head, own]))) == 2
    without = [[cell for place, cell in enumerate(row) if place != 1] for row in (head, example, own)]
    (found,) = read(as_csv(without))
    assert isinstance(found, Decoded)
    with pytest.raises(AdapterError, match="Another table begins at A4") as refused:
        read(as_csv([head, example, own, rows_of("vital", language)[0], own]))
    assert (refused.value.code, refused.value.row) == ("template-again", 4)
    with pytest.raises(AdapterError, match="Another table begins at A4"):
        read(as_csv([head, example, own, [head[0], head[2], head[1], *head[3:]], own]))


@pytest.mark.parametrize(
    ("charset", "mark", "before"),
    [
        ("gb18030", ",", b""), ("gb18030", ";", b""), ("utf-8-sig", ";", b""), ("utf-8-sig", ",", b"\xef\xbb\xbf"), ("utf-16", "\t", b""),
        ("utf-8", ",", b"sep=,\r\n"),
    ],
)
def test_a_filled_template_is_read_in_what_spreadsheets_save_as_csv(charset: str, mark: str, before: bytes) -> None:
    rows = rows_of("session", "zh-CN", distance_m="１５００", start="２０２６／５／３　９：００")
    holds(before + as_csv(rows, charset, mark), "session", row=None)


def test_a_workbook_names_the_sheet_of_a_wrong_header_and_says_when_its_headers_are_gone() -> None:
    def spoilt(change: Callable[[Workbook], object]) -> AdapterError:
        book = load_workbook(io.BytesIO(filled_book("session", "zh-CN")))
        change(book)
        out = io.BytesIO()
        book.save(out)
        with pytest.raises(AdapterError) as refused:
            read(out.getvalue())
        return refused.value

    def second(book: Workbook) -> None:
        again = book.copy_worksheet(book.worksheets[0])
        again.title, again["Q1"] = "六月", "路程"

    assert (found := spoilt(second)).field == "六月!Q1", found
    for change in (lambda book: book.worksheets[0].delete_rows(1), lambda book: book.worksheets[0].insert_rows(1, 12)):
        assert spoilt(change).code == "template-headers"
    assert spoilt(lambda book: book.worksheets[0].delete_cols(1)).code == "template-mark"


def test_a_serial_number_for_a_date_is_named_with_its_cell() -> None:
    row = row_of("session", "zh-CN")
    for serial in (46145, 46145.375):
        row[8] = serial
        (found,) = read(filled_book("session", "zh-CN", row=row))
        assert isinstance(found, Rejected)
        assert (found.cell, found.code, found.advice) == ("I3", "time", "Format the column as date and time.")


def test_a_missing_column_is_named() -> None:
    with pytest.raises(AdapterError, match=r"lacks a column of the template session .*: 开始时间 / Start") as refused:
        read(filled_csv("session", "zh-CN", headers={"开始时间": ""}))
    assert (refused.value.code, refused.value.row) == ("template-column", 1)


def test_columns_that_are_not_needed_may_be_left_out_and_a_unit_changed() -> None:
    holds(filled_csv("session", "zh-CN", headers={"备注": "", "距离(米)": "距离(公里)"}, distance_m=1.5), "session")
    with pytest.raises(AdapterError, match="is not a column"):
        read(filled_csv("vital", "zh-CN", headers={"末梢血糖(mmol/L)": "末梢血糖(kPa)"}))


def test_a_measure_that_the_template_does_not_show_may_be_added_as_a_column() -> None:
    (found,) = read(filled_csv("fitness-test", "zh-CN", FIRST, headers={"备注": "体温(℃)", "握力(kg)": "", "坐位体前屈(cm)": ""}, note=36.6))
    assert isinstance(found, Decoded), found
    assert [one["measure"] for one in json.loads(msgspec.json.encode(found.record))["items"]] == ["body-temperature"]


@pytest.mark.parametrize("mark", ["模板 session 9.9.9", "template dance 0.1.0"])
def test_a_template_that_is_not_known_is_refused(mark: str) -> None:
    with pytest.raises(AdapterError, match="not known here") as refused:
        read(filled_csv("session", "zh-CN", headers={f"模板 session {STANDARD_VERSION}": mark}))
    assert (refused.value.code, refused.value.field) == ("template", "A1")


def test_a_template_under_a_title_is_found() -> None:
    content = "殷行社区,五月\n".encode() + filled_csv("session", "zh-CN").removeprefix(b"\xef\xbb\xbf")
    holds(content, "session", row=4)


def test_a_file_without_the_mark_is_read_by_its_centres_layout_as_before() -> None:
    book = Workbook()
    for row in (["会员号", "项目", "开始时间"], ["A1001", "健走", "2026-05-03 09:00"]):
        book.worksheets[0].append(row)
    out = io.BytesIO()
    book.save(out)
    (found,) = read(out.getvalue())
    assert isinstance(found, Decoded)


# Over HTTP


def test_filled_templates_of_two_versions_are_stored_over_http(hub_url: str, tmp_path: Path) -> None:
    """The mean cadence was renamed between the two: the same person's rows arrive in both."""
    assert templates.columns("session", FIRST) != templates.columns("session", STANDARD_VERSION)

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("殷行中心", "fitness-center")
            resident = await city.resident(members=[(center, "A1001")])
            for number, version in enumerate((FIRST, STANDARD_VERSION), 3):
                content = filled_csv("session", "zh-CN", version, start=f"2026-05-0{number} 09:00", end=f"2026-05-0{number} 09:40", cadence_avg=90)
                answer = await city.upload(center, content, format_="auto", filename="五月.csv")
                assert answer.status_code == 201, answer.text
                (record,) = answer.json()["records"]
                assert (record["resident_id"], record["facts"]["cadence_avg"]) == (str(resident), 90)
            for kind in set(KINDS_TAKEN) & set(OF_RESIDENTS):
                answer = await city.upload(center, filled_book(kind, "en"), format_="table")
                assert answer.status_code in (200, 201), answer.text
            answer = await city.upload(center, filled_csv("session", "zh-CN", headers={"距离(米)": "路程"}), format_="auto")
            problem = answer.json()
            assert (answer.status_code, problem["code"], problem["field"]) == (422, "template-header", "Q1")
            for content, code in ((as_csv([row[1:] for row in rows_of("session", "zh-CN")]), "template-mark"), (b"\r\n", "empty-file")):
                answer = await city.upload(center, content, format_="auto", filename="五月.csv")
                assert (answer.status_code, answer.json()["code"]) == (422, code)
            nobody = filled_csv("session", "zh-CN", headers={"会员号": ""}, start="2026-05-06 09:00", end="2026-05-06 09:40")
            answer = await city.upload(center, nobody, format_="auto", filename="五月.csv")
            (waiting,) = answer.json()["pending"]
            assert (answer.status_code, waiting["reason"], waiting["row"]) == (207, "no-identifier", 3)

    asyncio.run(work())


def test_the_command_writes_each_form(tmp_path: Path) -> None:
    for name, language in (("a.xlsx", "zh-CN"), ("b.csv", "en")):
        done = CliRunner().invoke(cli, ["standard", "template", "session", str(tmp_path / name), "--lang", language], catch_exceptions=False)
        assert done.exit_code == 0
        with pytest.raises(AdapterError, match="example row only"):
            read((tmp_path / name).read_bytes())
    assert CliRunner().invoke(cli, ["standard", "template", "dance", "x.csv"]).exit_code == 2
    assert CliRunner().invoke(cli, ["standard", "template", "session", "x.pdf"]).exit_code == 1


# Through LibreOffice

UTF8 = "Text - txt - csv (StarCalc):44,34,76"
"""Commas, double quotes, UTF-8."""


def converted(content: bytes, folder: Path, *, was: str, to: str) -> bytes:
    """A file as LibreOffice opens it and saves it again."""
    source = folder / f"in.{was}"
    source.write_bytes(content)
    profile = f"-env:UserInstallation=file://{folder}/profile"
    ending = to.partition(":")[0]
    reading = [f"--infilter={UTF8}"] if was == "csv" else []
    line = [str(SOFFICE), profile, "--headless", *reading, "--convert-to", to, "--outdir", str(folder / "out"), str(source)]
    subprocess.run(line, check=True, capture_output=True)
    return (folder / "out" / f"in.{ending}").read_bytes()


@pytest.mark.skipif(SOFFICE is None, reason="LibreOffice is not installed: apt-get install --no-install-recommends libreoffice-calc-nogui")
def test_libreoffice_opens_and_saves_a_filled_template_that_is_then_read(tmp_path: Path) -> None:
    kind = "session"
    content = filled_book(kind, "zh-CN", row=row_of(kind, "zh-CN", distance_m="=1000+500", note='=IF(1=1,"","x")'))
    saved = converted(content, tmp_path, was="xlsx", to="ods")
    again = converted(saved, tmp_path, was="ods", to="xlsx")
    holds(again, kind)
    sheet = load_workbook(io.BytesIO(again)).worksheets[0]
    assert any(rule.type == "list" for rule in sheet.data_validations.dataValidation)
    assert sheet.cell(1, 2).comment
    holds(converted(again, tmp_path, was="xlsx", to=f"csv:{UTF8}"), kind)
    assert STANDARD[kind].zh == sheet.title


@pytest.mark.skipif(SOFFICE is None, reason="LibreOffice is not installed: apt-get install --no-install-recommends libreoffice-calc-nogui")
def test_libreoffice_opens_the_csv_template_and_saves_a_workbook_that_is_then_read(tmp_path: Path) -> None:
    holds(converted(filled_csv("session", "zh-CN"), tmp_path, was="csv", to="xlsx"), "session")


def test_a_formula_that_was_never_computed_is_named_and_not_taken_for_an_empty_cell() -> None:
    """A program that is no spreadsheet writes formulas without their values."""
    row = row_of("session", "zh-CN", distance_m="=1000+500")
    (found,) = read(filled_book("session", "zh-CN", row=row))
    assert isinstance(found, Rejected)
    assert (found.code, found.cell, found.field) == ("formula", "Q3", "distance_m")
    holds(filled_book("session", "zh-CN", row=[*row_of("session", "zh-CN"), "=1+1"]), "session")
