"""A record again out of the FHIR resources that a permit let through, where it did not let all of the record through.

Only what stands in the resources is in it: what was denied or redacted is absent, as if it had never been measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from consent.permit import Permit
from hub.store.vault import Disclosed
from mappings.functions import EXTENSIONS
from mappings.inverse import Understood, records_of
from schemas.measures import LOCAL
from schemas.quality import flags_of
from schemas.records import BodyComposition, DaySummary, Envelope, FitnessTest, Moment, Quantity, Session, VitalSign, decode
from schemas.resident import HEALTH_CARD_SYSTEM, Resident
from schemas.sports import SYSTEM as SPORTS

SESSION: dict[str, str] = {
    "distance": "distance_m", "swim-distance": "distance_m", "distance-other": "distance_m", "energy": "energy_kcal", "hr-mean": "hr_avg",
    "hr-peak": "hr_max", "hr-lowest": "hr_min", "steps": "steps", "moderate-minutes": "moderate_min", "vigorous-minutes": "vigorous_min",
}  # fmt: skip
DAY: dict[str, str] = {
    "steps-day": "steps", "moderate-minutes-day": "moderate_min", "vigorous-minutes-day": "vigorous_min", "active-minutes-day": "active_min",
    "resting-heart-rate": "resting_hr",
}  # fmt: skip
FOLDED = frozenset({"session", "day-summary", "vital", "body-composition", "fitness-test"})
"""Kinds that are figures of their own: whatever of them is seen is shown, without what stands for the record."""


class _Seen(msgspec.Struct):
    """What the resources of one record say."""

    start: Moment
    end: Moment | None
    measured: list[Quantity]
    panel: str
    sport: str | None


def seen_whole(permit: Permit, one: Disclosed) -> bool:
    """Whether all of a record was let through. Of a part nobody can say how good the record is: flags and modality stay with the whole."""
    return one.record is not None and (permit.basis == "self" or permit.decision.by_names)


def record_seen(permit: Permit, one: Disclosed) -> Envelope | None:
    """The record itself where all of it was let through; else what the resources that were let through tell of it."""
    if one.record is not None and seen_whole(permit, one):
        whole: Envelope = decode(one.record)
        whole.flags = [*whole.flags, *flags_of(one.kind, one.quality)]
        return whole
    return record_of(one.kind, [served for _, served in one.resources])


def record_of(kind: str, resources: Sequence[bytes]) -> Envelope | None:
    """The record of `kind` as far as these resources tell it; None when they tell nothing that a page shows."""
    told = [orjson.loads(resource) for resource in resources]
    if kind not in FOLDED:
        return _understood(kind, told)
    seen = _read(told)
    if seen is None:
        return None
    found = {quantity.measure: quantity.value for quantity in seen.measured}
    if kind == "session":
        return _session(seen, found)
    if kind == "day-summary" and seen.start.local is not None:
        return DaySummary(start=seen.start, date=seen.start.local.date(), **_whole({DAY[key]: value for key, value in found.items() if key in DAY}))
    if not seen.measured:
        return None
    if kind == "vital":
        return _vital(seen)
    return BodyComposition(start=seen.start, quantities=seen.measured) if kind == "body-composition" else FitnessTest(start=seen.start, items=seen.measured)


def _understood(kind: str, resources: Sequence[dict[str, Any]]) -> Envelope | None:
    """As another hub would read them: a record of this kind, or of another where what stands for it is not seen (a result without its report)."""
    found = [one.record for one in records_of(resources) if isinstance(one, Understood)]
    of_kind = (record for record in found if record.__struct_config__.tag == kind)
    return next(of_kind, found[0] if found else None)


def person_of(patient: bytes) -> Resident:
    """Name, sex, birth date and health card of a Patient, as far as it tells them."""
    told = orjson.loads(patient)
    cards = [identifier.get("value") for identifier in told.get("identifier", []) if identifier.get("system") == HEALTH_CARD_SYSTEM]
    names = [name["text"] for name in told.get("name", []) if "text" in name]
    fields = {"name": names, "health_card": cards, "gender": [told.get("gender")], "birth_date": [told.get("birthDate")]}
    return msgspec.convert({name: values[0] for name, values in fields.items() if values and values[0]}, Resident)


def _session(seen: _Seen, found: dict[str, float]) -> Session:
    timer, elapsed = found.get("duration"), found.get("elapsed-time")
    fields = _whole({SESSION[key]: value for key, value in found.items() if key in SESSION})
    return Session(
        start=seen.start, end=seen.end, sport=seen.sport, timer_s=timer * 60 if timer is not None else None,
        elapsed_s=elapsed * 60 if elapsed is not None else None, **fields,
    )  # fmt: skip


def _vital(seen: _Seen) -> VitalSign:
    if seen.panel:
        return VitalSign(start=seen.start, measure=seen.panel, components=seen.measured)
    return VitalSign(start=seen.start, measure=seen.measured[0].measure, quantity=seen.measured[0])


def _whole(fields: dict[str, float]) -> dict[str, Any]:
    return {name: int(value) if name == "steps" else value for name, value in fields.items()}


def _read(resources: Sequence[dict[str, Any]]) -> _Seen | None:
    """The observations among the resources, folded into one; the first time that is told is the record's."""
    seen: _Seen | None = None
    for resource in resources:
        moments = _moments(resource)
        if resource["resourceType"] not in ("Observation", "DiagnosticReport") or moments is None or _is_lap(resource):
            continue
        seen = seen or _Seen(*moments, [], "", None)
        seen.sport = seen.sport or _sport(resource)
        components = [_quantity(part) for part in resource.get("component", [])]
        seen.panel = seen.panel or (_measure(resource) if components else "")
        seen.measured += [quantity for quantity in (_quantity(resource), *components) if quantity]
    return seen


def _codings(part: dict[str, Any], element: str) -> list[dict[str, Any]]:
    found = (part.get(element) or {}).get("coding", [])
    return found if isinstance(found, list) else []


def _measure(part: dict[str, Any]) -> str:
    return next((str(coding["code"]) for coding in _codings(part, "code") if coding.get("system") == LOCAL), "")


def _is_lap(resource: dict[str, Any]) -> bool:
    return any(coding.get("code") == "lap" for coding in _codings(resource, "code"))


def _sport(resource: dict[str, Any]) -> str | None:
    return next((coding["code"] for coding in _codings(resource, "valueCodeableConcept") if coding.get("system") == SPORTS), None)


def _quantity(part: dict[str, Any]) -> Quantity | None:
    value, measure = part.get("valueQuantity"), _measure(part)
    return Quantity(measure=measure, value=value["value"], unit=value.get("code", "")) if value and "value" in value and measure else None


def _moments(resource: dict[str, Any]) -> tuple[Moment, Moment | None] | None:
    period = resource.get("effectivePeriod") or {}
    start, end = resource.get("effectiveDateTime") or period.get("start"), period.get("end") or _end_beside(resource)
    first = _moment(start) if start else None
    return (first, _moment(end) if end else None) if first else None


def _end_beside(resource: dict[str, Any]) -> str | None:
    """The end that a vital sign has in an extension (`effective_start`)."""
    return next((one["valuePeriod"].get("end") for one in resource.get("extension", ()) if one["url"] == EXTENSIONS + "effective-period"), None)


def _moment(text: str) -> Moment | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        return Moment(local=at, precision="day")
    offset = at.utcoffset()
    return Moment(at=at.astimezone(UTC), offset_minutes=int(offset.total_seconds() // 60) if offset is not None else None)
