"""A table as it came, with columns added that say of each row what is wrong: to mend it, and to send it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from adapters import table
from adapters.base import Limits
from adapters.table import Found
from mappings.cells import Cell, is_blank

Note = Callable[[int, bytes], Sequence[str]]
"""What to write beside a row, by its number and its own cells (`table.original`); empty where nothing is wrong."""


def sheets(content: bytes, heads: Sequence[str], note: Note, limits: Limits | None = None) -> list[tuple[str, list[list[Cell]]]]:
    """Every sheet that is read, by name, with `heads` beside its headers. Columns of that name from an earlier time are left out.

    Raises AdapterError for what is not a table.
    """
    workbook = content.startswith(table.ZIP)
    first, again = ((table.workbook_sheets(content, limits or Limits()) if workbook else [table.csv_sheet(content)]) for _ in range(2))
    return [(found.sheet.name, list(_rows(found, _width(again_found), heads, note))) for found, again_found in zip(first, again, strict=True)]


def _width(found: Found) -> int:
    return max(map(len, _written(chain([found.headers], found.sheet.rows))))


def _written(rows: Iterable[Sequence[Cell]]) -> Iterator[Sequence[Cell]]:
    """Rows with something in them and the blank ones between; the blank ones after the last are let go."""
    blank: Sequence[Cell] = ()
    waiting = 0
    for cells in rows:
        if cells is blank or all(map(is_blank, cells)):
            blank, waiting = cells, waiting + 1
            continue
        yield from [[]] * waiting
        waiting = 0
        yield cells


def _rows(found: Found, width: int, heads: Sequence[str], note: Note) -> Iterator[list[Cell]]:
    yield from map(list, found.before)
    old = {position for position, header in enumerate(found.headers) if header in heads}
    yield _beside(found.headers, width, old, heads)
    for number, cells in enumerate(_written(found.sheet.rows), found.row + 1):
        yield _beside(cells, width, old, note(number, table.original(found.headers, cells[: Limits().columns])) if cells else ())


def _beside(cells: Sequence[Cell], width: int, old: set[int], added: Sequence[str]) -> list[Cell]:
    kept = [cell for position, cell in enumerate(cells) if position not in old]
    return [*kept, *[None] * (width - len(old) - len(kept)), *added] if added else kept
