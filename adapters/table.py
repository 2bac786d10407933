"""Tables of fitness centres, gyms, test days and stations: CSV and XLSX, read by the layouts of `mappings/sources/`.

What lives here is the file: its encoding, delimiter, sheets, limits and where its header row is. What its columns mean is
the layout's, chosen by the headers. Every sheet that fits a layout is read; a cell is named as staff see it (`E7`, with the
sheet when there are several). Adapters know `schemas` only, but this one also the compiled layouts of `mappings.sources`.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain, islice
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from adapters.base import AdapterError, Context, Decoded, Limits, Rejected, TooLarge
from adapters.elements import read
from mappings import sources, templates
from mappings.cells import Cell, Uncomputed, address, is_blank, letters
from mappings.sources import Placed

id = "table"
title = ("表格（CSV、Excel）", "Tables (CSV, Excel)")
version = "1"
extensions = (".xlsx", ".csv")
emits = frozenset(sources.KINDS_TAKEN)

HEADER_ROWS: Final = 10
"""Headers stand within so many rows, under a title or notes."""
LEAST_COLUMNS: Final = 2
"""So many headers must be known before a row is taken for a header row."""
_DELIMITERS: Final = ",;\t|"
ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_ENTRIES: Final = 2_000
_RATIO: Final = 100
_SMALL: Final = 1024 * 1024
"""Entries up to this size are not judged by their ratio: empty styles compress well."""
_TAGS: Final = 2_000_000
"""So many tags one part of a workbook may hold in memory; a sheet is let go row by row."""
_ROW_TAGS: Final = 200_000
_LAST_ROW: Final = 1_048_576
_LINE: Final = 512 * 1024
"""The longest line of a CSV file, in characters."""
_TEXT: Final = 1024 * 1024
"""The longest text between two tags, in bytes."""
_FORMULA: Final = re.compile(rb"<(?:\w{1,9}:)?f[ />]")
_ROW = re.compile(rb"<(/?)(?:[\w.-]+:)?row(?:\s[^<>]*?)?(/?)>")


class Sheet(NamedTuple):
    """Rows of cells; `name` is empty for CSV."""

    name: str
    rows: Iterator[Sequence[Cell]]


class Book(NamedTuple):
    """A workbook by its values and, where it has formulas, by these: a value that no program has computed is not there."""

    values: Any
    formulas: Any


class Found(NamedTuple):
    """A sheet whose headers stand in `row`, under what stands `before` them."""

    sheet: Sheet
    placed: Placed
    headers: Sequence[Cell]
    row: int
    before: Sequence[Sequence[Cell]]


def __getattr__(name: str) -> bytes:
    """`sample`: a workbook with one sheet for each layout, made when it is asked for."""
    if name == "sample":
        return _sample()
    raise AttributeError(name)


@cache
def _sample() -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.worksheets[0])
    for layout in sources.layouts():
        sheet = book.create_sheet(layout.id)
        example = next(example["row"] for example in layout.examples if "gives" in example)
        sheet.append(list(example))
        sheet.append(list(example.values()))
    book.properties.created = book.properties.modified = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def recognises(head: bytes, filename: str | None) -> bool:
    ending = (filename or "").lower().rpartition(".")[2]
    if head.startswith(ZIP):
        return ending == "xlsx" or b"[Content_Types].xml" in head or b"xl/" in head
    if head.startswith(_OLE):
        return True
    return ending == "csv" or _has_headers(head)


def _has_headers(head: bytes) -> bool:
    if b"\0" in head or head.lstrip()[:1] in (b"<", b"{", b"["):
        return False
    for charset in ("utf-8-sig", "gb18030"):
        try:
            text = codecs.getincrementaldecoder(charset)().decode(head)
        except UnicodeDecodeError:
            continue
        try:
            return any(best.at and not best.missing for best, _ in (_best(_split(text, mark), "") for mark in _DELIMITERS) if best)
        except AdapterError:
            return True
    return False


def decode(stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]:
    content = read(stream, context.limits.bytes)
    if content.startswith(_OLE):
        raise AdapterError("The file is an old .xls or a workbook with a password.", code="workbook", advice="Save it as .xlsx without a password.")
    if content.startswith(ZIP):
        return _workbook(content, context.limits)
    return _csv(content, context.limits)


# --- files to sheets -----------------------------------------------------------------------------------------------------


def _csv(content: bytes, limits: Limits) -> Iterator[Decoded | Rejected]:
    return _rows([csv_sheet(content)], limits)


def csv_sheet(content: bytes) -> Found:
    """The one sheet of a CSV file, its rows those after the header row. Raises AdapterError."""
    charset = _charset(content)
    attempts = [_best(_split_stream(content, charset, mark), "") for mark in _DELIMITERS]
    place, row = max(attempts, key=lambda found: _rank(found[0]))
    mark = _DELIMITERS[attempts.index((place, row))]
    if place is None or place.missing:
        raise _fits_none([found for found, _ in attempts])
    rows = _split_stream(content, charset, mark)
    before = list(islice(rows, row - 1))
    return Found(Sheet("", rows), place, next(rows), row, before)


def _charset(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in content:
        raise AdapterError("The file is not a text table: it holds NUL bytes.", code="not-a-table", advice="Save it as CSV (UTF-8) or .xlsx.")
    for charset in ("utf-8", "gb18030"):
        if _decodes(content, charset):
            return charset
    raise AdapterError("The text is neither UTF-8 nor GB 18030.", code="charset", advice="Save it as CSV (UTF-8) or .xlsx.")


def _decodes(content: bytes, charset: str) -> bool:
    decoder = codecs.getincrementaldecoder(charset)()
    try:
        for start in range(0, len(content), 1 << 16):
            decoder.decode(content[start : start + (1 << 16)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _split_stream(content: bytes, charset: str, mark: str) -> Iterator[list[str]]:
    return _reader(io.TextIOWrapper(io.BytesIO(content), charset, newline=""), mark)


def _split(text: str, mark: str) -> Iterator[list[str]]:
    return _reader(io.StringIO(text, newline=""), mark)


def _reader(lines: Iterable[str], mark: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(_short(lines), delimiter=mark)
    except csv.Error as wrong:
        if "field larger" in str(wrong):
            raise TooLarge("A cell is larger than 128 KiB.", code="too-large", advice="Check for an unclosed quote, or shorten it.") from None
        raise AdapterError("The file is not a CSV table.", code="not-a-table", advice="Save it as CSV (UTF-8) or .xlsx.") from None
    except UnicodeError:
        raise AdapterError("The text is damaged.", code="charset", advice="Save it as CSV (UTF-8) or .xlsx.") from None


def _short(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if len(line) > _LINE:
            raise TooLarge("A line is too long for a table.", advice="Save it as CSV with one row a line.")
        yield line


def _workbook(content: bytes, limits: Limits) -> Iterator[Decoded | Rejected]:
    return _rows(workbook_sheets(content, limits), limits)


def workbook_sheets(content: bytes, limits: Limits) -> list[Found]:
    """The sheets of a workbook that fit a layout. Raises AdapterError, TooLarge."""
    _guard(content, limits)
    try:
        from openpyxl import load_workbook

        values = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        book = Book(values, load_workbook(io.BytesIO(content), read_only=True, keep_links=False) if _has_formulas(content) else None)
        names, mark = [sheet.title for sheet in values.worksheets], templates.stated([values.properties.title])
    except Exception:
        raise _unreadable() from None
    found = [_located(book, name, limits) for name in names[:50]]
    fitting = [each for each in found if isinstance(each, Found)]
    if not fitting and mark:
        raise templates.without_headers(mark, HEADER_ROWS)
    if not fitting:
        raise _fits_none([each for each in found if not isinstance(each, Found)])
    return fitting


def _unreadable() -> AdapterError:
    return AdapterError("The workbook cannot be read.", code="workbook", advice="Open it, save it again as .xlsx, and send that.")


def _has_formulas(content: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return any(_holds_formula(archive, name) for name in archive.namelist() if name.startswith("xl/worksheets/"))


def _holds_formula(archive: zipfile.ZipFile, name: str) -> bool:
    tail = b""
    with archive.open(name) as part:
        while chunk := part.read(1 << 18):
            if _FORMULA.search(tail + chunk):
                return True
            tail = chunk[-20:]
    return False


def _located(book: Book, name: str, limits: Limits) -> Found | Placed | None:
    try:
        placed, row = _best(_sheet_rows(book, name, limits.columns), name)
    except AdapterError as wrong:
        raise _in_sheet(wrong, name, len(book.values.worksheets)) from None
    if placed is None or placed.missing:
        return placed
    width = max(position for position, header in enumerate(next(islice(_sheet_rows(book, name, limits.columns), row - 1, None))) if header) + 1
    rows = _sheet_rows(book, name, width)
    before = list(islice(rows, row - 1))
    return Found(Sheet(name, rows), placed, next(rows), row, before)


def _in_sheet(wrong: AdapterError, name: str, sheets: int) -> AdapterError:
    """The same error about a template, its place with the sheet where there are several."""
    if sheets > 1 and wrong.code.startswith("template"):
        wrong.field = f"{name}!{wrong.field}"
    return wrong


def _sheet_rows(book: Book, name: str, width: int) -> Iterator[Sequence[Cell]]:
    """Rows of so many cells. The size a sheet states is not believed: a lone cell at XFD1048576 must cost little."""
    try:
        if book.formulas is None:
            yield from book.values[name].iter_rows(min_row=1, max_row=_LAST_ROW, max_col=width, values_only=True)
        else:
            both = (each[name].iter_rows(min_row=1, max_row=_LAST_ROW, max_col=width) for each in book)
            yield from ([_computed(*cells) for cells in zip(*rows, strict=True)] for rows in zip(*both, strict=True))
    except Exception:
        raise _unreadable() from None


def _computed(shown: Any, formula: Any) -> Cell:
    """A cell's value. A formula that gives an empty text says so by its type (`str`); any other without a value was never computed."""
    is_lost = formula.data_type == "f" and shown.value is None and shown.data_type != "str"
    return Uncomputed("=") if is_lost else shown.value


def _guard(content: bytes, limits: Limits) -> None:
    """Refuses a workbook that has a password, or that unfolds to more than it may, before anything of it is held in memory."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entries = archive.infolist()
        if any(entry.flag_bits & 1 for entry in entries):
            raise AdapterError("The workbook has a password.", code="workbook", advice="Save it without a password.")
        if len({entry.filename for entry in entries}) != len(entries) or any(_escapes(entry.filename) for entry in entries):
            raise _unreadable()
        if len(entries) > _ENTRIES or sum(entry.file_size for entry in entries) > limits.expanded_bytes or any(map(_unfolds, entries)):
            raise _too_large()
        if any(_is_bomb(archive, entry) for entry in entries if entry.filename.endswith((".xml", ".rels"))):
            raise _too_large()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError, zlib.error):
        raise _unreadable() from None


def _too_large() -> TooLarge:
    return TooLarge("The workbook unfolds to more than it may.", advice="Save only the sheet with the list, and send that.")


def _escapes(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/")


def _unfolds(entry: zipfile.ZipInfo) -> bool:
    return entry.file_size > _SMALL and entry.file_size > _RATIO * max(entry.compress_size, 1)


def _is_bomb(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """Whether a part would be held in memory with too many tags: inside one row of a sheet, or in all where rows cannot be told."""
    total = inside = depth = 0
    told, tail = True, b""
    with archive.open(entry) as part:
        while chunk := part.read(1 << 18):
            text, mark, rest = (tail + chunk).rpartition(b"<")
            tail = mark + rest
            told = told and b"<!" not in text + tail[:2]
            total += text.count(b"<")
            inside, depth = _since_row(text, inside, depth)
            if len(tail) > _TEXT or (total > _TAGS and (inside > _ROW_TAGS or not told)):
                return True
    return False


def _since_row(text: bytes, inside: int, depth: int) -> tuple[int, int]:
    """How many tags stand after the last complete row, and how deep in rows the text ends (rows may be nested to deceive)."""
    end = 0
    for found in _ROW.finditer(text):
        depth += -1 if found[1] else 0 if found[2] else 1
        if depth <= 0:
            end, inside = found.end(), 0
    return inside + text.count(b"<", end), max(depth, 0)


# --- headers -------------------------------------------------------------------------------------------------------------


def _rank(placed: Placed | None) -> tuple[bool, int]:
    return (False, 0) if placed is None else (not placed.missing, len(placed.at))


def _best(rows: Iterator[Sequence[Cell]], hint: str) -> tuple[Placed | None, int]:
    """The template that the first rows name, or the layout that fits them best, and the number of its header row.

    Raises AdapterError for a template with other columns than its own.
    """
    first = list(islice(rows, HEADER_ROWS))
    for number, row in enumerate(first, 1):
        if (mark := templates.stated(row)) is not None:
            return templates.place(mark, row, number), number
        if (lost := templates.unmarked(row)) is not None:
            raise templates.not_marked(lost, number)
    candidates = [
        (placed, number)
        for number, row in enumerate(first, 1)
        for placed in (sources.place(layout, row) for layout in sources.layouts())
        if len(placed.at) >= LEAST_COLUMNS
    ]
    return max(candidates, key=lambda found: (*_rank(found[0]), found[0].layout.id == hint, -found[1]), default=(None, 0))


def _fits_none(attempts: Iterable[Placed | None]) -> AdapterError:
    near = sorted((placed for placed in attempts if placed), key=lambda placed: (-len(placed.at), len(placed.missing)))
    advice = "Use the headers of a template, or send the layout of your table to have it added."
    if not near:
        names = "; ".join(layout.title[0] for layout in sources.layouts())
        return AdapterError(f"No header row was found in the first {HEADER_ROWS} rows. Layouts: {names}.", code="headers", advice=advice)
    lacking = ", ".join(" / ".join(column.headers[:3]) for column in near[0].missing)
    return AdapterError(f"No layout fits the headers. The closest, {near[0].layout.title[0]}, lacks: {lacking}.", code="headers", advice=advice)


# --- rows ----------------------------------------------------------------------------------------------------------------


def _rows(found: list[Found], limits: Limits) -> Iterator[Decoded | Rejected]:
    taken = examples = 0
    for each in found:
        blank: Sequence[Cell] = ()
        mark = templates.stated(each.headers)
        for number, cells in enumerate(each.sheet.rows, each.row + 1):
            if cells is blank or all(is_blank(cell) for cell in cells):
                blank = cells
                continue
            if mark and templates.is_header_again(mark, each.placed, cells, number):
                continue
            if mark and templates.is_example(mark, each.placed, cells):
                examples += 1
                continue
            taken += 1
            if taken > limits.rows:
                raise TooLarge(f"The table has more than {limits.rows} rows.", advice="Split it and send the parts one by one.")
            if templates.is_half_example(mark, each.placed, cells):
                yield _half_example(each, mark, number, cells, several=len(found) > 1)
            else:
                yield from _row(each, number, cells[: limits.columns], several=len(found) > 1)
    if not taken and examples:
        raise AdapterError("The template holds its example row only.", code="only-example", advice="Fill in your own rows below it.")
    if not taken:
        raise AdapterError("The table has headers and no rows.", code="empty-file", advice="Fill in at least one row.")


def _row(found: Found, number: int, cells: Sequence[Cell], *, several: bool) -> Iterator[Decoded | Rejected]:
    filled = sources.fill(found.placed, cells)
    row, sheet = original(found.headers, cells), found.sheet.name if several else ""
    for record in filled.records:
        yield Decoded(record, filled.who, number, original=row, cell=_address(min(_naming(found.placed), default=None), number, sheet))
    for fault in filled.faults:
        yield Rejected(number, fault.field, fault.code, fault.message, fault.advice, _address(fault.position, number, sheet), filled.who, row)


def _half_example(found: Found, mark: templates.Mark | None, number: int, cells: Sequence[Cell], *, several: bool) -> Rejected:
    """A row of one's own written over the example, or the example without its mark: it is not guessed which."""
    where = _address(mark.position if mark else min(_naming(found.placed)), number, found.sheet.name if several else "")
    advice = f"For a row of your own,{' empty this cell and' if mark else ''} give the person's own number; else delete the row."
    return Rejected(number, "", "example", "The row is half the template's example.", advice, where, None, original(found.headers, cells))


def _naming(placed: Placed) -> Iterator[int]:
    return (position for position, column in placed.at.items() if column.part == "who")


def _address(position: int | None, number: int, sheet: str) -> str | None:
    if position is None:
        return None
    name = address(position, number)
    return f"{sheet}!{name}" if sheet else name


def original(headers: Sequence[Cell], cells: Sequence[Cell]) -> bytes:
    """The row's own cells, each by its header, or by its letters where the header is blank or stands twice."""
    row: dict[str, Cell] = {}
    for position, cell in enumerate(cells):
        if cell is None or cell == "":
            continue
        header = str(headers[position]).strip() if position < len(headers) and headers[position] is not None else ""
        row[header if header and header not in row else letters(position)] = cell
    try:
        return msgspec.json.encode(row)
    except (UnicodeEncodeError, TypeError, ValueError):
        return msgspec.json.encode({key: str(cell).encode("utf-8", "replace").decode() for key, cell in chain(row.items())})
