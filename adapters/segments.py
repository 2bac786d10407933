"""HL7 v2 as it is written: frames, batches, delimiters, escapes, character sets, segments, times, and the person of a PID.

Tolerant on purpose: the libraries drop segments that end in LF instead of CR. What a result means is the adapter's (`hl7v2.py`).
Sources: HL7 v2.6 chapters 2 and 3.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final, Literal, NamedTuple

import msgspec

from adapters.base import AdapterError, Limits, TooLarge
from schemas.records import Moment, Who

MAX_SEGMENTS: Final = 10_000
"""The most one message may hold."""
_VT, _FS = b"\x0b", b"\x1c"
_DTM = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(?:\.(\d{1,6})\d*)?)?)?([+-]\d{4})?")
_ESCAPE = re.compile(r"\\([^\\]{0,200})\\")
_CHARSETS: Final = {
    "": "utf-8", "ASCII": "utf-8", "UNICODE UTF-8": "utf-8", "UNICODE": "utf-8", "UTF-8": "utf-8", "UTF8": "utf-8", "8859/1": "latin-1",
    "GB 18030-2000": "gb18030", "GB18030": "gb18030", "GB18030-2000": "gb18030", "GBK": "gb18030", "GB2312": "gb18030", "GB 2312-80": "gb18030",
    "8859/15": "iso8859-15",
}  # fmt: skip
_GENDERS: Final = {"M": "male", "F": "female", "O": "other", "A": "other", "U": "unknown", "N": "unknown", "1": "male", "2": "female", "0": "unknown"}


class Marks(NamedTuple):
    """The delimiters of a message; empty where MSH-2 names none."""

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str


class Segment(NamedTuple):
    """A segment's raw fields; `fields[n]` is field n as HL7 counts (MSH-1 and MSH-2 included)."""

    name: str
    fields: list[str]
    marks: Marks

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


def messages_of(content: bytes, limits: Limits) -> list[bytes]:
    """Each message's bytes, from its MSH to the next; batch and file headers fall away. Raises AdapterError, TooLarge."""
    found: list[list[bytes]] = []
    for frame in _frames(content):
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


def segments_of(message: bytes) -> list[Segment]:
    """The segments of one message, MSH first. Raises AdapterError for delimiters or text that cannot be read."""
    head = message.partition(b"\r")[0].decode("latin-1")
    marks = _marks(head)
    text = _text(message, head.split(marks.field))
    return [_segment(line, marks) for line in text.split("\r") if line]


def _marks(head: str) -> Marks:
    field = head[3:4]
    others = head[4:].partition(field)[0] if field else ""
    known = field + others[:4]
    if not field or field.isalnum() or len(others) < 1 or len(set(known)) != len(known) or any(mark.isalnum() for mark in known):
        raise AdapterError("MSH-1 and MSH-2 do not name the delimiters.", code="delimiters", field="MSH-2", advice=r"They are usually |^~\&.")
    return Marks(field, *(others[n : n + 1] for n in range(4)))


def _text(message: bytes, header: list[str]) -> str:
    """The message as text: by MSH-18, else UTF-8, else GB 18030, which older Chinese devices send unannounced."""
    stated = re.split(r"[~^]", header[17])[0].strip().upper() if len(header) > 17 else ""
    for charset in dict.fromkeys((_CHARSETS.get(stated, "utf-8"), "utf-8", "gb18030")):
        try:
            return message.decode(charset)
        except UnicodeDecodeError:
            continue
    raise AdapterError("The text is in no known character set.", code="charset", field="MSH-18", advice="Send UTF-8 and say so in MSH-18.")


def _segment(line: str, marks: Marks) -> Segment:
    fields = line.split(marks.field)
    if fields[0] == "MSH":
        fields.insert(1, marks.field)
    return Segment(fields[0].strip(), fields, marks)


def moment_of(text: str) -> Moment | None:
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


def person_of(segment: Segment) -> Who | None:
    """Whom a PID names; None when it names nobody."""
    who = Who(name=name_of(segment.repetitions(5)), phone=_phone(segment), birth_date=_birth_date(segment), gender=_GENDERS.get(segment.text(8).upper()))
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


def performer_of(segment: Segment, n: int) -> str | None:
    """Whom field n (XCN) names, by name or else by number. A resident ID number is not shown for somebody's name."""
    people = segment.repetitions(n)
    return name_of([one[1:4] or [""] for one in people]) or next((one[0] for one in people if one[0] and not _is_id_number(one[0])), None)


def organization_of(segment: Segment, n: int) -> str | None:
    """The organization in field n (XON), by name or else by number (XON-10, before v2.7 XON-3)."""
    parts = [*(segment.repetitions(n) or [[]])[0], *[""] * 10]
    return parts[0] or parts[9] or parts[2] or None


def _is_id_number(text: str) -> bool:
    """Whether `text` is a resident ID number by its check digit (GB 11643)."""
    if not re.fullmatch(r"[1-9]\d{16}[\dXx]", text, re.ASCII):
        return False
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(text, weights, strict=False)) % 11] == text[17].upper()


def name_of(names: list[list[str]]) -> str | None:
    """Of names as family, given and further ones: the Chinese one where there is one. Those are written family first, without a blank."""
    written = [(family.strip(), " ".join(part for part in given[:2] if part)) for family, *given in names]
    for family, given in written:
        if any("\u3400" <= letter <= "\u9fff" for letter in family + given):
            return (family + given).replace(" ", "")
    return " ".join(part for part in (written[0][1], written[0][0]) if part) or None if written else None


def _phone(segment: Segment) -> str | None:
    for number in segment.repetitions(13):
        parts = number + [""] * 12
        found = parts[0] or parts[11] or parts[5] + parts[6]
        if found:
            return found
    return None


def _birth_date(segment: Segment) -> date | None:
    moment = moment_of(segment.text(7)[:8])
    return moment.local.date() if moment and moment.local else None
