"""Shapes that other guides allow and ours does not write, put as ours before they are read, and why the others are no record.

The HL7 Personal Health Device IG lets a device put measures under a code of its own (PhdCompoundObservation) and say beside a figure what
it was measured in (`MDC_CTXT_GLU_MEAL`). The figure is the standard's; the words beside it are kept as the record's note.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mappings.functions import EXTENSIONS as BASE
from mappings.measured import codings, in_categories, measure_of
from schemas.errors import InvalidRecord
from schemas.measures import LOCAL, LOINC, MDC, loinc_mistyped

Json = dict[str, Any]

_PHD: Final = ("http://hl7.org/fhir/uv/phd/CodeSystem/PhdObservationCategories", "phd")
_GOAL_STATUS: Final = {"planned": "proposed", "accepted": "proposed", "rejected": "cancelled"}
"""Statuses of a goal that its plan has no word for: what is planned or accepted is not sought yet."""
_OURS: Final = f"{BASE}kinehub-care-plan"
_TAG: Final = re.compile(r"<[^>]*>")
_PRESSURE: Final = {"systolic", "diastolic", "mean-pressure"}
_BESIDE_A_VALUE: Final = ("valueQuantity", "dataAbsentReason", "interpretation", "referenceRange")


def as_ours(one: Json) -> Json:
    """A resource as we would write it, where another guide lets it be said in another way."""
    if one["resourceType"] == "Goal" and one.get("lifecycleStatus") in _GOAL_STATUS:
        return {**one, "lifecycleStatus": _GOAL_STATUS[one["lifecycleStatus"]]}
    if one["resourceType"] == "Condition" and "start" in one.get("onsetPeriod", {}):
        return {**one, "onsetDateTime": one["onsetPeriod"]["start"]}
    if one["resourceType"] == "CarePlan":
        return _in_words(one)
    one = _not_final(one) if one.get("status") == "preliminary" and one["resourceType"] == "Observation" else one
    return _one_measure(one) if _is_compound(one) else one


def _in_words(one: Json) -> Json:
    """A plan in nothing but its narrative, as the Physical Activity IG writes its own, has that for its words."""
    text = one.get("text", {})
    if "description" in one or text.get("status") != "additional" or _OURS in one.get("meta", {}).get("profile", ()):
        return one
    words = " ".join(html.unescape(_TAG.sub(" ", text.get("div", ""))).split())
    return {**one, "description": words} if words else one


def _not_final(one: Json) -> Json:
    said = {"url": f"{BASE}quality-flag", "valueCode": "not-final"}
    return {**one, "extension": [*(other for other in one.get("extension", ()) if other != said), said]}


def _one_measure(one: Json) -> Json:
    """A device's compound of one measure as that measure, a pressure in parts under a device's own code as a blood pressure."""
    measured = _measured(one)
    keys = {key for key, _ in measured}
    if keys and keys <= _PRESSURE:
        return {**one, "code": {"coding": [{"system": LOCAL, "code": "blood-pressure"}, *one["code"].get("coding", ())]}}
    if len(measured) != 1:
        return one
    ((_, part),) = measured
    rest = [component for component in one["component"] if component is not part]
    return {**one, "code": part["code"], **{name: part[name] for name in _BESIDE_A_VALUE if name in part}, "component": rest}


def _is_compound(one: Json) -> bool:
    """Whether a device says it and only its parts have values: of a hospital's panel a part may mean something else than it means alone."""
    has_value = any(name.startswith("value") for name in one)
    return one["resourceType"] == "Observation" and "component" in one and not has_value and _PHD in in_categories(one) and measure_of(one.get("code")) is None


def _measured(one: Json) -> list[tuple[str, Json]]:
    """The components that are figures of the standard, with their measures."""
    found = ((measure_of(part.get("code"), part.get("valueQuantity")), part) for part in one.get("component", ()) if "valueQuantity" in part)
    return [(measure.key, part) for measure, part in found if measure is not None]


def words_beside(one: Json) -> Iterator[str]:
    """What the components that are no measure say, in the source's words."""
    for part in one.get("component", ()):
        said = _words(part)
        if said and measure_of(part.get("code")) is None:
            yield f"{_called(part.get('code', {}))}: {said}"


def _called(concept: Json) -> str:
    first: Json = next(iter(concept.get("coding", ())), {})
    return str(concept.get("text") or first.get("display") or first.get("code") or "?")


def _words(part: Json) -> str:
    if "valueCodeableConcept" in part:
        return _called(part["valueCodeableConcept"])
    if "valueQuantity" in part:
        quantity = part["valueQuantity"]
        words = (quantity.get("comparator"), quantity.get("value"), quantity.get("unit") or quantity.get("code"))
        return " ".join(str(word) for word in words if word is not None)
    return next((str(said).lower() if isinstance(said, bool) else str(said) for name, said in part.items() if name.startswith("value") and _is_plain(said)), "")


def _is_plain(said: Any) -> bool:
    return isinstance(said, str | int | float)


def why_not(one: Json, resources: Sequence[Json], by_reference: Mapping[str, int]) -> InvalidRecord:
    """Why a resource that names nothing of the standard is no record."""
    message, field = _reason(one, resources, by_reference)
    return InvalidRecord(message, code="not-a-measure", field=field)


def _reason(one: Json, resources: Sequence[Json], by_reference: Mapping[str, int]) -> tuple[str, str]:
    if one["resourceType"] != "Observation":
        return f"This {one['resourceType']} says nothing that the standard has.", "code"
    if is_of_a_device(one, resources, by_reference):
        return "It is about a device (its clock, its battery, a test of it), not about a person.", "subject"
    if "valueSampledData" in one:
        return "A curve is held as the samples of a session, which this one does not derive from.", "valueSampledData"
    if _is_compound(one) and _measured(one):
        return "It has several measures of the standard under a code that is not of it: send each as an Observation of its own.", "component"
    if "component" in one and all("valueBoolean" in part for part in one["component"]):
        return "It states conditions of a device or of a measurement as bits, and no figure.", "component"
    return _unknown_code(one), "code"


def is_of_a_device(one: Json, resources: Sequence[Json], by_reference: Mapping[str, int]) -> bool:
    """Whether a device is the subject: its clock, its battery, or a measurement of a simulator."""
    if one["resourceType"] != "Observation":
        return False
    said = str(one.get("subject", {}).get("reference", ""))
    place = by_reference.get(said)
    return said.startswith("Device/") or "/Device/" in said or (place is not None and resources[place]["resourceType"] == "Device")


def _unknown_code(one: Json) -> str:
    """Codes are repeated where they are numbers of IEEE 11073: anything else may be anybody's words."""
    stated = [*codings(one.get("code"))]
    found = [code for system, code in stated if system == MDC and code.isascii() and code.isdigit()]
    if any(system == LOINC and loinc_mistyped(code) for system, code in stated):
        return "Its LOINC number fails its check digit."
    beside = "" if any(name.startswith("value") for name in one) or "component" in one else " It has no value either."
    named = f"IEEE 11073 code {found[0][:10]} is no measure of the standard." if found else "Its code is no measure of the standard."
    return ("The " if found else "") + named + beside
