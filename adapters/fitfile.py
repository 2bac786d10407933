"""FIT containers: bytes to messages and numpy columns, and back. What the fields mean is said in `fit.py`.

Source: Garmin "FIT Protocol" (headers, definition messages, compressed timestamps, CRC-16/ARC, chained files).
Messages are not turned into objects one by one: a walk over the headers notes where each lies, and the fields that
somebody asks for are gathered from all messages of a definition at once.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adapters.base import AdapterError, Limits, TooLarge

Floats = npt.NDArray[np.float64]
Value = int | float | str
Row = dict[int, Value]

EPOCH = 631_065_600
"""Unix time of FIT's 1989-12-31T00:00:00Z."""

RELATIVE_BELOW = 0x1000_0000
"""Smaller date_time values are seconds since the device was switched on."""

BEYOND = 2**33
"""No device means a number as large as this; it is read as no value."""

TIMESTAMP = 253
_MAGIC = b".FIT"
_LARGEST_DEFINITION_COUNT = 4_096


class _Base(NamedTuple):
    """A FIT base type: struct letter, size in bytes, and the value that means "no value"."""

    letter: str
    size: int
    invalid: int | None


_BASES: dict[int, _Base] = {
    0x00: _Base("B", 1, 0xFF), 0x01: _Base("b", 1, 0x7F), 0x02: _Base("B", 1, 0xFF), 0x03: _Base("h", 2, 0x7FFF), 0x04: _Base("H", 2, 0xFFFF),
    0x05: _Base("i", 4, 0x7FFFFFFF), 0x06: _Base("I", 4, 0xFFFFFFFF), 0x07: _Base("s", 1, None), 0x08: _Base("f", 4, None),
    0x09: _Base("d", 8, None), 0x0A: _Base("B", 1, 0), 0x0B: _Base("H", 2, 0), 0x0C: _Base("I", 4, 0), 0x0D: _Base("B", 1, 0xFF),
    0x0E: _Base("q", 8, 0x7FFFFFFFFFFFFFFF), 0x0F: _Base("Q", 8, 0xFFFFFFFFFFFFFFFF), 0x10: _Base("Q", 8, 0),
}  # fmt: skip
_BYTE = _BASES[0x0D]


class Field(NamedTuple):
    """Where a field lies in its message, and as what."""

    offset: int
    size: int
    base: _Base


class Definition(NamedTuple):
    """One layout of a message, and where in the bytes every message of that layout begins (after its header byte).

    clocks: the time of those messages that came under a compressed timestamp header, by position.
    """

    message: int
    order: str
    size: int
    fields: dict[int, Field]
    developer: dict[tuple[int, int], Field]
    time_at: int
    at: array[int]
    clocks: dict[int, int]


class FitFile(NamedTuple):
    """All messages of a file and of the files chained to it. `defects`: checksum-wrong, truncated, trailing-bytes."""

    content: bytes
    definitions: list[Definition]
    defects: set[str]

    def of(self, message: int) -> list[Definition]:
        """The layouts in which a message occurs at all."""
        return [found for found in self.definitions if found.message == message and found.at]


@cache
def _table(level: int) -> npt.NDArray[np.uint16]:
    """CRC-16/ARC after 2**level further zero words, for each of the 65,536 states."""
    if level:
        half = _table(level - 1)
        return half[half]
    state = np.arange(65_536, dtype=np.uint16)
    for _ in range(16):
        state = np.where(state & 1, (state >> 1) ^ 0xA001, state >> 1).astype(np.uint16)
    return state


def crc(content: bytes | memoryview) -> int:
    """CRC-16/ARC as FIT uses it. The CRC is linear, so words are folded pairwise: log2(n) numpy steps instead of n Python ones."""
    words = np.frombuffer(b"\0" * (len(content) % 2) + bytes(content), dtype="<u2")
    level = 0
    while len(words) > 1:
        if len(words) % 2:
            words = np.concatenate((np.zeros(1, dtype=words.dtype), words))
        words = _table(level)[words[0::2]] ^ words[1::2]
        level += 1
    return int(_table(0)[words[0]]) if len(words) else 0


def _fields(content: bytes, at: int, count: int, offset: int) -> Iterator[tuple[int, Field]]:
    for number, size, kind in struct.iter_unpack("BBB", content[at : at + 3 * count]):
        base = _BASES.get(kind & 0x1F, _BYTE)
        yield number, Field(offset, size, base if base.size <= size and size % base.size == 0 else _BYTE)
        offset += size


def _define(content: bytes, at: int, stop: int, developer: bool) -> Definition:
    order = ">" if content[at + 1] else "<"
    message, count = struct.unpack_from(order + "HB", content, at + 2)
    fields = dict(_fields(content, at + 5, count, 0))
    size = sum(content[at + 6 : at + 5 + 3 * count : 3])
    own: dict[tuple[int, int], Field] = {}
    if developer:
        for number, length, index in struct.iter_unpack("BBB", content[at + 6 + 3 * count : stop]):
            own[index, number] = Field(size, length, _BYTE)
            size += length
    time = fields.get(TIMESTAMP)
    return Definition(message, order, size, fields, own, time.offset if time and time.size == 4 else -1, array("Q"), {})


def _extent(content: bytes, at: int, developer: bool) -> int:
    """Where the definition message whose body starts at `at` ends."""
    stop = at + 5 + 3 * (content[at + 4] if at + 4 < len(content) else 0)
    return stop + 1 + 3 * (content[stop] if stop < len(content) else 0) if developer else stop


def _rolled(clock: int | None, header: int) -> int | None:
    """The full time of a compressed header: its 5 bits replace the last ones of the previous time, rolling over."""
    if clock is None:
        return None
    return clock + (((header & 0x1F) - clock) & 0x1F)


def _walk(content: bytes, at: int, end: int, known: dict[bytes, Definition], limits: Limits) -> bool:
    """Note where the messages between two positions lie. Whether they could be read to the end."""
    local: list[Definition | None] = [None] * 16
    clock: int | None = None
    timed: tuple[Definition, int] | None = None
    for _ in range(4 * limits.samples):
        if at >= end:
            return True
        header = content[at]
        at += 1
        if header & 0xC0 == 0x40:
            stop = _extent(content, at, bool(header & 0x20))
            if stop > end:
                return False
            layout = content[at:stop] + (b"d" if header & 0x20 else b"")
            if layout not in known:
                if len(known) >= _LARGEST_DEFINITION_COUNT:
                    raise TooLarge(f"The FIT file defines more than {_LARGEST_DEFINITION_COUNT} message layouts.")
                known[layout] = _define(content, at, stop, bool(header & 0x20))
            local[header & 0x0F] = known[layout]
            at = stop
            continue
        definition = local[header >> 5 & 3 if header & 0x80 else header & 0x0F]
        if definition is None or at + definition.size > end:
            return False
        if header & 0x80:
            if timed is not None:
                clock = struct.unpack_from(timed[0].order + "I", content, timed[1] + timed[0].time_at)[0]
                timed = None
            clock = _rolled(clock, header)
            if clock is not None:
                definition.clocks[at] = clock
        elif definition.time_at >= 0:
            timed = definition, at
        definition.at.append(at)
        at += definition.size
    raise TooLarge(f"The FIT file holds more than {4 * limits.samples} messages.")


def _part(content: bytes, at: int, found: FitFile, known: dict[bytes, Definition], limits: Limits) -> int:
    """Read the one FIT file that begins at `at`; where it ends."""
    start = at + content[at]
    size = int.from_bytes(content[at + 4 : at + 8], "little")
    end = start + size
    # Devices that lost power leave the size at 0 or at all ones.
    if end > len(content) or (size == 0 and len(content) - start > 2 and content[start + 10 : start + 14] != _MAGIC):
        found.defects.add("truncated")
        _walk(content, start, len(content), known, limits)
        return len(content)
    header_crc = content[at + 12 : at + 14] if content[at] >= 14 else b"\0\0"
    if crc(content[at : end + 2]) or end + 2 > len(content) or (header_crc != b"\0\0" and crc(content[at : at + 14])):
        found.defects.add("checksum-wrong")
    if not _walk(content, start, end, known, limits):
        found.defects.add("truncated")
    return end + 2


def read(content: bytes, limits: Limits) -> FitFile:
    """Find every message of a FIT file and of the files chained to it. Raises AdapterError."""
    found = FitFile(content, [], set())
    known: dict[bytes, Definition] = {}
    at = 0
    while at < len(content):
        if len(content) - at < 12 or content[at] < 12 or content[at + 8 : at + 12] != _MAGIC:
            if at == 0:
                raise AdapterError("This is not a FIT file: its header is missing.", advice="Send the .fit file as the device wrote it.")
            if content[at:].strip(b"\0"):
                found.defects.add("trailing-bytes")
            break
        at = _part(content, at, found, known, limits)
    found.definitions.extend(known.values())
    return found


@cache
def _struct(code: str) -> struct.Struct:
    return struct.Struct(code)


def _value(content: bytes, at: int, order: str, field: Field) -> Value | None:
    """One field's value; the first one of an array; None where it is the type's "no value"."""
    if field.base.letter == "s":
        return content[at + field.offset : at + field.offset + field.size].split(b"\0", 1)[0].decode("utf-8", "replace").strip() or None
    value: int | float = _struct(order + field.base.letter).unpack_from(content, at + field.offset)[0]
    return None if value == field.base.invalid or value != value or abs(value) > 2**63 else value


def figure(row: Row, field: int, scale: float = 1) -> float | None:
    """A field as a number in its unit; None when it is absent, text or out of any device's range."""
    value = row.get(field)
    return None if value is None or isinstance(value, str) or not 0 <= value < BEYOND else value / scale


def positioned(file: FitFile, message: int, wanted: Iterable[int], needed: int | None = None) -> list[tuple[int, Row]]:
    """As `rows`, each with the message's position; only layouts that have the field `needed`."""
    found: list[tuple[int, Row]] = []
    numbers = tuple(wanted)
    for definition in file.of(message):
        if needed is not None and needed not in definition.fields:
            continue
        fields = [(number, definition.fields[number]) for number in numbers if number in definition.fields]
        for at in definition.at:
            values = ((number, _value(file.content, at, definition.order, field)) for number, field in fields)
            found.append((at, {number: value for number, value in values if value is not None}))
    return sorted(found, key=lambda entry: entry[0])


def rows(file: FitFile, message: int, wanted: Iterable[int]) -> list[Row]:
    """The wanted fields of a message, one dict for each time it occurs, in the file's order. Raw values, unscaled."""
    return [row for _, row in positioned(file, message, wanted)]


def developer_rows(file: FitFile, message: int, key: tuple[int, int], base: int) -> list[float | None]:
    """One developer field of a message, for each time it occurs, read as base type `base`."""
    found: list[tuple[int, float | None]] = []
    for definition in file.of(message):
        field = _developer(definition, key, base)
        for at in definition.at:
            value = _value(file.content, at, definition.order, field) if field else None
            found.append((at, None if isinstance(value, str) or value is None else float(value)))
    return [value for _, value in sorted(found, key=lambda entry: entry[0])]


def _developer(definition: Definition, key: tuple[int, int], base: int) -> Field | None:
    field, kind = definition.developer.get(key), _BASES.get(base & 0x1F, _BYTE)
    return field._replace(base=kind) if field and kind.letter != "s" and field.size >= kind.size else None


def _matrix(file: FitFile, definition: Definition, field: Field) -> npt.NDArray[np.uint8]:
    """The bytes of a field, one row a message."""
    windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(file.content, dtype=np.uint8), max(field.size, 1))
    found: npt.NDArray[np.uint8] = windows[np.frombuffer(definition.at, dtype=np.int64) + field.offset]
    return found


def _column(file: FitFile, definition: Definition, field: Field | None) -> Floats:
    if field is None or field.base.letter == "s" or not field.size:
        return np.full(len(definition.at), np.nan)
    raw = np.ascontiguousarray(_matrix(file, definition, field)[:, : field.base.size]).view(definition.order + field.base.letter)[:, 0]
    with np.errstate(invalid="ignore"):
        values: Floats = raw.astype(np.float64)
        values[~(np.abs(values) < BEYOND) | (False if field.base.invalid is None else raw == field.base.invalid)] = np.nan
    return values


def _times(file: FitFile, definition: Definition) -> Floats:
    values = _column(file, definition, definition.fields.get(TIMESTAMP))
    if definition.clocks:
        values = np.array([definition.clocks.get(at, time) for at, time in zip(definition.at, values.tolist(), strict=True)])
    return values


def columns(file: FitFile, message: int, wanted: Sequence[int], developer: Sequence[tuple[tuple[int, int], int]] = ()) -> list[Floats]:
    """Times, then each wanted field, then each developer field (key, base type) of a message: raw values, NaN where there is none."""
    definitions = file.of(message)
    if not definitions:
        return [np.empty(0) for _ in range(1 + len(wanted) + len(developer))]
    order = np.argsort(np.concatenate([definition.at for definition in definitions]), kind="stable")
    found = [[_times(file, definition) for definition in definitions]]
    found += [[_column(file, definition, definition.fields.get(number)) for definition in definitions] for number in wanted]
    found += [[_column(file, definition, _developer(definition, key, base)) for definition in definitions] for key, base in developer]
    return [np.concatenate(parts)[order] for parts in found]


def blocks(file: FitFile, message: int, wanted: Sequence[int]) -> list[tuple[npt.NDArray[np.int64], list[npt.NDArray[np.uint8]]]]:
    """The bytes of array fields: for each layout that has them all, the messages' positions and one matrix a field."""
    return [
        (np.frombuffer(definition.at, dtype=np.int64), [_matrix(file, definition, definition.fields[number]) for number in wanted])
        for definition in file.of(message)
        if all(number in definition.fields for number in wanted)
    ]


def write(messages: Iterable[tuple[int, Sequence[tuple[int, int, int | float | str]]]]) -> bytes:
    """A FIT file of these messages (number, fields as (number, base type, raw value)), for samples and demonstrations."""
    body, layout = bytearray(), b""
    for message, fields in messages:
        values = [_packed(kind, value) for _, kind, value in fields]
        heads = b"".join(bytes((number, len(value), kind)) for (number, kind, _), value in zip(fields, values, strict=True))
        if layout != (layout := struct.pack("<BBHB", 0, 0, message, len(fields)) + heads):
            body += b"\x40" + layout
        body += b"\x00" + b"".join(values)
    header = struct.pack("<BBHI4s", 14, 0x20, 21_171, len(body), _MAGIC)
    header += struct.pack("<H", crc(header))
    return header + bytes(body) + struct.pack("<H", crc(header + bytes(body)))


def _packed(kind: int, value: float | str) -> bytes:
    if isinstance(value, str):
        return value.encode() + b"\0"
    return struct.pack("<" + _BASES[kind & 0x1F].letter, value)
