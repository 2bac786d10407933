"""The measures of the unified data standard, read once from `measures.csv`: codes, units, classes, plausibility.

Sources stand in the last column; `(verify)` marks a code not yet seen in its own release.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from schemas.classes import CODES, DataClass
from schemas.lines import Line, lines

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


def loinc_checks(code: str) -> bool:
    """Whether a LOINC number passes its mod-10 check digit (LOINC Users' Guide, appendix on check digits)."""
    digits, dash, check = code.partition("-")
    if not (dash and digits.isdigit() and check.isdigit() and len(check) == 1):
        return False
    doubled = str(int(digits[::-1][0::2][::-1]) * 2)
    total = sum(int(d) for d in doubled) + sum(int(d) for d in digits[::-1][1::2])
    return (10 - total % 10) % 10 == int(check)


def loinc_mistyped(code: str) -> bool:
    """Whether a text has the form of a LOINC number and cannot be one: words and codes of others are not judged."""
    return re.fullmatch(r"[0-9]{1,7}-[0-9]", code) is not None and not loinc_checks(code)


def _read() -> dict[str, Measure]:
    return {line["measure"]: _measure(line) for line in lines("measures.csv")}


def _measure(line: Line) -> Measure:
    return Measure(
        line["measure"], line["zh"], line["en"], _loinc(line), tuple(line["mdc"].split()), line.unit("unit"), line["category"],
        CODES[line.one_of("data_class", CODES)], line.number("low"), line.number("high"), line.number("reject_low"), line.number("reject_high"),
        line["wst363"], line["source"],
    )  # fmt: skip


def _loinc(line: Line) -> tuple[str, ...]:
    codes = line["loinc"].split()
    for code in codes:
        if not loinc_checks(code):
            raise line.wrong(f"the LOINC number {code!r} fails its check digit", "loinc")
    return tuple(codes)


MEASURES: dict[str, Measure] = _read()
"""Measure key to its definition."""

BY_LOINC: dict[str, Measure] = {code: measure for measure in MEASURES.values() for code in measure.loinc}
BY_MDC: dict[str, Measure] = {code: measure for measure in MEASURES.values() for code in measure.mdc}

MEASUREMENTS, UNITS = 2 * 65536, 4 * 65536
"""IEEE 11073-10101 partitions of measurements and units: some feeds send the 16 bits within one."""


def of_mdc(code: str) -> Measure | None:
    """The measure of an IEEE 11073 code of 32 bits, or of the 16 bits within its partition."""
    return BY_MDC.get(full_mdc(code))


def full_mdc(code: str, partition: int = MEASUREMENTS) -> str:
    """An IEEE 11073 code in 32 bits."""
    return str(int(code) + partition) if code.isascii() and code.isdigit() and len(code) < 6 and int(code) < 65536 else code


def by_property(measure: Measure, unit: str) -> Measure:
    """The measure that a code without a property of its own means in a unit: a concentration in mass is a measure beside that in moles."""
    twin = MEASURES.get(f"{measure.key}-mass")
    return twin if twin is not None and twin.unit == unit else measure
