"""Kiosks, monitors and analysers: HL7 v2 ORU^R01 (IHE PCD-01 with MDC codes, and plain LOINC).

The reader here is small and tolerant on purpose: the libraries drop segments that end in LF instead of CR. It takes CR,
LF or CRLF, MLLP frames, batches (FHS/BHS), delimiters as MSH-1 and MSH-2 say, escapes, and the character set of MSH-18.
Sources: HL7 v2.6 chapters 2, 3 and 7; IHE PCD-01 (containment in OBX-4, containers with status X).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import msgspec

from adapters.base import AdapterError, Context, Decoded, Limits, Rejected, TooLarge
from adapters.elements import read
from schemas.errors import InvalidRecord
from schemas.flags import FLAGS
from schemas.measures import BY_LOINC, BY_MDC, LOINC, MDC, MEASURES, Measure
from schemas.records import BodyComposition, Device, Flag, Moment, Quantity, VitalSign, Who
from schemas.units import MDC_UNITS, SPELLINGS, convert, same_unit, ucum

id = "hl7v2"
title = ("HL7 v2 检测结果（ORU^R01）", "HL7 v2 results (ORU^R01)")
version = "1"
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
MAX_SEGMENTS: Final = 10_000
"""The most one message may hold."""

_VT, _FS = b"\x0b", b"\x1c"
_NUMBER = re.compile(r"[+-]?(?:\d{1,15}(?:\.\d{0,12})?|\.\d{1,12})")
_DTM = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(?:\.(\d{1,6})\d*)?)?)?([+-]\d{4})?")
_RANGE = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(?:[-_~–]|\.\.|to)\s*(-?\d+(?:\.\d+)?)\s*")
_BOUND = re.compile(r"\s*([<>])=?\s*(-?\d+(?:\.\d+)?)\s*")
_ESCAPE = re.compile(r"\\([^\\]{0,200})\\")
_SYSTEM = re.compile(r"[\w.:/-]{1,60}")
"""What may be a coding system; some senders let a name run over into OBX-3.3."""
_CODE = re.compile(r"[\w.^-]{1,24}")
_NO_VALUE: Final = {8388607.0, 8388608.0, -8388608.0}
"""IEEE 11073 NaN and NRes as some feeds print them."""
_CHARSETS: Final = {
    "": "utf-8", "ASCII": "utf-8", "UNICODE UTF-8": "utf-8", "UNICODE": "utf-8", "UTF-8": "utf-8", "UTF8": "utf-8", "8859/1": "latin-1",
    "GB 18030-2000": "gb18030", "GB18030": "gb18030", "GB18030-2000": "gb18030", "GBK": "gb18030", "GB2312": "gb18030", "GB 2312-80": "gb18030",
    "8859/15": "iso8859-15",
}  # fmt: skip
_LOINC_NAMES: Final = frozenset({"LN", "LOINC", "LNC", "2.16.840.1.113883.6.1", LOINC})
_MDC_NAMES: Final = frozenset({"MDC", "ISO11073", "11073", "2.16.840.1.113883.6.24", MDC})
_UNITS_BY_CASE: Final = {unit.casefold(): ucum(unit) for unit in [*SPELLINGS, *MDC_UNITS.values(), *(measure.unit for measure in MEASURES.values())]}
_GENDERS: Final = {"M": "male", "F": "female", "O": "other", "A": "other", "U": "unknown", "N": "unknown", "1": "male", "2": "female", "0": "unknown"}
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


class _Marks(NamedTuple):
    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str


class _Segment(NamedTuple):
    """A segment's raw fields; `fields[n]` is field n as HL7 counts (MSH-1 and MSH-2 included)."""

    name: str
    fields: list[str]
    marks: _Marks

    def text(self, n: int) -> str:
        return self._plain(self.raw(n))

    def raw(self, n: int) -> str:
        return self.fields[n].strip() if n < len(self.fields) else ""

    def repetitions(self, n: int) -> list[list[str]]:
        """Field n as repetitions of components, unescaped; repetitions without content are left out."""
        found = [part.split(self.marks.component) for part in self.raw(n).split(self.marks.repetition)] if self.marks.repetition else []
        found = found or [self.raw(n).split(self.marks.component)]
        return [[self._plain(component) for component in components] for components in found if any(components)]

    def component(self, n: int, m: int) -> str:
        found = self.repetitions(n)
        return found[0][m - 1] if found and m <= len(found[0]) else ""

    def _plain(self, text: str) -> str:
        text = text.strip()
        if text == '""':
            return ""
        if not self.marks.escape or self.marks.escape not in text:
            return text
        letters = {"F": self.marks.field, "S": self.marks.component, "T": self.marks.subcomponent, "R": self.marks.repetition, "E": self.marks.escape}
        return _ESCAPE.sub(lambda found: letters.get(found[1], " " if found[1] == ".br" else ""), text.replace(self.marks.escape, "\\"))


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


_Panels = dict[tuple[Moment, str, int], list[_Reading]]
"""(moment, containment, running number) to the pressures of one measurement."""


def recognises(head: bytes, filename: str | None) -> bool:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x0b\r\n\t ")
    return start[:3] in (b"MSH", b"FHS", b"BHS") and len(start) > 3 and not start[3:4].isalnum()


def decode(stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]:
    content = read(stream, min(MAX_BYTES, context.limits.bytes))
    messages = _messages(_frames(content), context.limits)
    return _decoded(messages, context)


def _decoded(messages: list[bytes], context: Context) -> Iterator[Decoded | Rejected]:
    observations = 0
    for row, message in enumerate(messages, 1):
        original = message if len(messages) > 1 else None
        try:
            segments = _segments(message)
            observations = _counted_in(segments, observations, context.limits)
            yield from _message(segments, row, original)
        except TooLarge:
            raise
        except AdapterError as error:
            if original is None:
                raise
            yield Rejected(row, error.field or "MSH", error.code, error.message, error.advice, original=original)


def _counted_in(segments: list[_Segment], before: int, limits: Limits) -> int:
    observations = before + sum(segment.name == "OBX" for segment in segments)
    if observations > limits.rows:
        raise TooLarge(f"The file has more than {limits.rows} observations.", advice="Split it.")
    return observations


def _frames(content: bytes) -> list[bytes]:
    """The contents of MLLP frames, or the whole file when it has none."""
    text = content.strip(b"\r\n\t ")
    if not text.startswith(_VT):
        text = text.rstrip(_FS + b"\r\n")
        if _VT in text or _FS in text:
            raise AdapterError("A block mark stands inside a message.", code="framing", advice="Send the message as it left the device.")
        return [text]
    frames = []
    while text:
        body, end, text = text[1:].partition(_FS)
        if not end:
            raise AdapterError("The last message has no end block: it was cut off.", code="truncated", advice="Send the whole message.")
        if _VT in body:
            raise AdapterError("A block mark stands inside a message.", code="framing", advice="Send the message as it left the device.")
        frames.append(body)
        text = text.lstrip(b"\r\n\t ")
        if text and not text.startswith(_VT):
            raise AdapterError("Bytes stand between two messages.", code="framing", advice="Send each message in its own block.")
    return frames


def _messages(frames: Iterable[bytes], limits: Limits) -> list[bytes]:
    """Each message's bytes, from its MSH to the next; batch and file headers fall away."""
    found: list[list[bytes]] = []
    for frame in frames:
        for line in re.split(rb"[\r\n]+", frame):
            line = line.strip(b" \t")
            if line.startswith(b"MSH"):
                found.append([line])
            elif found and line and line[:3] not in (b"BHS", b"FHS", b"BTS", b"FTS"):
                found[-1].append(line)
    if not found:
        raise AdapterError("There is no MSH segment: this is not an HL7 v2 message.", code="not-hl7", advice="Send ORU^R01 messages.")
    if len(found) > limits.rows:
        raise TooLarge(f"The file has more than {limits.rows} messages.", advice="Split it.")
    if any(len(lines) > MAX_SEGMENTS for lines in found):
        raise TooLarge(f"A message has more than {MAX_SEGMENTS} segments.", advice="Send fewer results in one message.")
    return [b"\r".join(lines) for lines in found]


def _segments(message: bytes) -> list[_Segment]:
    head = message.partition(b"\r")[0].decode("latin-1")
    marks = _marks(head)
    text = _text(message, head.split(marks.field))
    found = [_segment(line, marks) for line in text.split("\r") if line]
    kind = (found[0].component(9, 1), found[0].component(9, 2))
    if kind[0] != "ORU" or kind[1] not in ("R01", ""):
        name = "^".join(part for part in kind if part)
        shown = name if _CODE.fullmatch(name) else "without a type"
        raise AdapterError(f"The message is {shown}, not ORU^R01.", code="message-type", field="MSH-9", advice="Send results as ORU^R01.")
    return found


def _marks(head: str) -> _Marks:
    field = head[3:4]
    others = head[4:].partition(field)[0] if field else ""
    known = field + others[:4]
    if not field or field.isalnum() or len(others) < 1 or len(set(known)) != len(known) or any(mark.isalnum() for mark in known):
        raise AdapterError("MSH-1 and MSH-2 do not name the delimiters.", code="delimiters", field="MSH-2", advice=r"They are usually |^~\&.")
    return _Marks(field, *(others[n : n + 1] for n in range(4)))


def _text(message: bytes, header: list[str]) -> str:
    """The message as text: by MSH-18, else UTF-8, else GB 18030, which older Chinese devices send unannounced."""
    stated = re.split(r"[~^]", header[17])[0].strip().upper() if len(header) > 17 else ""
    for charset in dict.fromkeys((_CHARSETS.get(stated, "utf-8"), "utf-8", "gb18030")):
        try:
            return message.decode(charset)
        except UnicodeDecodeError:
            continue
    raise AdapterError("The text is in no known character set.", code="charset", field="MSH-18", advice="Send UTF-8 and say so in MSH-18.")


def _segment(line: str, marks: _Marks) -> _Segment:
    fields = line.split(marks.field)
    if fields[0] == "MSH":
        fields.insert(1, marks.field)
    return _Segment(fields[0].strip(), fields, marks)


def _message(segments: list[_Segment], row: int, original: bytes | None) -> Iterator[Decoded | Rejected]:
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


def _by_person(segments: list[_Segment]) -> list[list[_Segment]]:
    """A message may hold several patients (PID … PID …)."""
    groups: list[list[_Segment]] = [[]]
    for segment in segments:
        if segment.name == "PID" and any(other.name == "PID" for other in groups[-1]):
            groups.append([])
        groups[-1].append(segment)
    return groups


def _person(header: _Segment, segments: list[_Segment], row: int, original: bytes | None) -> list[Decoded | Rejected]:
    who = next((_who(segment) for segment in segments if segment.name == "PID"), None)
    readings, flags, rejected, posture = _readings(header, segments, row, who, original)
    records = _records(readings, posture)
    if records:
        records[0].flags = [*records[0].flags, *flags]
    return [*(Decoded(record, who, row, original=original) for record in records), *rejected]


def _readings(
    header: _Segment, segments: list[_Segment], row: int, who: Who | None, original: bytes | None
) -> tuple[list[_Reading], list[Flag], list[Rejected], str | None]:
    readings: list[_Reading] = []
    flags: list[Flag] = []
    rejected: list[Rejected] = []
    request: _Segment | None = None
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


def _numbered(segments: list[_Segment]) -> Iterator[tuple[int, _Segment]]:
    """Segments with the running number of their OBX, which is counted because OBX-1 is often empty."""
    number = 0
    for segment in segments:
        number += segment.name == "OBX"
        yield number, segment


def _mdc_device(segment: _Segment) -> str | None:
    code = segment.component(3, 1)
    return code if segment.component(3, 3).upper() in _MDC_NAMES and code.isdigit() else None


def _is_posture(segment: _Segment) -> bool:
    """LOINC 8361-8, or a coded body position under a device's own code (`COMEN_POS_BODY`)."""
    return segment.component(3, 1) == "8361-8" or (segment.text(2) in ("CNE", "CWE", "CE") and "POS_BODY" in segment.component(3, 2).upper())


def _posture(segment: _Segment) -> str | None:
    if not _is_posture(segment):
        return None
    said = " ".join(segment.repetitions(5)[0]).upper() if segment.raw(5) else ""
    return next((posture for word, posture in _POSTURES.items() if word in said), None)


def _reading(header: _Segment, request: _Segment | None, segment: _Segment, place: str, container: str | None) -> _Reading | Flag | None:
    """A usable reading, a flag why it was skipped, or None for what is read elsewhere (body position)."""
    if _is_posture(segment):
        return None
    coded = _coded(segment)
    if coded is None:
        return _flag("not-a-measure", f"{place}-3", _shown(segment))
    measure, coding, assumed = coded
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
        _device(header, segment, container), flags,
    )  # fmt: skip


def _flag(code: str, field: str, about: str = "") -> Flag:
    sentence = FLAGS[code][1]
    return Flag(code, field, f"{about}: {sentence}" if about else sentence)


def _shown(segment: _Segment) -> str:
    code = segment.component(3, 1)
    return code if _CODE.fullmatch(code) else ""


def _present(segment: _Segment) -> bool:
    """Whether the OBX states a value: final, corrected or still to be reviewed, and not marked invalid (OBX-8 INV)."""
    return bool(segment.text(5)) and segment.text(11) not in ("X", "W", "D", "N", "I", "O") and segment.component(8, 1).upper() != "INV"


def _coded(segment: _Segment) -> tuple[Measure, str, bool] | None:
    """The measure OBX-3 names (first or alternate triple), its coding, and whether its system had to be inferred."""
    for first in (1, 4):
        code, name, system = (segment.component(3, first + n) for n in range(3))
        found = _measure(code, name.upper(), system.upper() if _SYSTEM.fullmatch(system) else "")
        if found:
            return found
    return None


def _measure(code: str, name: str, system: str) -> tuple[Measure, str, bool] | None:
    if system in _LOINC_NAMES or not system:
        measure = BY_LOINC.get(code)
        if measure and measure.unit:
            return measure, f"{LOINC}|{code}", not system
    if system in _MDC_NAMES or (not system and (name.startswith("MDC_") or len(code) == 6)):
        full = str(int(code) + 131072) if code.isascii() and code.isdigit() and len(code) < 6 and int(code) < 65536 else code
        measure = BY_MDC.get(full)
        if measure and measure.unit:
            return measure, f"{MDC}|{full}", not system or full != code
    return None


def _number(segment: _Segment) -> float:
    """OBX-5 as a number: NM and ST as it stands, SN from its second component."""
    text = _structured(segment) if segment.text(2) == "SN" else segment.text(5)
    if not _NUMBER.fullmatch(text):
        raise _Bad(5, "not-a-number", "The value is not a number.", "Send a plain number, its unit in OBX-6.")
    return float(text)


def _structured(segment: _Segment) -> str:
    comparator, first, separator, _ = (segment.component(5, n) for n in range(1, 5))
    if comparator not in ("", "=") or separator:
        raise _Bad(5, "comparator", "The value is a bound, a ratio or a range, not one number.", "Send the measured number.")
    return first


def _quantity(measure: Measure, value: float, segment: _Segment, coding: str, place: str) -> tuple[Quantity, list[Flag]]:
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


def _unit(segment: _Segment) -> tuple[str, str]:
    """OBX-6 as it is written, and as UCUM."""
    code, name = segment.component(6, 1), segment.component(6, 2)
    full = str(int(code) + 262144) if code.isascii() and code.isdigit() and len(code) < 6 else code
    if full in MDC_UNITS:
        return full, MDC_UNITS[full]
    written = code or name
    if ucum(written) != written:
        return written, ucum(written)
    return written, _UNITS_BY_CASE.get(written.casefold(), written)


def _time(header: _Segment, request: _Segment | None, segment: _Segment) -> _Time:
    for source, field in ((segment, 14), (request, 7)):
        moment = _moment(source.component(field, 1)) if source else None
        if moment:
            return _Time(moment, False)
    moment = _moment(header.component(7, 1))
    if moment is None:
        raise _Bad(14, "time", "There is no time of measurement.", "Send it in OBX-14 or OBR-7, with the offset: 20260501083000+0800.")
    return _Time(moment, True)


def _moment(text: str) -> Moment | None:
    """An HL7 DTM to a moment; None when it is absent or names no day."""
    found = _DTM.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    precision: Literal["instant", "minute", "day"] = "instant" if second else "minute" if hour else "day"
    micro = int((fraction or "0").ljust(6, "0"))
    try:
        local = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micro)  # noqa: DTZ001 - a local clock
        if offset is None or offset == "-0000":
            return Moment(local=local, precision=precision)
        minutes = (int(offset[1:3]) * 60 + int(offset[3:])) * (-1 if offset[0] == "-" else 1)
        return Moment(local.replace(tzinfo=timezone(timedelta(minutes=minutes))).astimezone(UTC), minutes, precision=precision)
    except (ValueError, OverflowError):
        return None


def _reference(segment: _Segment, measure: Measure) -> tuple[float | None, float | None]:
    """OBX-7 in the measure's unit. Sources write `70-105`, `70_105`, `<5`."""
    text = segment.raw(7)
    both, one = _RANGE.fullmatch(text), _BOUND.fullmatch(text)
    unit = _unit(segment)[1] or measure.unit
    low = both[1] if both else one[2] if one and one[1] == ">" else None
    high = both[2] if both else one[2] if one and one[1] == "<" else None
    return tuple(None if bound is None else convert(float(bound), unit, measure.unit) for bound in (low, high))  # type: ignore[return-value]


def _device(header: _Segment, segment: _Segment, container: str | None) -> Device | None:
    """The device by OBX-18, else by MSH-3, which gateways share among many devices."""
    own, name = segment.component(18, 1), segment.component(18, 2)
    gateway = header.component(3, 2) if header.component(3, 3).upper() == "EUI-64" else ""
    device = Device(model=name or header.component(3, 1) or None, identifier=own or gateway or None, mdc_type=container)
    return device if device != Device() else None


def _who(segment: _Segment) -> Who | None:
    who = Who(name=_name(segment), phone=_phone(segment), birth_date=_birth_date(segment), gender=_GENDERS.get(segment.text(8).upper()))
    for identifier in [*segment.repetitions(3), *segment.repetitions(2)]:
        number, kind = identifier[0], identifier[4].upper() if len(identifier) > 4 else ""
        who = _identified(who, number, kind)
    if not who.id_number and _is_id_number(segment.component(19, 1)):
        who = msgspec.structs.replace(who, id_number=segment.component(19, 1).upper())
    return who if who != Who() else None


def _identified(who: Who, number: str, kind: str) -> Who:
    if not number:
        return who
    if kind in ("NI", "NNCHN") or _is_id_number(number):
        return msgspec.structs.replace(who, id_number=who.id_number or number.upper())
    if kind == "HC":
        return msgspec.structs.replace(who, health_card=who.health_card or number)
    if kind == "MB":
        return msgspec.structs.replace(who, member_number=who.member_number or number)
    return msgspec.structs.replace(who, source_id=who.source_id or number)


def _is_id_number(text: str) -> bool:
    """Whether `text` is a resident ID number by its check digit (GB 11643)."""
    if not re.fullmatch(r"[1-9]\d{16}[\dXx]", text, re.ASCII):
        return False
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(text, weights, strict=False)) % 11] == text[17].upper()


def _name(segment: _Segment) -> str | None:
    """PID-5: the Chinese repetition where there is one. Chinese names are written family first, without a blank."""
    written = [(family[0].strip(), " ".join(part for part in family[1:3] if part)) for family in segment.repetitions(5)]
    for family, given in written:
        if any("\u3400" <= letter <= "\u9fff" for letter in family + given):
            return (family + given).replace(" ", "")
    return " ".join(part for part in (written[0][1], written[0][0]) if part) or None if written else None


def _phone(segment: _Segment) -> str | None:
    for number in segment.repetitions(13):
        parts = number + [""] * 12
        found = parts[0] or parts[11] or parts[5] + parts[6]
        if found:
            return found
    return None


def _birth_date(segment: _Segment) -> date | None:
    moment = _moment(segment.text(7)[:8])
    return moment.local.date() if moment and moment.local else None


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
        interpretation=next((reading.interpretation for reading in group if reading.interpretation), None), flags=_flags(group),
    )  # fmt: skip


def _single(reading: _Reading, ordinal: int, several: bool) -> VitalSign:
    flags = [*reading.flags, *([_flag("duplicate-probe", reading.measure.key)] if several else [])]
    return VitalSign(
        start=reading.at.moment, measure=reading.measure.key, quantity=reading.quantity, interpretation=reading.interpretation, ordinal=ordinal,
        reference_low=reading.low, reference_high=reading.high, device=reading.device, flags=flags,
    )  # fmt: skip


def _weighing(group: list[_Reading]) -> BodyComposition:
    return BodyComposition(start=group[0].at.moment, quantities=[reading.quantity for reading in group], device=group[0].device, flags=_flags(group))


def _flags(group: list[_Reading]) -> list[Flag]:
    return [flag for reading in group for flag in reading.flags]
