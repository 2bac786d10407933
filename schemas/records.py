"""Record types of the unified data standard (统一数据口径): what adapters yield, the store seals, mappings turn into FHIR.

A record is one thing that happened to one resident. Shapes are msgspec structs: field names carry their unit
(`_s` seconds, `_m` metres, `_kcal`, `_w` watts), one UCUM unit per quantity, absent is absent (None, omitted when encoded).
Who the record is about is never inside it: `Who` travels beside it until identity is settled.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

STANDARD_VERSION = "0.2.0"
"""Semantic version of the unified data standard, written on every record."""

Precision = Literal["instant", "minute", "day"]


class Moment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A point in time exactly as sure as the source was.

    at:              the instant, aware, UTC; None when only a wall clock without a zone is known
    offset_minutes:  local offset stated by the source (or by the party's zone, flagged `zone-assumed`); None = not stated
    local:           naive wall clock; only when `at` is None
    precision:       `day` when the source gives a date without a time
    """

    at: datetime | None = None
    offset_minutes: int | None = None
    local: datetime | None = None
    precision: Precision = "instant"


class Flag(msgspec.Struct, frozen=True, omit_defaults=True):
    """A quality flag or warning: `code` from `schemas/flags.py`, the field, and a sentence without personal data."""

    code: str
    field: str = ""
    message: str = ""


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """The device as the source names it. `identifier` is an EUI-64 or serial number."""

    manufacturer: str | None = None
    model: str | None = None
    identifier: str | None = None
    firmware: str | None = None
    mdc_type: str | None = None


class Quantity(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measured value. `measure` is a key of `schemas/measures.csv`, `unit` that measure's UCUM unit.

    original: the value and unit as the source wrote them, when they differ (`98.6 [degF]`).
    coding:   the source's own code (`urn:iso:std:iso:11073:10101|150021`), kept as a further coding.
    """

    measure: str
    value: float
    unit: str
    original: str | None = None
    coding: str | None = None


class Lap(msgspec.Struct, frozen=True, omit_defaults=True):
    """One lap, length or segment of a session."""

    start: datetime | None = None
    elapsed_s: float | None = None
    timer_s: float | None = None
    distance_m: float | None = None
    energy_kcal: float | None = None
    hr_avg: float | None = None
    hr_max: float | None = None


class Envelope(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every record says: when, from what device, how it was obtained, how sure.

    start / end: `end` may be absent for a point in time.
    source_record_id: the source's own id of it, when it has one: the first choice for the natural key.
    """

    start: Moment
    end: Moment | None = None
    source_record_id: str | None = None
    modality: Literal["sensed", "self-reported", "derived"] | None = None
    device: Device | None = None
    flags: list[Flag] = []
    note: str | None = None


class Session(Envelope, kw_only=True, tag="session"):
    """A workout bout. Face: HL7 Physical Activity IG 1.0.1 activity group with activity measures.

    sport: code of `schemas/sports.csv`; None = the source does not say
    elapsed_s: wall clock from start to end; timer_s: without pauses (FIT total_timer_time, TCX TotalTimeSeconds)
    hr_*: /min; energy_kcal: as the device states; steps: counted steps (strokes in `strokes`)
    samples: how many track points or record messages the source holds; hr_samples: of these with a heart rate
    """

    sport: str | None = None
    sub_sport: str | None = None
    title: str | None = None
    elapsed_s: float | None = None
    timer_s: float | None = None
    distance_m: float | None = None
    energy_kcal: float | None = None
    steps: int | None = None
    strokes: int | None = None
    hr_avg: float | None = None
    hr_max: float | None = None
    hr_min: float | None = None
    power_avg_w: float | None = None
    power_max_w: float | None = None
    cadence_avg: float | None = None
    ascent_m: float | None = None
    met: float | None = None
    rpe: float | None = None
    moderate_min: float | None = None
    vigorous_min: float | None = None
    pool_length_m: float | None = None
    indoor: bool | None = None
    samples: int | None = None
    hr_samples: int | None = None
    gps_samples: int | None = None
    laps: list[Lap] = []
    venue: str | None = None
    coach: str | None = None
    programme: str | None = None


class VitalSign(Envelope, kw_only=True, tag="vital"):
    """One vital sign or point measurement: `quantity`, or `components` under a panel `measure` (blood pressure)."""

    measure: str
    quantity: Quantity | None = None
    components: list[Quantity] = []
    posture: str | None = None
    body_site: str | None = None
    interpretation: Literal["L", "H", "LL", "HH", "N", "A", "AA"] | None = None
    reference_low: float | None = None
    reference_high: float | None = None
    ordinal: int = 0


class BodyComposition(Envelope, kw_only=True, tag="body-composition"):
    """One weighing on a body-composition scale: all its quantities together."""

    quantities: list[Quantity]


class DaySummary(Envelope, kw_only=True, tag="day-summary"):
    """Totals of one local day (`date`). Rates are per that day; distance in metres, minutes in minutes."""

    date: date
    steps: int | None = None
    distance_m: float | None = None
    energy_kcal: float | None = None
    active_energy_kcal: float | None = None
    active_min: float | None = None
    moderate_min: float | None = None
    vigorous_min: float | None = None
    resting_hr: float | None = None
    hr_avg: float | None = None
    hr_max: float | None = None
    hr_min: float | None = None
    floors: int | None = None


class FitnessTest(Envelope, kw_only=True, tag="fitness-test"):
    """A 国民体质测定 visit: raw values of its items. Scores are stored as given by the source, never computed here."""

    edition: str | None = None
    items: list[Quantity]
    grade: str | None = None
    total_score: float | None = None
    tester: str | None = None


class CheckIn(Envelope, kw_only=True, tag="check-in"):
    """A visit through a venue's gate."""

    venue: str | None = None
    method: str | None = None
    programme: str | None = None


Record = Session | VitalSign | BodyComposition | DaySummary | FitnessTest | CheckIn
"""What adapters may yield. The resident and the consent are records too, written by their own front doors."""

KINDS: dict[str, type[Envelope]] = {
    "session": Session,
    "vital": VitalSign,
    "body-composition": BodyComposition,
    "day-summary": DaySummary,
    "fitness-test": FitnessTest,
    "check-in": CheckIn,
}


class Series(msgspec.Struct, frozen=True, omit_defaults=True):
    """Samples of one channel of a session, kept beside the record, never a row per sample.

    channel: `heart-rate` /min, `power` W, `cadence` /min, `speed` m/s, `altitude` m, `distance` m,
             `latitude` and `longitude` degrees WGS-84 (data class `location`)
    start:   instant of offset 0
    interval_s: regular spacing, or None and then `offsets_s` has one entry per value
    values:  None = no reading at that moment
    """

    channel: str
    start: datetime
    values: list[float | None]
    interval_s: float | None = None
    offsets_s: list[float] | None = None


class Who(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a file says about whom a row belongs to. Hints for identity, sealed like the rest; never logged."""

    member_number: str | None = None
    id_number: str | None = None
    health_card: str | None = None
    name: str | None = None
    phone: str | None = None
    birth_date: date | None = None
    gender: str | None = None
    source_id: str | None = None


class Decoded(msgspec.Struct):
    """One record out of a file, with where it stood, whom it names, its samples and its own bytes.

    row: 1-based row, element or message number, as a person would find it; cell names live in flags' `field`
    original: the bytes of this row alone, in a many-person file; None = the whole file is this person's
    cell: where a table says whose it is (`A5`)
    """

    record: Record
    who: Who | None = None
    row: int | None = None
    series: list[Series] = []
    original: bytes | None = None
    cell: str | None = None


class Rejected(msgspec.Struct):
    """One row that cannot be used: where, which field, why (code and sentence), what to do. Its neighbours are kept."""

    row: int
    field: str
    code: str
    message: str
    advice: str = ""
    cell: str | None = None
    who: Who | None = None
    original: bytes | None = None


encode = msgspec.json.Encoder().encode
"""A record to its canonical JSON bytes."""

decode = msgspec.json.Decoder(Record).decode
"""Canonical JSON bytes back to a record. Raises msgspec.ValidationError."""
