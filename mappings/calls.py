"""The closed lists of what a YAML may call: under `elements`, and under `extension`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mappings import care, functions

_LISTED: tuple[Any, ...] = (
    functions.text, functions.concept, functions.concepts, functions.boolean, functions.decimal, functions.sport_concept,
    functions.interpretation, functions.reference_range, functions.absent_reason, functions.device_identifier, functions.device_version,
    functions.device_type, functions.device_specialization, functions.tester, functions.party, functions.encounter_status, functions.location, functions.period,
    care.concept_of, care.patient, care.practitioner, care.organization, care.author, care.day, care.moment, care.instant, care.coded,
    care.analyte, care.measured, care.words_beside, care.words_under, care.nothing_said, care.ranges, care.answer, care.questionnaire, care.notes,
    care.sources, care.narrative, care.date_of, care.moment_of, care.day_with, care.measure_concept, care.goal_measure, care.times, care.period_if, care.uid,
    care.cancelled_because, care.sport_of, care.venue, care.question_text, care.question_original, care.place,
    care.persons, care.report_status, care.span,
)  # fmt: skip
FUNCTIONS: Final[dict[str, Callable[..., bytes]]] = {function.__name__: function for function in _LISTED}
"""What a YAML may name under `elements`. The first argument is the context, the rest are record fields."""

EXTENSION_TYPES: Final[dict[str, tuple[str, Callable[..., bytes]]]] = {
    "string": ("valueString", functions.text),
    "boolean": ("valueBoolean", functions.boolean),
    "decimal": ("valueDecimal", functions.decimal),
    "concept": ("valueCodeableConcept", functions.concept),
    "location": ("", functions.entry_extension("Location")),
    "practitioner": ("", functions.entry_extension("Practitioner")),
    "date": ("valueDate", care.day),
    "date_without": ("valueDate", care.day_without),
    "coded": ("valueCodeableConcept", care.coded),
    "code": ("valueCode", functions.text),
}
"""What a YAML may write under `extension`: the value[x] and the function that writes it; no name where the function writes that too."""
