"""Record types of the unified data standard (统一数据口径): what adapters yield, the store seals, mappings turn into FHIR.

A record is one thing that happened to one resident; `VenueOccupancy` alone is about a place. Shapes are msgspec structs: field names carry their unit
(`_s` seconds, `_m` metres, `_kcal`, `_w` watts), one UCUM unit per quantity, absent is absent (None, omitted when encoded).
Who the record is about is never inside it: `Who` travels beside it until identity is settled.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal, get_args

import msgspec

STANDARD_VERSION = "0.2.0"
"""Semantic version of the unified data standard, written on every record: the last part rises with a correction that no record shows, the middle one
with what is added (a kind, a field that may be absent, a measure), the first with what a reader of older records must know."""

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


class Specialization(msgspec.Struct, frozen=True, omit_defaults=True):
    """A device specialization of IEEE 11073-104xx that a device states (System-Type-Spec-List): its MDC code, and the version of that standard."""

    mdc: str
    version: str | None = None


class DeviceVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version other than the firmware's that a device states. `mdc` says of what: 531974 hardware, 531975 software, 532352 Continua (IEEE 11073-10101)."""

    value: str
    mdc: str | None = None


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """The device as the source names it. `identifier` is an EUI-64 (16 hexadecimal digits) or whatever else tells it from others."""

    manufacturer: str | None = None
    model: str | None = None
    identifier: str | None = None
    firmware: str | None = None
    mdc_type: str | None = None
    serial: str | None = None
    specializations: list[Specialization] = []
    versions: list[DeviceVersion] = []


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


Interpretation = Literal["L", "H", "LL", "HH", "N", "A", "AA"]
MeasurementStatus = Literal["questionable", "calibration-ongoing", "validated", "early-indication", "in-alarm", "alarm-inhibited"]
"""What a device says of its reading: the Measurement-Status of IEEE 11073-20601 in the codes of the HL7 PHD IG (PhdBaseObservation.interpretation)."""


class Analyte(msgspec.Struct, frozen=True, omit_defaults=True):
    """One result of a laboratory report: a `measure` of the standard, else the laboratory's own `name` and `coding`.

    value: in `unit`, which is the measure's where there is one; text: a result in words (`阴性`)
    """

    measure: str | None = None
    name: str | None = None
    coding: str | None = None
    value: float | None = None
    comparator: Literal["<", "<=", ">=", ">"] | None = None
    unit: str | None = None
    original: str | None = None
    text: str | None = None
    reference_low: float | None = None
    reference_high: float | None = None
    reference_text: str | None = None
    interpretation: Interpretation | None = None
    specimen: str | None = None
    method: str | None = None


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One question of a questionnaire, `item` as its link id, and what was answered."""

    item: str
    question: str | None = None
    answer: str | bool | int | float | None = None


class Precaution(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an instructor must know to act safely, without the diagnosis behind it: a limit, a contraindication."""

    text: str
    coding: str | None = None
    until: date | None = None


class Goal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a prescription is to reach: in words, and as a measure's value where it is one."""

    text: str
    measure: str | None = None
    value: float | None = None
    unit: str | None = None
    comparator: Literal["<", "<=", ">=", ">"] | None = None
    due: date | None = None


class Exercise(msgspec.Struct, frozen=True, omit_defaults=True):
    """One exercise of a prescription as FITT-VP: type, frequency, intensity, time, volume and progression.

    hr_*: /min; hrr_*_percent: of the heart rate reserve; rpe_*: Borg, as the author's scale has it; met_minutes: a week
    """

    text: str
    sport: str | None = None
    frequency_per_week: int | None = None
    duration_min: float | None = None
    intensity: Literal["light", "moderate", "vigorous"] | None = None
    hr_low: float | None = None
    hr_high: float | None = None
    hrr_low_percent: float | None = None
    hrr_high_percent: float | None = None
    rpe_low: float | None = None
    rpe_high: float | None = None
    met_minutes: float | None = None
    progression: str | None = None


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measure before and after. `change` and `verdict` only as the source states them."""

    measure: str
    before: float
    after: float
    unit: str
    change: float | None = None
    verdict: str | None = None


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
    """One vital sign or point measurement: `quantity`, or `components` under a panel `measure` (blood pressure).

    performer, performing_organization: who measured, by name or identifier
    gateway: the personal health gateway (PHG) that received the reading from `device`
    measurement_status: what the device itself says of the reading
    """

    measure: str
    quantity: Quantity | None = None
    components: list[Quantity] = []
    posture: str | None = None
    body_site: str | None = None
    interpretation: Interpretation | None = None
    reference_low: float | None = None
    reference_high: float | None = None
    ordinal: int = 0
    performer: str | None = None
    performing_organization: str | None = None
    gateway: Device | None = None
    measurement_status: MeasurementStatus | None = None


class BodyComposition(Envelope, kw_only=True, tag="body-composition"):
    """One weighing on a body-composition scale: all its quantities together. Who measured is said as of a vital sign."""

    quantities: list[Quantity]
    performer: str | None = None
    performing_organization: str | None = None


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


class LabResult(Envelope, kw_only=True, tag="lab-result"):
    """A laboratory's report with its results. `start` is when the specimen was taken, `issued` when the report was made."""

    title: str | None = None
    status: Literal["preliminary", "final", "amended", "corrected"] | None = None
    issued: Moment | None = None
    items: list[Analyte]
    specimen: str | None = None
    laboratory: str | None = None
    reporter: str | None = None
    conclusion: str | None = None


class Sleep(Envelope, kw_only=True, tag="sleep"):
    """One period of sleep, from going to bed to getting up. A score is stored as the source gives it."""

    total_min: float | None = None
    deep_min: float | None = None
    light_min: float | None = None
    rem_min: float | None = None
    in_bed_min: float | None = None
    awake_min: float | None = None
    awakenings: int | None = None
    efficiency_percent: float | None = None
    score: float | None = None
    hr_avg: float | None = None
    hr_min: float | None = None


class Screening(Envelope, kw_only=True, tag="screening"):
    """A questionnaire or self-rating scale, filled in: PAR-Q+, IPAQ, a kiosk's scales. Score and risk as the source gives them, never computed here.

    instrument: the source's code of it; limits: what an instructor must know, which is of the class `prescription`
    """

    instrument: str
    title: str | None = None
    edition: str | None = None
    answers: list[Answer] = []
    score: float | None = None
    risk_level: str | None = None
    conclusion: str | None = None
    valid_until: date | None = None
    limits: list[Precaution] = []
    assessor: str | None = None


class Prescription(Envelope, kw_only=True, tag="prescription"):
    """An exercise prescription (FITT-VP), valid from `start` to `end`. A plan that was improved is a new one that `replaces` the old.

    reason: why it is given, which the Physical Activity profile of an order demands: without it that is not claimed;
    replaces: the source's id of the older one
    """

    title: str | None = None
    status: Literal["draft", "active", "on-hold", "revoked", "completed"]
    reason: str | None = None
    reason_coding: str | None = None
    author: str | None = None
    authored: Moment | None = None
    goals: list[Goal] = []
    exercises: list[Exercise]
    precautions: list[Precaution] = []
    summary: str | None = None
    replaces: str | None = None
    change: str | None = None


class Referral(Envelope, kw_only=True, tag="referral"):
    """A referral of a resident to an exercise programme, and how far it has come.

    recipient: who is asked, by name or identifier; status_reason: exactly when it was rejected, put on hold, failed or was cancelled
    """

    status: Literal["draft", "requested", "accepted", "rejected", "in-progress", "on-hold", "failed", "completed", "cancelled"]
    status_reason: str | None = None
    progress: str | None = None
    changed: Moment | None = None
    reason: str
    reason_coding: str | None = None
    service: str | None = None
    urgency: Literal["routine", "urgent", "asap", "stat"] | None = None
    requester: str | None = None
    recipient: str
    outcome: str | None = None


class EffectEvaluation(Envelope, kw_only=True, tag="effect-evaluation"):
    """An evaluation of what exercise brought (运动效果评估), derived from tests before and after: by what formula, of what inputs.

    inputs: ids, as their sources gave them, of the records it was made of
    """

    formula: str
    formula_version: str
    inputs: list[str] = []
    changes: list[Change]
    grade: str | None = None
    conclusion: str | None = None
    evaluator: str | None = None
    prescription: str | None = None


class RehabilitationStatus(Envelope, kw_only=True, tag="rehabilitation-status"):
    """How far a rehabilitation has come (康复情况), as assessed. Score as the scale gives it."""

    stage: str
    problem: str | None = None
    problem_coding: str | None = None
    scale: str | None = None
    score: float | None = None
    progress: str | None = None
    programme: str | None = None
    assessor: str | None = None


class MovementAssessment(Envelope, kw_only=True, tag="movement-assessment"):
    """A movement judged by an algorithm (动作评估), which is named with its version. No picture and no video is kept."""

    movement: str
    algorithm: str
    algorithm_version: str
    repetitions: int | None = None
    score: float | None = None
    findings: list[str] = []
    venue: str | None = None


class Condition(Envelope, kw_only=True, tag="condition"):
    """A diagnosis or health problem. `start` is when it was recorded, `onset` when it began."""

    name: str
    coding: str | None = None
    clinical_status: Literal["active", "recurrence", "relapse", "inactive", "remission", "resolved"] | None = None
    verification: Literal["unconfirmed", "provisional", "differential", "confirmed", "refuted"] | None = None
    severity: str | None = None
    body_site: str | None = None
    onset: date | None = None
    abatement: date | None = None
    recorder: str | None = None


class Medication(Envelope, kw_only=True, tag="medication"):
    """A medicine that the resident takes or took, from `start` to `end`, as stated."""

    name: str
    coding: str | None = None
    status: Literal["active", "completed", "intended", "stopped", "on-hold", "unknown", "not-taken"] | None = None
    dosage: str | None = None
    reason: str | None = None
    reason_coding: str | None = None


class Visit(Envelope, kw_only=True, tag="visit"):
    """A visit to a hospital or clinic."""

    setting: Literal["outpatient", "inpatient", "emergency", "home", "virtual"] | None = None
    department: str | None = None
    practitioner: str | None = None
    reason: str | None = None
    reason_coding: str | None = None


class Imaging(Envelope, kw_only=True, tag="imaging"):
    """An imaging examination: where the pictures are known, and what the report says. The pictures themselves are not kept.

    dicom_modality: such as `MR`; study_uid: DICOM study instance UID
    """

    dicom_modality: str | None = None
    description: str | None = None
    body_site: str | None = None
    study_uid: str | None = None
    conclusion: str | None = None
    reporter: str | None = None


class Appointment(Envelope, kw_only=True, tag="appointment"):
    """A booking or enrolment: a class, a course, an instructor's hour."""

    end: Moment
    status: Literal["proposed", "pending", "booked", "arrived", "fulfilled", "cancelled", "noshow", "waitlist"]
    service: str | None = None
    programme: str | None = None
    venue: str | None = None
    practitioner: str | None = None
    cancellation: str | None = None


class Guidance(Envelope, kw_only=True, tag="guidance"):
    """Advice that an instructor gave (健身指导)."""

    advice: str
    topic: str | None = None
    mode: Literal["in-person", "phone", "message", "video"] | None = None
    practitioner: str | None = None
    venue: str | None = None


Achievement = Literal["in-progress", "improving", "worsening", "no-change", "achieved", "sustaining", "not-achieved", "no-progress", "not-attainable"]


class Adherence(Envelope, kw_only=True, tag="adherence"):
    """How a prescription was followed from `start` to `end`: by what formula, of what inputs."""

    formula: str
    formula_version: str
    inputs: list[str] = []
    prescription: str | None = None
    prescribed_sessions: int | None = None
    done_sessions: int | None = None
    prescribed_min: float | None = None
    done_min: float | None = None
    in_zone_min: float | None = None
    adherence_percent: float | None = None
    goal: str | None = None
    achievement: Achievement | None = None


class Points(Envelope, kw_only=True, tag="points"):
    """One entry of a points ledger. An entry is never changed: a mistake is made good by another."""

    delta: float
    reason: str
    balance: float | None = None
    rule: str | None = None
    expires: date | None = None


class Membership(Envelope, kw_only=True, tag="membership"):
    """A membership from `start` to `end`."""

    status: Literal["active", "cancelled"]
    number: str | None = None
    level: str | None = None


class IssueReport(Envelope, kw_only=True, tag="issue-report"):
    """What a resident reported to a venue, and the answer."""

    text: str
    status: Literal["requested", "received", "accepted", "in-progress", "completed", "rejected"]
    topic: str | None = None
    venue: str | None = None
    answer: str | None = None
    changed: Moment | None = None


class VenueOccupancy(Envelope, kw_only=True, tag="venue-occupancy"):
    """How many people were at a venue from `start` to `end` (a moment without one). It is about a place and names nobody.

    venue: a Location of the sender's directory, by name, identifier or reference; present: people there, at the end of the period
    peak, mean: of the people there at a time; visits: how many came in; capacity: how many it holds
    counting: how they were counted, never by recognising anybody; withdrawn: the source takes back what it sent, entered in error
    """

    venue: str
    present: int | None = None
    peak: int | None = None
    mean: float | None = None
    visits: int | None = None
    capacity: int | None = None
    counting: Literal["gate", "camera", "manual"] | None = None
    withdrawn: bool = False


Record = (
    Session | VitalSign | BodyComposition | DaySummary | FitnessTest | CheckIn | LabResult | Sleep | Screening | Prescription | Referral | EffectEvaluation
    | RehabilitationStatus | MovementAssessment | Condition | Medication | Visit | Imaging | Appointment | Guidance | Adherence | Points | Membership
    | IssueReport | VenueOccupancy
)  # fmt: skip
"""What adapters may yield. The resident and the consent are records too, written by their own front doors."""

KINDS: dict[str, type[Envelope]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Record)}
"""Kind to its struct."""


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
