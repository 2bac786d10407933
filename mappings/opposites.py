"""For every function that writes an element (`mappings/functions.py`), the one that reads it back: JSON to field values.

Each returns its fields in the order in which the YAML names them; None where the element does not say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any, Final, get_args

from mappings.functions import EUI64_SYSTEM, FIRMWARE, MDC_SYSTEM, eui64
from mappings.functions import EXTENSIONS as BASE
from schemas.records import Interpretation, MeasurementStatus, Moment
from schemas.sports import SPORTS, sport_code
from schemas.sports import SYSTEM as SPORT_SYSTEM

_FULL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_JUDGED: Final = get_args(Interpretation)
_STATUSES: Final = get_args(MeasurementStatus)


class Unreadable(Exception):
    """An element that is not what R4 says it is. `element` names it; its content is not repeated."""

    def __init__(self, element: str, message: str) -> None:
        super().__init__(message)
        self.element = element


def moment(said: str, sibling: dict[str, Any] | None) -> Moment:
    """A dateTime with what its own extension adds. `Z` alone states no local offset; a date has day precision."""
    clock = next((one["valueString"] for one in (sibling or {}).get("extension", ()) if one.get("url") == f"{BASE}local-clock"), None)
    try:
        if clock is not None:
            return Moment(local=datetime.fromisoformat(clock))
        if _DAY.fullmatch(said):
            return Moment(local=midnight(said), precision="day")
        if _FULL.fullmatch(said):
            at = datetime.fromisoformat(said)
            offset = at.utcoffset()
            assert offset is not None
            return Moment(at=at.astimezone(UTC), offset_minutes=None if said.endswith(("Z", "-00:00")) else int(offset.total_seconds() // 60))
    except ValueError:
        pass
    raise Unreadable("effective", "A time must be a date or a full RFC 3339 time with its offset.")


def midnight(day: str) -> datetime:
    """The local midnight that a date begins with."""
    return datetime.combine(datetime.fromisoformat(day).date(), time())


def effective(one: dict[str, Any], whole: dict[str, Any] | None) -> tuple[Moment | None, Moment | None]:
    """Start and end of an Observation or report: effectiveDateTime, effectiveInstant or effectivePeriod; `whole` is the period beside a start."""
    period = whole or one.get("effectivePeriod")
    if period is not None:
        return period_of(period, None)
    if said := one.get("effectiveDateTime") or one.get("effectiveInstant"):
        return moment(said, one.get("_effectiveDateTime")), None
    raise Unreadable("effective", "It does not say when.")


def period_of(said: dict[str, Any] | None, _: Any) -> tuple[Moment | None, Moment | None]:
    """Period: start and end."""
    if not said or "start" not in said:
        raise Unreadable("period", "A period needs its start.")
    return moment(said["start"], said.get("_start")), moment(said["end"], said.get("_end")) if "end" in said else None


def _span(said: dict[str, Any] | None, _: Any) -> tuple[Moment | None, Moment | None]:
    """Period, of which both ends may be the same moment."""
    start, end = period_of(said, None)
    return start, None if end == start else end


def _text(said: Any, _: Any = None) -> tuple[Any, ...]:
    return (said or None,)


def _as_is(said: Any, _: Any = None) -> tuple[Any, ...]:
    return (said,)


def _date(said: Any, _: Any = None) -> tuple[str | None]:
    """The day of a date or dateTime; a year or a month alone is none."""
    return (said[:10] if len(said) >= 10 else None,)


def _concept(said: Any, _: Any = None) -> tuple[str | None]:
    coding = (said or {}).get("coding") or [{}]
    return ((said or {}).get("text") or coding[0].get("display") or coding[0].get("code"),)


def _concepts(said: Any, _: Any = None) -> tuple[str | None]:
    return _concept(said[0] if said else None)


def _sport(said: Any, _: Any = None) -> tuple[str | None]:
    """A sport by its code, else by a name that the standard knows, else in the source's own words."""
    codings, text = (said or {}).get("coding", ()), (said or {}).get("text")
    codes = (coding.get("code") for coding in codings if coding.get("system") == SPORT_SYSTEM)
    words = [word for word in (text, *(coding.get("display") for coding in codings)) if word]
    own = next(codes, None)
    return (own if own in SPORTS else next((code for word in words if (code := sport_code(word))), next(iter(words), None)),)


def _sport_code(said: Any, _: Any = None) -> tuple[str | None]:
    """A sport by its code alone: words beside it are an exercise's own."""
    return (next((code for coding in said.get("coding", ()) if coding.get("system") == SPORT_SYSTEM and (code := coding.get("code")) in SPORTS), None),)


def _interpretation(said: Any, _: Any = None) -> tuple[str | None, str | None]:
    codes = [coding.get("code") for concept in said or () for coding in concept.get("coding", ())]
    return (next((code for code in codes if code in _JUDGED), None), next((code for code in codes if code in _STATUSES), None))


def range_of(said: Any, _: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Quantities at the two ends of the first reference range."""
    first = said[0] if said else {}
    return first.get("low", {}), first.get("high", {})


def _identifier(said: Any, _: Any = None) -> tuple[str | None]:
    """A system id before an address of its transport; an EUI-64 as its 16 digits."""
    listed = sorted((one for one in said or () if one.get("value")), key=lambda one: one.get("system") != EUI64_SYSTEM)
    found = next((one["value"] for one in listed), None)
    return (found and (eui64(found) or found),)


def _version(said: Any, _: Any = None) -> tuple[str | None, list[dict[str, Any]]]:
    """The firmware, and the versions of anything else or of what is not said."""
    listed = [(_mdc(one.get("type")), one["value"]) for one in said or () if one.get("value")]
    firmware = next((value for mdc, value in listed if mdc == FIRMWARE), None)
    return firmware, [{"value": value, "mdc": mdc} for mdc, value in listed if (mdc, value) != (FIRMWARE, firmware)]


def _device_type(said: Any, _: Any = None) -> tuple[str | None]:
    return (_mdc(said),)


def _specialization(said: Any, _: Any = None) -> tuple[list[dict[str, Any]]]:
    return ([{"mdc": mdc, "version": one.get("version")} for one in said or () if (mdc := _mdc(one.get("systemType")))],)


def _mdc(said: Any) -> str | None:
    """The IEEE 11073 code of a concept, else its words."""
    codes = [coding.get("code") for coding in (said or {}).get("coding", ()) if coding.get("system") == MDC_SYSTEM]
    return codes[0] if codes else (said or {}).get("text")


def _tester(said: Any, _: Any = None) -> tuple[str | None]:
    return (next((one["display"] for one in said or () if one.get("type") == "Practitioner" and one.get("display")), None),)


def _location(said: Any, _: Any = None) -> tuple[str | None]:
    return (next((one["location"]["display"] for one in said or () if one.get("location", {}).get("display")), None),)


def _nothing(*_: Any) -> tuple[()]:
    return ()


def _named(type_: str) -> Callable[[Any, Any], tuple[str | None]]:
    """The name in a Reference of this type; what is typed or refers otherwise is somebody else."""

    def read(said: Any, _: Any = None) -> tuple[str | None]:
        is_other = said.get("type", type_) != type_ or not said.get("reference", type_).rsplit("/", 2)[-2:][0].startswith(type_)
        return (None if is_other else said.get("display") or said.get("identifier", {}).get("value"),)

    return read


def _place(said: Any, _: Any = None) -> tuple[str | None]:
    """A place by its name or identifier, else by the reference itself."""
    return (_named("Location")(said, None)[0] or said.get("reference"),)


def _report_status(said: Any, _: Any = None) -> tuple[bool]:
    """Whether a report was taken back; one that is not there yet says nothing."""
    if said not in ("complete", "error"):
        raise Unreadable("status", "The report is not complete.")
    return (said == "error",)


def _persons(said: Any, _: Any = None) -> tuple[float | None]:
    """A number of people. Fewer than so many, or so many or more, is what a hub shows to others, and no figure."""
    if "comparator" in said:
        raise Unreadable("group.measureScore", "A number with a comparator is no count.")
    return (said.get("value"),)


def _moment(said: Any, beside: Any = None) -> tuple[Moment]:
    return (moment(said, beside),)


def _coded(said: Any, _: Any = None) -> tuple[str | None, str | None]:
    codings = ["|".join(filter(None, (one.get("system"), one["code"]))) for one in said.get("coding", ()) if one.get("code")]
    shown = next((one["display"] for one in said.get("coding", ()) if one.get("display")), None)
    return said.get("text") or shown, codings[0] if codings else None


def _measured(said: Any, _: Any = None) -> tuple[float | None, str | None, str | None]:
    return said.get("value"), said.get("code") or said.get("unit"), said.get("comparator")


def _first_note(said: Any, _: Any = None) -> tuple[str | None]:
    return (next((one["text"] for one in said if one.get("text")), None),)


def _notes(said: Any, _: Any = None) -> tuple[list[str]]:
    return ([one["text"] for one in said if one.get("text")],)


def _ranges(said: Any, _: Any = None) -> tuple[float | None, float | None, str | None, str | None]:
    """Low, high, words, and the unit of the ends: a result in words has its unit nowhere else."""
    low, high = range_of(said)
    units = (end.get("code") or end.get("unit") for end in (low, high))
    return low.get("value"), high.get("value"), said[0].get("text") if said else None, next(filter(None, units), None)


def _answer(said: Any, _: Any = None) -> tuple[Any]:
    """The first answer in its own type: a decimal stays one, though JSON writes it as a whole number."""
    for name, value in (said[0] if said else {}).items():
        if name.startswith("value") and isinstance(value, str | bool | int | float):
            return (float(value) if name == "valueDecimal" else value,)
    return (None,)


def _questionnaire(said: Any, _: Any = None) -> tuple[str]:
    return (said.partition("|")[0].rsplit("/", 1)[-1],)


def _sources(said: Any, _: Any = None) -> tuple[list[str]]:
    return ([one["identifier"]["value"] for one in said if one.get("identifier", {}).get("value")],)


def _times(said: Any, _: Any = None) -> tuple[int | None, float | None]:
    weekly = said.get("frequency") if (said.get("period"), said.get("periodUnit")) == (1, "wk") else None
    return weekly, said.get("duration") if said.get("durationUnit") == "min" else None


def _uid(said: Any, _: Any = None) -> tuple[str]:
    return (said.removeprefix("urn:oid:"),)


def _second_concept(said: Any, _: Any = None) -> tuple[None, str | None]:
    return None, _concept(said)[0]


OPPOSITES: Final[dict[str, Callable[[Any, Any], tuple[Any, ...]]]] = {
    "text": _text, "boolean": _as_is, "decimal": _as_is, "concept": _concept, "concepts": _concepts, "coded": _coded, "sport_concept": _sport,
    "sport_of": _sport_code, "interpretation": _interpretation, "reference_range": range_of, "ranges": _ranges, "measured": _measured, "answer": _answer,
    "words_beside": _as_is, "words_under": _first_note, "question_text": _text, "question_original": _text, "notes": _notes, "questionnaire": _questionnaire,
    "sources": _sources, "times": _times, "uid": _uid,
    "device_identifier": _identifier, "device_version": _version, "device_type": _device_type, "device_specialization": _specialization,
    "cancelled_because": _second_concept,
    "tester": _tester, "location": _location, "practitioner": _named("Practitioner"), "organization": _named("Organization"),
    "author": _named("Practitioner"), "venue": _named("Location"), "place": _place, "persons": _persons,
    "report_status": _report_status, "span": _span,
    "period": period_of, "period_if": period_of, "day": _date, "day_with": _date, "moment": _moment, "instant": _moment,
    **dict.fromkeys(("absent_reason", "nothing_said", "party", "patient", "encounter_status", "concept_of", "date_of", "moment_of", "narrative"), _nothing),
    **dict.fromkeys(("analyte", "measure_concept", "goal_measure"), _nothing),
}  # fmt: skip
"""One for each function that a YAML may call; those that read nothing write what follows from other fields, or name a measure (`inverse.py`)."""


def _valued(name: str) -> Callable[[dict[str, Any] | None], tuple[Any, ...]]:
    return lambda said: ((said or {}).get(name),)


def _entry(said: dict[str, Any] | None) -> tuple[str | None]:
    return ((said or {}).get("valueString") or (said or {}).get("valueReference", {}).get("display"),)


EXTENSIONS: Final[dict[str, Callable[[dict[str, Any] | None], tuple[Any, ...]]]] = {
    "string": _valued("valueString"), "boolean": _valued("valueBoolean"), "decimal": _valued("valueDecimal"), "date": _valued("valueDate"),
    "date_without": _valued("valueDate"), "code": _valued("valueCode"), "location": _entry, "practitioner": _entry,
    "concept": lambda said: _concept((said or {}).get("valueCodeableConcept")), "coded": lambda said: _coded((said or {}).get("valueCodeableConcept", {})),
}  # fmt: skip
"""One for each type of extension that a YAML may write."""
