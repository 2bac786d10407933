"""For every function that writes an element (`mappings/functions.py`), the one that reads it back: JSON to field values.

Each returns its fields in the order in which the YAML names them; None where the element does not say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any, Final

from mappings.functions import EXTENSIONS as BASE
from mappings.functions import MDC_SYSTEM
from schemas.records import Moment
from schemas.sports import SPORTS, sport_code
from schemas.sports import SYSTEM as SPORT_SYSTEM

_FULL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


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


def _text(said: Any, _: Any = None) -> tuple[Any, ...]:
    return (said or None,)


def _as_is(said: Any, _: Any = None) -> tuple[Any, ...]:
    return (said,)


def _concept(said: Any, _: Any = None) -> tuple[str | None]:
    coding = (said or {}).get("coding") or [{}]
    return ((said or {}).get("text") or coding[0].get("display") or coding[0].get("code"),)


def _concepts(said: Any, _: Any = None) -> tuple[str | None]:
    return _concept(said[0] if said else None)


def _sport(said: Any, _: Any = None) -> tuple[str | None]:
    codes = [coding.get("code") for coding in (said or {}).get("coding", ()) if coding.get("system") == SPORT_SYSTEM]
    text = (said or {}).get("text")
    shown = [coding.get("display") for coding in (said or {}).get("coding", ())]
    return (codes[0] if codes and codes[0] in SPORTS else next((code for name in (text, *shown) if (code := sport_code(name))), text or None),)


def _interpretation(said: Any, _: Any = None) -> tuple[str | None]:
    codes = [coding.get("code") for concept in said or () for coding in concept.get("coding", ())]
    return (next((code for code in codes if code in ("L", "H", "LL", "HH", "N", "A", "AA")), None),)


def range_of(said: Any, _: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Quantities at the two ends of the first reference range."""
    first = said[0] if said else {}
    return first.get("low", {}), first.get("high", {})


def _identifier(said: Any, _: Any = None) -> tuple[str | None]:
    return (next((one["value"] for one in said or () if one.get("value")), None),)


def _version(said: Any, _: Any = None) -> tuple[str | None]:
    return _identifier(said)


def _device_type(said: Any, _: Any = None) -> tuple[str | None]:
    codes = [coding.get("code") for coding in (said or {}).get("coding", ()) if coding.get("system") == MDC_SYSTEM]
    return (codes[0] if codes else (said or {}).get("text"),)


def _tester(said: Any, _: Any = None) -> tuple[str | None]:
    return (next((one["display"] for one in said or () if one.get("type") == "Practitioner" and one.get("display")), None),)


def _location(said: Any, _: Any = None) -> tuple[str | None]:
    return (next((one["location"]["display"] for one in said or () if one.get("location", {}).get("display")), None),)


def _nothing(*_: Any) -> tuple[()]:
    return ()


OPPOSITES: Final[dict[str, Callable[[Any, Any], tuple[Any, ...]]]] = {
    "text": _text, "boolean": _as_is, "decimal": _as_is, "concept": _concept, "concepts": _concepts, "sport_concept": _sport, "interpretation": _interpretation,
    "reference_range": range_of, "device_identifier": _identifier, "device_version": _version, "device_type": _device_type, "tester": _tester,
    "location": _location, "period": period_of, "absent_reason": _nothing, "party": _nothing, "encounter_status": _nothing,
}  # fmt: skip
"""One for each function of `functions.FUNCTIONS`; those that read nothing write what follows from other fields."""

EXTENSIONS: Final[dict[str, Callable[[dict[str, Any] | None], Any]]] = {
    "string": lambda said: (said or {}).get("valueString"),
    "boolean": lambda said: (said or {}).get("valueBoolean"),
    "decimal": lambda said: (said or {}).get("valueDecimal"),
    "concept": lambda said: _concept((said or {}).get("valueCodeableConcept"))[0],
    "location": lambda said: (said or {}).get("valueString") or (said or {}).get("valueReference", {}).get("display"),
    "practitioner": lambda said: (said or {}).get("valueString") or (said or {}).get("valueReference", {}).get("display"),
}
"""One for each of `functions.EXTENSION_TYPES`."""
