"""The standard's own short code lists, read once from `codes.csv`: what FHIR faces write and no standard has a code for.

Measures, sports, data classes and quality flags have tables of their own. A code is never renamed or given another meaning:
resources that carry it are sealed.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.lines import lines

CODE_SYSTEMS: Final = "https://kinehub.org/fhir/CodeSystem/"
RECORD: Final = CODE_SYSTEMS + "record"
PARTY_KIND: Final = CODE_SYSTEMS + "party-kind"
SEX: Final = "urn:oid:2.16.156.10011.2.3.3.4"
"""GB/T 2261.1; a national system, of which the whole list is repeated here."""
SEX_VERSION: Final = "2003"


class Code(NamedTuple):
    """One row of `codes.csv`."""

    code: str
    zh: str
    en: str
    definition: str


def _read() -> dict[str, dict[str, Code]]:
    found: dict[str, dict[str, Code]] = {}
    for row in lines("codes.csv"):
        found.setdefault(row["list"], {})[row["code"]] = Code(row["code"], row["zh"], row["en"], row["definition"])
    return found


LISTS: Final[dict[str, dict[str, Code]]] = _read()
"""List (`record`, `party-kind` …) to its codes, in the order of the table."""
