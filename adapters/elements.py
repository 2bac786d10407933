"""JSON files cut into their elements, strictly: one object, an array, `{"records": [...]}` or one object per line.

What is refused for the file: not JSON, too deep, too many rows. What is found per element (duplicate keys, numbers out
of range, broken text) is refused for that element alone. Not an adapter: the JSON adapters share it.
"""

from __future__ import annotations

import json
import re
from typing import BinaryIO, Final, NamedTuple, NoReturn

import msgspec

from adapters.base import AdapterError, Limits, TooLarge

_BOM: Final = b"\xef\xbb\xbf"
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_OPEN = ord("{")
_NOT_BRACES = bytes(set(range(256)) - set(b"{}"))
_VALUE_IN_MESSAGE = re.compile(r"Invalid (?:enum )?value '.*?'(?= - at|$)", re.DOTALL)
_PATH = re.compile(r"(?: - at `(?P<path>[^`]*)`)?$")


class Elements(NamedTuple):
    """The raw bytes of each element; `many` is False when the file is one bare object."""

    raws: list[bytes]
    many: bool


class _Wrapper(msgspec.Struct):
    records: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_whole = msgspec.json.Decoder(msgspec.Raw).decode
_wrapper = msgspec.json.Decoder(_Wrapper).decode


def read(stream: BinaryIO, limit: int) -> bytes:
    """All bytes of the upload, without UTF-8 byte order marks. Raises TooLarge, and AdapterError when there are none."""
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise TooLarge(f"The file is larger than {limit // (1024 * 1024)} MiB.", advice="Split it and send the parts one by one.")
    while content.startswith(_BOM):  # a program that adds one does not see the one that is there
        content = content.removeprefix(_BOM)
    if not content.strip():
        raise AdapterError("The file is empty.", code="empty-file", advice="Export it again and check that it has content.")
    return content


def cut(stream: BinaryIO, limits: Limits) -> Elements:
    """The elements of a JSON file. Raises AdapterError or TooLarge; an element's own faults are the caller's to find."""
    content = read(stream, limits.bytes)
    try:
        found = _cut(content, limits)
    except RecursionError:
        _too_deep(limits)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AdapterError(f"The file is not valid JSON: {reason(error)}.", code="not-json", advice="Send a complete JSON file in UTF-8.") from None
    if len(found.raws) > limits.rows:
        raise TooLarge(f"The file has more than {limits.rows} elements.", advice="Split it and send the parts one by one.")
    if not found.raws:
        raise AdapterError("The file holds no element.", code="empty-file", advice="Send at least one.")
    return found


def _too_deep(limits: Limits) -> NoReturn:
    raise TooLarge(f"The JSON is nested deeper than {limits.depth} levels.", code="too-deep", advice="Send it flat, as the format asks.")


def _cut(content: bytes, limits: Limits) -> Elements:
    text = content.strip()
    if text[:1] == b"[":
        return Elements([bytes(raw) for raw in _array(text)], True)
    if text[:1] != b"{":
        raise AdapterError("The file is not JSON: it begins with neither { nor [.", code="not-json", advice="Send a JSON object or array.")
    first, _, rest = text.partition(b"\n")
    if rest and _is_json(first):
        return Elements([line for line in text.splitlines() if line.strip()], True)
    _whole(text)
    if b'"records"' in text:
        records = _wrapper(text).records
        if not isinstance(records, msgspec.UnsetType):
            return Elements([bytes(raw) for raw in records], True)
    return Elements([text], False)


def _is_json(line: bytes) -> bool:
    try:
        _whole(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def fault(raw: bytes, limits: Limits) -> str | None:
    """Why an element is refused before its fields are read: `too-deep` or `duplicate-key`; None when it is fine."""
    if too_deep(raw, limits):
        return "too-deep"
    return "duplicate-key" if _repeats(raw) else None


def too_deep(raw: bytes, limits: Limits) -> bool:
    """Whether JSON, well-formed or not, is nested deeper than the limit."""
    return raw.count(b"{") + raw.count(b"[") > limits.depth and _depth(_QUOTED.split(raw)) > limits.depth


def _depth(outside: list[bytes]) -> int:
    depth = deepest = 0
    for piece in outside:
        for byte in piece:
            if byte in b"{[":
                depth += 1
                deepest = max(deepest, depth)
            elif byte in b"}]":
                depth -= 1
    return deepest


def _repeats(raw: bytes) -> bool:
    """Whether an object in `raw` (well-formed JSON) names a key twice. Cheap: most elements name no key twice anywhere."""
    if b"\\" in raw:
        return _repeats_exactly(raw)
    pieces = raw.split(b'"')
    keys = [pieces[i] for i in range(1, len(pieces) - 1, 2) if pieces[i + 1].lstrip()[:1] == b":"]
    return len(set(keys)) != len(keys) and _repeats_in_one_object(pieces)


def _repeats_in_one_object(pieces: list[bytes]) -> bool:
    open_objects: list[set[bytes]] = []
    for i, piece in enumerate(pieces):
        if i % 2:
            if pieces[i + 1].lstrip()[:1] != b":":
                continue
            if piece in open_objects[-1]:
                return True
            open_objects[-1].add(piece)
        elif b"{" in piece or b"}" in piece:
            for brace in piece.translate(None, _NOT_BRACES):
                if brace == _OPEN:
                    open_objects.append(set())
                else:
                    open_objects.pop()
    return False


def _repeats_exactly(raw: bytes) -> bool:
    def look(pairs: list[tuple[str, object]]) -> None:
        if len({key for key, _ in pairs}) != len(pairs):
            raise KeyError

    try:
        json.loads(raw, object_pairs_hook=look)
    except KeyError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def reason(error: Exception) -> str:
    """What msgspec found, without the value it found."""
    if isinstance(error, UnicodeDecodeError):
        return "its text is not UTF-8"
    text = _PATH.sub("", _VALUE_IN_MESSAGE.sub("Value not allowed", str(error)))
    return text[:1].lower() + text[1:160]


def path(error: Exception) -> str:
    """The field a msgspec error stands at, as `record.laps[0].start`; empty for the element itself."""
    found = _PATH.search(str(error))
    where = (found["path"] or "") if found else ""
    return where.removeprefix("$").removeprefix(".")[:120]
