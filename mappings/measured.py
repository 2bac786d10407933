"""What anyone's FHIR measures: a code to the standard's measure, a Quantity to the measure's unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from schemas.errors import InvalidRecord
from schemas.measures import BY_LOINC, LOCAL, LOINC, MDC, MEASURES, UNITS, Measure, by_property, full_mdc, of_mdc
from schemas.records import Quantity
from schemas.units import MDC_UNITS, convert, same_unit, ucum

Json = dict[str, Any]

_ALIASES: Final = {"55284-4": "blood-pressure", "18708-8": "blood-pressure"}
"""LOINC numbers that LOINC has replaced, still sent by devices: 55284-4 by 85354-9 (HL7 PHD examples)."""


def codings(concept: Json | None) -> Iterator[tuple[str, str]]:
    for coding in (concept or {}).get("coding", ()):
        yield coding.get("system", ""), str(coding.get("code", ""))


def in_categories(resource: Json) -> set[tuple[str, str]]:
    category = resource.get("category")
    return {pair for concept in (category if isinstance(category, list) else ()) for pair in codings(concept)}


def measure_of(concept: Json | None, quantity: Json | None = None) -> Measure | None:
    """The measure that a CodeableConcept names: by our own code, else LOINC, else IEEE 11073 MDC, of which the unit tells the property."""
    found = list(codings(concept))
    known: tuple[tuple[str, Callable[[str], Measure | None]], ...] = (
        (LOCAL, MEASURES.get), (LOINC, lambda code: BY_LOINC.get(code) or MEASURES.get(_ALIASES.get(code, ""))),
        (MDC, lambda code: (measure := of_mdc(code)) and by_property(measure, unit_of(quantity or {}))),
    )  # fmt: skip
    return next((measure for system, find in known for said, code in found if said == system and (measure := find(code)) is not None), None)


def unit_of(quantity: Json) -> str:
    """The unit of a Quantity in UCUM, where it is written in that, in IEEE 11073 or as a source spells it."""
    code, unit = str(quantity.get("code") or ""), str(quantity.get("unit") or "")
    if quantity.get("system") == MDC:
        return MDC_UNITS.get(full_mdc(code, UNITS), code)
    return ucum(code or unit)


def quantity_of(said: Json, measure: Measure, coding: str | None, original: str | None) -> Quantity:
    """A Quantity in the measure's unit, with the value as it was written where the unit had to be converted."""
    value = said.get("value")
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidRecord("A quantity has no value.", code="value-missing", field=measure.key)
    unit = unit_of(said)
    if not unit and measure.unit:
        raise InvalidRecord("A quantity has no unit.", code="unit", field=measure.key)
    if same_unit(unit, measure.unit):
        return Quantity(measure.key, float(value), measure.unit, original=original, coding=coding)
    try:
        converted = convert(float(value), unit, measure.unit)
    except InvalidRecord as wrong:
        raise InvalidRecord(wrong.message, code=wrong.code, field=measure.key, advice=f"Send {measure.unit}.") from None
    return Quantity(measure.key, converted, measure.unit, original=original or f"{value:g} {unit}", coding=coding)
