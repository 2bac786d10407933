"""Editions of the national fitness test: whom each is for. Their score tables are not held: no score is computed, what a source says stays as it is.

Names stand in `codes.csv` (`fitness-edition`), ages in `editions.csv`.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from schemas.codes import LISTS
from schemas.errors import InvalidRecord
from schemas.flags import FLAGS
from schemas.lines import lines
from schemas.records import Envelope, FitnessTest, Flag, Moment, Who
from schemas.resident import birth_date

EDITIONS: Final = LISTS["fitness-edition"]


def _bands() -> dict[str, list[tuple[float, float]]]:
    """Edition to its first and last ages, in completed years."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in lines("editions.csv"):
        low, high = line.number("age_from"), line.number("age_to")
        if low is None or high is None or low > high:
            raise line.wrong("a band has a first age and a last one", "age_from")
        found.setdefault(line.one_of("edition", EDITIONS), []).append((low, high))
    return found


BANDS: Final = _bands()


def edition_of(said: str) -> str | None:
    """The edition that a source means, by code or name; None for one that is not held."""
    plain = said.strip().casefold()
    return next((one.code for one in EDITIONS.values() if plain in (one.code, one.zh.casefold(), one.en.casefold())), None)


def check_age(record: Envelope, who: Who | None) -> None:
    """Refuse a test by an edition that is not for this age. Raises InvalidRecord. Nothing is said of a row without a birth date."""
    edition = edition_of(record.edition) if isinstance(record, FitnessTest) and record.edition else None
    born = _born(who)
    if edition is None or born is None:
        return
    on = _day(record.start)
    age = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    if not any(low <= age <= high for low, high in BANDS[edition]):
        ages = ", ".join(f"{low:g} to {high:g}" for low, high in BANDS[edition])
        raise InvalidRecord(
            f"The age at the test is in none of the bands of {EDITIONS[edition].en}.", code="age-band", field="birth_date",
            advice=f"It is for ages {ages}. Correct the birth date or the edition, or send the values without an edition.",
        )  # fmt: skip


def unknown(record: FitnessTest) -> list[Flag]:
    """A flag where an edition is named that is not held."""
    known = not record.edition or edition_of(record.edition)
    return [] if known else [Flag("edition-unknown", "edition", FLAGS["edition-unknown"][1])]


def _day(start: Moment) -> date:
    local = start.local or (start.at + timedelta(minutes=start.offset_minutes or 0) if start.at else None)
    assert local is not None
    return local.date()


def _born(who: Who | None) -> date | None:
    """The birth date that a row states, or its ID number does (GB 11643)."""
    return birth_date(who.birth_date, who.id_number) if who else None
