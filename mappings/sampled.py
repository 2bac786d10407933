"""The FHIR face of a session's samples: one Observation with SampledData a channel, made when it is read.

Slots 60 to 99 of a session are theirs (`compiler.RESERVED`): 60 and the channel's number. Positions are one resource with two dimensions.
Why the code is our own and not LOINC 8867-4: docs/decisions, "Samples are shown as SampledData".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from mappings.compiler import security
from mappings.functions import ABSENT, EXTENSIONS
from mappings.grid import Grid, Method
from schemas.classes import DataClass, codes_of
from schemas.codes import LISTS, RECORD
from schemas.measures import UCUM
from schemas.records import Series

PROFILE: Final = EXTENSIONS + "kinehub-sampled"
METHOD: Final = EXTENSIONS + "sampling-method"
GROUP: Final = 1
"""The slot of the session's activity group, from which the samples derive."""


class Channel(NamedTuple):
    """What one resource shows: which series, UCUM unit and how a reader sees it, data class, decimals, how bins are made. Its names stand in `codes.csv`."""

    slot: int
    code: str
    series: tuple[str, ...]
    unit: str
    shown: str
    data_class: DataClass
    digits: int
    method: Method = "mean"

    @property
    def zh(self) -> str:
        return LISTS["record"][self.code].zh

    @property
    def en(self) -> str:
        return LISTS["record"][self.code].en


_ACTIVITY, _LOCATION = DataClass.ACTIVITY, DataClass.LOCATION
CHANNELS: Final = {
    channel.slot: channel
    for channel in (
        Channel(61, "heart-rate-series", ("heart-rate",), "/min", "次/分", _ACTIVITY, 0),
        Channel(62, "power-series", ("power",), "W", "W", _ACTIVITY, 0),
        Channel(63, "cadence-series", ("cadence",), "/min", "次/分", _ACTIVITY, 1),
        Channel(64, "speed-series", ("speed",), "m/s", "m/s", _ACTIVITY, 3),
        Channel(65, "altitude-series", ("altitude",), "m", "m", _ACTIVITY, 1),
        Channel(66, "distance-series", ("distance",), "m", "m", _ACTIVITY, 2),
        Channel(67, "position-series", ("latitude", "longitude"), "deg", "°", _LOCATION, 7, "first"),
        Channel(69, "temperature-series", ("temperature",), "Cel", "℃", _ACTIVITY, 1),
    )
}
"""Slot to channel. A mean place is a place where nobody was: of positions a bin shows the first."""


@cache
def _constant(slot: int) -> dict[str, Any]:
    channel = CHANNELS[slot]
    (label,) = codes_of(channel.data_class)
    return {
        "meta": {"profile": [PROFILE], "security": [security(label)]},
        "code": {"coding": [{"system": RECORD, "code": channel.code, "display": channel.zh}], "text": channel.zh},
        "origin": {"value": 0, "unit": channel.shown, "system": UCUM, "code": channel.unit},
    }


def shell(slot: int, record_id: str, group: Mapping[str, Any]) -> dict[str, Any]:
    """The Observation of a channel without its values: all of it that a consent rule may speak of. `group`: the session's own."""
    constant = _constant(slot)
    about = {name: group[name] for name in ("subject", "effectiveDateTime", "effectivePeriod", "device") if name in group}
    return {
        "resourceType": "Observation", "id": f"{record_id}-{slot}", "meta": constant["meta"], "language": "zh-CN", "status": "final",
        "category": group["category"], "code": constant["code"], **about,
        "derivedFrom": [{"reference": f"Observation/{record_id}-{GROUP}"}], "valueSampledData": {"origin": constant["origin"]},
    }  # fmt: skip


def observation(slot: int, face: Mapping[str, Any], grid: Grid | None, version: int, updated: str, *, part: bool = False) -> bytes:
    """The Observation as served: a shell with its values. Without a grid it says that there are none; `part` marks it SUBSETTED."""
    meta = {"versionId": str(version), "lastUpdated": updated, **face["meta"]}
    if part:
        meta["tag"] = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]
    made = {name: value for name, value in {**face, "meta": meta}.items() if name != "valueSampledData"}
    if grid is None:
        return orjson.dumps(made | {"dataAbsentReason": orjson.loads(ABSENT)})
    zone = _zone_of(made)
    made.pop("effectiveDateTime", None)
    made["effectivePeriod"] = {"start": _instant(grid.start, zone), "end": _instant(grid.end, zone)}
    return orjson.dumps(made | {"valueSampledData": _sampled_data(CHANNELS[slot], grid)})


def _sampled_data(channel: Channel, grid: Grid) -> dict[str, Any]:
    said = {"extension": [{"url": METHOD, "valueCode": grid.method}]} if grid.method else {}
    period = int(grid.period_ms) if grid.period_ms == int(grid.period_ms) else grid.period_ms
    return said | {"origin": _constant(channel.slot)["origin"], "period": period, "dimensions": len(channel.series), "data": _written(channel, grid)}


def _written(channel: Channel, grid: Grid) -> str:
    """Decimals and E for a gap, with single spaces; the mean of a bin has one decimal more than its readings."""
    flat = grid.values.ravel()
    flat = np.round(flat, channel.digits + 1) if grid.method == "mean" else flat
    text = orjson.dumps(np.ascontiguousarray(flat + 0.0), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    if b"e" in text:
        return " ".join("E" if value != value else f"{value:.{channel.digits + 1}f}" for value in flat.tolist())
    return (text + b",").replace(b"null", b"E").replace(b".0,", b",")[:-1].replace(b",", b" ").decode()


def _zone_of(face: Mapping[str, Any]) -> tzinfo | None:
    """The offset that the session's own time states."""
    return datetime.fromisoformat(face.get("effectiveDateTime") or face["effectivePeriod"]["start"]).tzinfo


def _instant(at: datetime, zone: tzinfo | None) -> str:
    return (at.astimezone(zone) if zone else at).isoformat().replace("+00:00", "Z")


def series_of(one: Mapping[str, Any]) -> list[Series]:
    """The samples in an Observation of ours, or of another hub that speaks as we do: one Series a dimension; none for any other."""
    codes = {coding.get("code") for coding in one.get("code", {}).get("coding", ()) if coding.get("system") == RECORD}
    channel = next((channel for channel in CHANNELS.values() if channel.code in codes), None)
    said, start = one["valueSampledData"], one.get("effectivePeriod", {}).get("start")
    if channel is None or not isinstance(said.get("data"), str) or said.get("dimensions") != len(channel.series) or not start:
        return []
    origin, factor = said.get("origin", {}).get("value", 0), said.get("factor", 1)
    try:
        at, period = datetime.fromisoformat(start), float(said["period"]) / 1000
        values = [None if word in ("E", "U", "L") else origin + float(word) * factor for word in said["data"].split()]
    except (ValueError, TypeError, KeyError):
        return []
    if at.tzinfo is None or len(values) % len(channel.series):
        return []
    return [Series(name, at, values[dimension :: len(channel.series)], interval_s=period) for dimension, name in enumerate(channel.series)]
