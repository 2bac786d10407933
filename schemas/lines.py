"""The standard's tables, line by line: what is wrong in one is said with its file and line when the program starts."""

from __future__ import annotations

import csv
from collections.abc import Container, Iterator
from importlib.resources import files

from schemas.errors import MappingError
from schemas.r4.ucum import is_unit


class Line(dict[str, str]):
    """One row of a table, by column, and where it stands."""

    file: str = ""
    place: int = 0

    def wrong(self, message: str, column: str) -> MappingError:
        """The error to raise about a cell."""
        return MappingError(f"{self.file}:{self.place}: {column}: {message}", field=column)

    def number(self, column: str) -> float | None:
        """A number; None where the cell is empty. Raises MappingError."""
        try:
            return float(self[column]) if self[column] else None
        except ValueError:
            raise self.wrong(f"{self[column]!r} is not a number", column) from None

    def one_of(self, column: str, known: Container[str]) -> str:
        """A word of a closed list. Raises MappingError."""
        if self[column] not in known:
            raise self.wrong(f"{self[column]!r} is not known", column)
        return self[column]

    def unit(self, column: str) -> str:
        """A UCUM unit, or nothing. Raises MappingError."""
        if self[column] and not is_unit(self[column]):
            raise self.wrong(f"{self[column]!r} is not a unit of UCUM", column)
        return self[column]


def lines(name: str) -> Iterator[Line]:
    """The rows of a table. Raises MappingError for a table that is not there and a row with cells too many or too few."""
    path = files("schemas").joinpath(name)
    if not path.is_file():
        raise MappingError(f"{name}: the table is not there", field=name)
    with path.open(encoding="utf-8") as text:
        reader = csv.DictReader(text)
        for row in reader:
            line = Line(row)
            line.file, line.place = name, reader.line_num
            if None in line or None in line.values():
                raise MappingError(f"{name}:{line.place}: the row does not have the {len(reader.fieldnames or ())} cells of its header")
            yield line
