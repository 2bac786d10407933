"""Kiosks, monitors and analysers: HL7 v2 ORU^R01 (IHE PCD-01 with MDC codes, and plain LOINC).

Taken as they come: CR, LF or CRLF, MLLP frames, batches (FHS/BHS), delimiters as MSH-1 and MSH-2 say, escapes, and the
character set of MSH-18; `segments.py` reads them. Here is what a result means.
Sources: HL7 v2.6 chapters 2, 3 and 7; IHE PCD-01 (containment in OBX-4, containers with status X).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

from adapters.base import AdapterError, Context, Decoded, Limits, Rejected, TooLarge
from adapters.elements import read
from adapters.segments import Segment, messages_of, moment_of, organization_of, performer_of, person_of, segments_of
from schemas.errors import InvalidRecord
from schemas.flags import FLAGS
from schemas.measures import BY_LOINC, LOINC, MDC, MEASURES, UNITS, Measure, by_property, full_mdc, loinc_mistyped, of_mdc
from schemas.records import BodyComposition, Device, Flag, Moment, Quantity, VitalSign, Who
from schemas.units import MDC_UNITS, SPELLINGS, convert, same_unit, ucum

id = "hl7v2"
title = ("HL7 v2 检测结果（ORU^R01）", "HL7 v2 results (ORU^R01)")
version = "2"
extensions = (".hl7", ".oru")
emits = frozenset({"vital", "body-composition"})
sample = (
    b"MSH|^~\\&|STATION^0011223344556677^EUI-64|KIOSK|||20260501083000+0800||ORU^R01^ORU_R01|S-1|P|2.6||||||UNICODE UTF-8\r"
    b"PID|||S1001^^^STATION^PI||Sample^Person||19500101|F\r"
    b"OBR|1|||182777000^monitoring of patient^SCT|||20260501082500+0800\r"
    b"OBX|1||528391^MDC_DEV_SPEC_PROFILE_BP^MDC|1.0.0.0|||||||X\r"
    b"OBX|2|NM|150021^MDC_PRESS_BLD_NONINV_SYS^MDC|1.1.1.1|128|266016^MDC_DIM_MMHG^MDC|||||F|||20260501082500+0800\r"
    b"OBX|3|NM|150022^MDC_PRESS_BLD_NONINV_DIA^MDC|1.1.1.2|79|266016^MDC_DIM_MMHG^MDC|||||F|||20260501082500+0800\r"
    b"OBX|4|NM|149546^MDC_PULS_RATE_NON_INV^MDC|1.1.1.4|66|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||F|||20260501082500+0800\r"
    b"OBX|5|NM|188736^MDC_MASS_BODY_ACTUAL^MDC|1.2.1.1|61.4|263875^MDC_DIM_KILO_G^MDC|||||F|||20260501082700+0800\r"
    b"OBX|6|NM|188748^MDC_BODY_FAT^MDC|1.2.1.2|27.9|262688^MDC_DIM_PERCENT^MDC|||||F|||20260501082700+0800\r"
)

MAX_BYTES: Final = 10 * 1024 * 1024
"""The most one upload may hold; messages are small, and files of more are a mistake."""

_NUMBER = re.compile(r"[+-]?(?:\d{1,15}(?:\.\d{0,12})?|\.\d{1,12})")
LONGEST_NAME: Final = 250
"""HL7 v2.6 gives an XCN or XON field 250 characters in all."""
_RANGE = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(?:[-_~–]|\.\.|to)\s*(-?\d+(?:\.\d+)?)\s*")
_BOUND = re.compile(r"\s*([<>])=?\s*(-?\d+(?:\.\d+)?)\s*")
_SYSTEM = re.compile(r"[\w.:/-]{1,60}")
"""What may be a coding system; some senders let a name run over into OBX-3.3."""
_CODE = re.compile(r"[\w.^-]{1,24}")
_NO_VALUE: Final = {8388607.0, 8388608.0, -8388608.0}
"""IEEE 11073 NaN and NRes as some feeds print them."""
_LOINC_NAMES: Final = frozenset({"LN", "LOINC", "LNC", "2.16.840.1.113883.6.1", LOINC})
_MDC_NAMES: Final = frozenset({"MDC", "ISO11073", "11073", "2.16.840.1.113883.6.24", MDC})
_UNITS_BY_CASE: Final = {unit.casefold(): ucum(unit) for unit in [*SPELLINGS, *MDC_UNITS.values(), *(measure.unit for measure in MEASURES.values())]}
_POSTURES: Final = {"SIT": "sitting", "坐": "sitting", "STAND": "standing", "站": "standing", "LYING": "lying", "SUPINE": "lying", "卧": "lying"}
_PRESSURES: Final = frozenset({"systolic", "diastolic", "mean-pressure"})
_COMPOSITION: Final = frozenset({
    "body-fat", "fat-mass", "muscle-mass", "muscle-percentage", "body-water", "bone-mass", "basal-metabolic-rate", "visceral-fat-level",
})  # fmt: skip
_WITH_COMPOSITION: Final = frozenset({"body-weight", "bmi"})
_INTERPRETATIONS: Final = frozenset({"L", "H", "LL", "HH", "N", "A", "AA"})
_AMBIGUOUS_WITHOUT_UNIT: Final = frozenset({"kg"})
"""Units whose usual values overlap with those of another unit in use (pounds): never assumed."""


class _Bad(Exception):
    """One OBX field that cannot be used."""

    def __init__(self, field: int, code: str, message: str, advice: str) -> None:
        super().__init__(message)
        self.field, self.code, self.message, self.advice = field, code, message, advice


class _Time(NamedTuple):
    moment: Moment
    from_header: bool


class _Reading(NamedTuple):
    """One usable OBX: its measure, quantity, where it hangs (OBX-4) and when."""

    measure: Measure
    quantity: Quantity
    at: _Time
    parent: str
    sub_id: str
    interpretation: Any
    low: float | None
    high: float | None
    device: Device | None
    flags: list[Flag]
    performer: str | None
    organization: str | None


_Panels = dict[tuple[Moment, str, int], list[_Reading]]
"""(moment, containment, running number) to the pressures of one measurement."""


def recognises(head: bytes, filename: str | None) -> bool:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x0b\r\n\t ")
    return start[:3] in (b"MSH", b"FHS", b"BHS") and len(start) > 3 and not start[3:4].isalnum()


def decode(stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]:
    content = read(stream, min(MAX_BYTES, context.limits.bytes))
    return _decoded(messages_of(content, context.limits), context)


def _decoded(messages: list[bytes], context: Context) -> Iterator[Decoded | Rejected]:
    observations = 0
    for row, message in enumerate(messages, 1):
        original = message if len(messages) > 1 else None
        try:
            segments = _results(segments_of(message))
            observations = _counted_in(segments, observations, context.limits)
            yield from _message(segments, row, original)
        except TooLarge:
            raise
        except AdapterError as error:
            if original is None:
                raise
            yield Rejected(row, error.field or "MSH", error.code, error.message, error.advice, original=original)


def _results(segments: list[Segment]) -> list[Segment]:
    kind = (segments[0].component(9, 1), segments[0].component(9, 2))
    if kind[0] != "ORU" or kind[1] not in ("R01", ""):
        name = "^".join(part for part in kind if part)
        shown = name if _CODE.fullmatch(name) else "without a type"
        raise AdapterError(f"The message is {shown}, not ORU^R01.", code="message-type", field="MSH-9", advice="Send results as ORU^R01.")
    return segments


def _counted_in(segments: list[Segment], before: int, limits: Limits) -> int:
    observations = before + sum(segment.name == "OBX" for segment in segments)
    if observations > limits.rows:
        raise TooLarge(f"The file has more than {limits.rows} observations.", advice="Split it.")
    return observations


def _message(segments: list[Segment], row: int, original: bytes | None) -> Iterator[Decoded | Rejected]:
    out: list[Decoded | Rejected] = []
    for group in _by_person(segments[1:]):
        out += _person(segments[0], group, row, original)
    if not any(isinstance(found, Decoded) for found in out):
        raise _nothing_usable(out)
    yield from out


def _nothing_usable(out: list[Decoded | Rejected]) -> AdapterError:
    first = next((found for found in out if isinstance(found, Rejected)), None)
    if first is None:
        return AdapterError("The message holds no result that can be used.", code="no-results", field="OBX", advice="See the list of measures.")
    return AdapterError(f"{first.field}: {first.message}", code=first.code, field=first.field, advice=first.advice)


def _by_person(segments: list[Segment]) -> list[list[Segment]]:
    """A message may hold several patients (PID … PID …)."""
    groups: list[list[Segment]] = [[]]
    for segment in segments:
        if segment.name == "PID" and any(other.name == "PID" for other in groups[-1]):
            groups.append([])
        groups[-1].append(segment)
    return groups


def _person(header: Segment, segments: list[Segment], row: int, original: bytes | None) -> list[Decoded | Rejected]:
    who = next((person_of(segment) for segment in segments if segment.name == "PID"), None)
    readings, flags, rejected, posture = _readings(header, segments, row, who, original)
    records = _records(readings, posture)
    if records:
        records[0].flags = [*records[0].flags, *flags]
    return [*(Decoded(record, who, row, original=original) for record in records), *rejected]


def _readings(
    header: Segment, segments: list[Segment], row: int, who: Who | None, original: bytes | None
) -> tuple[list[_Reading], list[Flag], list[Rejected], str | None]:
    readings: list[_Reading] = []
    flags: list[Flag] = []
    rejected: list[Rejected] = []
    request: Segment | None = None
    posture = container = None
    for number, segment in _numbered(segments):
        if segment.name == "OBR":
            request = segment
        if segment.name != "OBX":
            continue
        if segment.text(11) == "X" and not segment.raw(5):
            container = container or _mdc_device(segment)
            continue
        posture = _posture(segment) or posture
        try:
            found = _reading(header, request, segment, f"OBX[{number}]", container)
        except _Bad as bad:
            place = f"OBX[{number}]-{bad.field}"
            rejected.append(Rejected(row, place, bad.code, bad.message, bad.advice, cell=place, who=who, original=original))
            continue
        if isinstance(found, Flag):
            flags.append(found)
        elif found is not None:
            readings.append(found)
    return readings, flags, rejected, posture


def _numbered(segments: list[Segment]) -> Iterator[tuple[int, Segment]]:
    """Segments with the running number of their OBX, which is counted because OBX-1 is often empty."""
    number = 0
    for segment in segments:
        number += segment.name == "OBX"
        yield number, segment


def _mdc_device(segment: Segment) -> str | None:
    code = segment.component(3, 1)
    return code if segment.component(3, 3).upper() in _MDC_NAMES and code.isdigit() else None


def _is_posture(segment: Segment) -> bool:
    """LOINC 8361-8, or a coded body position under a device's own code (`COMEN_POS_BODY`)."""
    return segment.component(3, 1) == "8361-8" or (segment.text(2) in ("CNE", "CWE", "CE") and "POS_BODY" in segment.component(3, 2).upper())


def _posture(segment: Segment) -> str | None:
    if not _is_posture(segment):
        return None
    said = " ".join(segment.repetitions(5)[0]).upper() if segment.raw(5) else ""
    return next((posture for word, posture in _POSTURES.items() if word in said), None)


def _reading(header: Segment, request: Segment | None, segment: Segment, place: str, container: str | None) -> _Reading | Flag | None:
    """A usable reading, a flag why it was skipped, or None for what is read elsewhere (body position)."""
    if _is_posture(segment):
        return None
    coded = _coded(segment)
    if coded is None:
        _check_loinc(segment)
        return _flag("not-a-measure", f"{place}-3", _shown(segment))
    measure, coding, assumed = coded
    measure = by_property(measure, _unit(segment)[1]) if coding.startswith(MDC) else measure
    if not _present(segment):
        return _flag("value-missing", f"{place}-5", _shown(segment))
    value = _number(segment)
    if value in _NO_VALUE or (value == 0 and (measure.reject_low or 0) > 0):
        return _flag("value-missing", f"{place}-5", _shown(segment))
    quantity, flags = _quantity(measure, value, segment, coding, place)
    flags += [_flag("code-system-assumed", f"{place}-3", _shown(segment))] if assumed else []
    at = _time(header, request, segment)
    if at.from_header:
        flags.append(_flag("time-from-header", f"{place}-14"))
    low, high = _reference(segment, measure)
    sub_id = segment.text(4)
    said = segment.component(8, 1).upper()
    return _Reading(
        measure, quantity, at, sub_id.rpartition(".")[0], sub_id, said if said in _INTERPRETATIONS else None, low, high,
        _device(header, segment, container), flags, _performer(segment), _organization(segment),
    )  # fmt: skip


def _flag(code: str, field: str, about: str = "") -> Flag:
    sentence = FLAGS[code][1]
    return Flag(code, field, f"{about}: {sentence}" if about else sentence)


def _shown(segment: Segment) -> str:
    code = segment.component(3, 1)
    return code if _CODE.fullmatch(code) else ""


def _present(segment: Segment) -> bool:
    """Whether the OBX states a value: final, corrected or still to be reviewed, and not marked invalid (OBX-8 INV)."""
    return bool(segment.text(5)) and segment.text(11) not in ("X", "W", "D", "N", "I", "O") and segment.component(8, 1).upper() != "INV"


def _coded(segment: Segment) -> tuple[Measure, str, bool] | None:
    """The measure OBX-3 names (first or alternate triple), its coding, and whether its system had to be inferred."""
    for first in (1, 4):
        code, name, system = (segment.component(3, first + n) for n in range(3))
        found = _measure(code, name.upper(), system.upper() if _SYSTEM.fullmatch(system) else "")
        if found:
            return found
    return None


def _check_loinc(segment: Segment) -> None:
    """A code that is said to be LOINC's and cannot be: mistyped, and not merely of no measure."""
    for first in (1, 4):
        if segment.component(3, first + 2).upper() in _LOINC_NAMES and loinc_mistyped(segment.component(3, first)):
            raise _Bad(3, "not-a-measure", "The LOINC number fails its check digit.", "Check the code.")


def _measure(code: str, name: str, system: str) -> tuple[Measure, str, bool] | None:
    if system in _LOINC_NAMES or not system:
        measure = BY_LOINC.get(code)
        if measure and measure.unit:
            return measure, f"{LOINC}|{code}", not system
    if system in _MDC_NAMES or (not system and (name.startswith("MDC_") or len(code) == 6)):
        full = full_mdc(code)
        measure = of_mdc(full)
        if measure and measure.unit:
            return measure, f"{MDC}|{full}", not system or full != code
    return None


def _number(segment: Segment) -> float:
    """OBX-5 as a number: NM and ST as it stands, SN from its second component."""
    text = _structured(segment) if segment.text(2) == "SN" else segment.text(5)
    if not _NUMBER.fullmatch(text):
        raise _Bad(5, "not-a-number", "The value is not a number.", "Send a plain number, its unit in OBX-6.")
    return float(text)


def _structured(segment: Segment) -> str:
    comparator, first, separator, _ = (segment.component(5, n) for n in range(1, 5))
    if comparator not in ("", "=") or separator:
        raise _Bad(5, "comparator", "The value is a bound, a ratio or a range, not one number.", "Send the measured number.")
    return first


def _quantity(measure: Measure, value: float, segment: Segment, coding: str, place: str) -> tuple[Quantity, list[Flag]]:
    written, unit = _unit(segment)
    if not unit:
        return _without_unit(measure, value, coding, place)
    try:
        converted = convert(value, unit, measure.unit)
    except InvalidRecord as error:
        raise _Bad(6, "unit", error.message, f"Send {measure.unit}.") from None
    flags = [_flag("unit-normalized", f"{place}-6")] if written not in MDC_UNITS and not same_unit(written, unit) else []
    if same_unit(unit, measure.unit):
        return Quantity(measure.key, converted, measure.unit, None, coding), flags
    flags.append(_flag("unit-converted", f"{place}-6"))
    return Quantity(measure.key, converted, measure.unit, f"{value:g} {unit}", coding), flags


def _without_unit(measure: Measure, value: float, coding: str, place: str) -> tuple[Quantity, list[Flag]]:
    usual = measure.low is not None and measure.high is not None and measure.low <= value <= measure.high
    if not usual or measure.unit in _AMBIGUOUS_WITHOUT_UNIT:
        raise _Bad(6, "unit", "The value has no unit.", f"Send the unit in OBX-6, for example {measure.unit}.")
    return Quantity(measure.key, value, measure.unit, None, coding), [_flag("unit-assumed", f"{place}-6")]


def _unit(segment: Segment) -> tuple[str, str]:
    """OBX-6 as it is written, and as UCUM."""
    code, name = segment.component(6, 1), segment.component(6, 2)
    full = full_mdc(code, UNITS)
    if full in MDC_UNITS:
        return full, MDC_UNITS[full]
    written = code or name
    if ucum(written) != written:
        return written, ucum(written)
    return written, _UNITS_BY_CASE.get(written.casefold(), written)


def _time(header: Segment, request: Segment | None, segment: Segment) -> _Time:
    for source, field in ((segment, 14), (request, 7)):
        moment = moment_of(source.component(field, 1)) if source else None
        if moment:
            return _Time(moment, False)
    moment = moment_of(header.component(7, 1))
    if moment is None:
        raise _Bad(14, "time", "There is no time of measurement.", "Send it in OBX-14 or OBR-7, with the offset: 20260501083000+0800.")
    return _Time(moment, True)


def _reference(segment: Segment, measure: Measure) -> tuple[float | None, float | None]:
    """OBX-7 in the measure's unit. Sources write `70-105`, `70_105`, `<5`."""
    text = segment.raw(7)
    both, one = _RANGE.fullmatch(text), _BOUND.fullmatch(text)
    unit = _unit(segment)[1] or measure.unit
    low = both[1] if both else one[2] if one and one[1] == ">" else None
    high = both[2] if both else one[2] if one and one[1] == "<" else None
    return tuple(None if bound is None else convert(float(bound), unit, measure.unit) for bound in (low, high))  # type: ignore[return-value]


def _device(header: Segment, segment: Segment, container: str | None) -> Device | None:
    """The device by OBX-18, else by MSH-3, which gateways share among many devices."""
    own, name = segment.component(18, 1), segment.component(18, 2)
    gateway = header.component(3, 2) if header.component(3, 3).upper() == "EUI-64" else ""
    device = Device(model=name or header.component(3, 1) or None, identifier=own or gateway or None, mdc_type=container)
    return device if device != Device() else None


def _performer(segment: Segment) -> str | None:
    """Who answers for the value: OBX-16, where that is empty the medical director of who measured (OBX-25)."""
    found = next(((n, said) for n in (16, 25) if (said := performer_of(segment, n))), None)
    return _name(*found) if found else None


def _organization(segment: Segment) -> str | None:
    said = organization_of(segment, 23)
    return _name(23, said) if said else None


def _name(field: int, said: str) -> str:
    if len(said) > LONGEST_NAME or not said.isprintable():
        raise _Bad(field, "not-a-name", "What stands here is no name and no number.", "Check the delimiters, or leave the field empty.")
    return said


def _records(readings: list[_Reading], posture: str | None) -> list[VitalSign | BodyComposition]:
    """Readings to records: pressures of one moment and place to a panel, a weighing's figures together, the rest singly."""
    with_fat = {reading.at.moment for reading in readings if reading.measure.key in _COMPOSITION}
    weighings: dict[Moment, list[_Reading]] = {}
    panels: _Panels = {}
    held: Counter[tuple[Moment, str, str]] = Counter()
    singles: list[_Reading] = []
    for reading in readings:
        key, moment = reading.measure.key, reading.at.moment
        if key in _COMPOSITION or (key in _WITH_COMPOSITION and moment in with_fat):
            weighings.setdefault(moment, []).append(reading)
        elif key in _PRESSURES:
            _panel(panels, held, reading).append(reading)
        else:
            singles.append(reading)
    ordinals = _ordinals(singles)
    return [
        *(_pressure(group, ordinal, posture) for ordinal, group in _counted(panels)),
        *(_single(reading, *ordinals[n]) for n, reading in enumerate(singles)),
        *(_weighing(group) for group in weighings.values()),
    ]


def _panel(panels: _Panels, held: Counter[tuple[Moment, str, str]], reading: _Reading) -> list[_Reading]:
    """The panel this pressure belongs to: same moment and containment, and not yet holding that pressure."""
    number = held[reading.at.moment, reading.parent, reading.measure.key]
    held[reading.at.moment, reading.parent, reading.measure.key] += 1
    return panels.setdefault((reading.at.moment, reading.parent, number), [])


def _counted(panels: _Panels) -> Iterator[tuple[int, list[_Reading]]]:
    seen: dict[Moment, int] = {}
    for (moment, _, _), group in panels.items():
        yield seen.get(moment, 0), group
        seen[moment] = seen.get(moment, 0) + 1


def _ordinals(singles: list[_Reading]) -> list[tuple[int, bool]]:
    """For each reading its number among those of the same measure and moment, and whether there are several."""
    keys = [(reading.measure.key, reading.at.moment) for reading in singles]
    several = Counter(keys)
    seen: Counter[tuple[str, Moment]] = Counter()
    found = []
    for key in keys:
        found.append((seen[key], several[key] > 1))
        seen[key] += 1
    return found


def _pressure(group: list[_Reading], ordinal: int, posture: str | None) -> VitalSign:
    first = group[0]
    order = ("systolic", "diastolic", "mean-pressure")
    components = sorted((reading.quantity for reading in group), key=lambda quantity: order.index(quantity.measure))
    return VitalSign(
        start=first.at.moment, measure="blood-pressure", components=components, posture=posture, ordinal=ordinal, device=first.device,
        interpretation=next((reading.interpretation for reading in group if reading.interpretation), None), flags=_flags(group), **_measured_by(group),
    )  # fmt: skip


def _single(reading: _Reading, ordinal: int, several: bool) -> VitalSign:
    flags = [*reading.flags, *([_flag("duplicate-probe", reading.measure.key)] if several else [])]
    return VitalSign(
        start=reading.at.moment, measure=reading.measure.key, quantity=reading.quantity, interpretation=reading.interpretation, ordinal=ordinal,
        reference_low=reading.low, reference_high=reading.high, device=reading.device, flags=flags, **_measured_by([reading]),
    )  # fmt: skip


def _weighing(group: list[_Reading]) -> BodyComposition:
    quantities = [reading.quantity for reading in group]
    return BodyComposition(start=group[0].at.moment, quantities=quantities, device=group[0].device, flags=_flags(group), **_measured_by(group))


def _measured_by(group: list[_Reading]) -> dict[str, Any]:
    """The first person and the first organization that the results of one record name."""
    return {
        "performer": next((reading.performer for reading in group if reading.performer), None),
        "performing_organization": next((reading.organization for reading in group if reading.organization), None),
    }


def _flags(group: list[_Reading]) -> list[Flag]:
    return [flag for reading in group for flag in reading.flags]
