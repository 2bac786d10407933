"""The measures of the unified data standard, read once from `measures.csv`: codes, units, classes, plausibility.

Sources stand in the last column; `(verify)` marks a code not yet seen in its own release.
"""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import NamedTuple

from schemas.classes import CODES, DataClass

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
MDC = "urn:iso:std:iso:11073:10101"
LOCAL = "https://kinehub.org/fhir/CodeSystem/measure"
WST363 = "urn:oid:2.16.156.10011.2.2.1"


class Measure(NamedTuple):
    """One row of `measures.csv`. `low`..`high` is usual (outside: flag `implausible`), `reject_*` possible (outside: refused)."""

    key: str
    zh: str
    en: str
    loinc: tuple[str, ...]
    mdc: tuple[str, ...]
    unit: str
    category: str
    data_class: DataClass
    low: float | None
    high: float | None
    reject_low: float | None
    reject_high: float | None
    wst363: str
    source: str


def _number(text: str) -> float | None:
    return float(text) if text else None


def _read() -> dict[str, Measure]:
    with files("schemas").joinpath("measures.csv").open(encoding="utf-8") as lines:
        return {
            row["measure"]: Measure(
                row["measure"],
                row["zh"],
                row["en"],
                tuple(row["loinc"].split()),
                tuple(row["mdc"].split()),
                row["unit"],
                row["category"],
                CODES[row["data_class"]],
                _number(row["low"]),
                _number(row["high"]),
                _number(row["reject_low"]),
                _number(row["reject_high"]),
                row["wst363"],
                row["source"],
            )
            for row in csv.DictReader(lines)
        }


MEASURES: dict[str, Measure] = _read()
"""Measure key to its definition."""

BY_LOINC: dict[str, Measure] = {code: measure for measure in MEASURES.values() for code in measure.loinc}
BY_MDC: dict[str, Measure] = {code: measure for measure in MEASURES.values() for code in measure.mdc}


def loinc_checks(code: str) -> bool:
    """Whether a LOINC number passes its mod-10 check digit (LOINC Users' Guide, appendix on check digits)."""
    digits, dash, check = code.partition("-")
    if not (dash and digits.isdigit() and check.isdigit() and len(check) == 1):
        return False
    doubled = str(int(digits[::-1][0::2][::-1]) * 2)
    total = sum(int(d) for d in doubled) + sum(int(d) for d in digits[::-1][1::2])
    return (10 - total % 10) % 10 == int(check)
