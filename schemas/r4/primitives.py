"""R4's primitive types: whether a JSON value is one."""

from __future__ import annotations

import calendar
import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any, Final

_DATE: Final = r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])"
_TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE: Final = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

_IS_DATE: Final = re.compile(_DATE + ")?)?").fullmatch
_IS_DATE_TIME: Final = re.compile(f"{_DATE}(T{_TIME}{_ZONE})?)?)?").fullmatch
_IS_INSTANT: Final = re.compile(f"{_DATE}T{_TIME}{_ZONE}))").fullmatch
_IS_TIME: Final = re.compile(_TIME).fullmatch
_IS_CODE: Final = re.compile(r"[^\s]+( [^\s]+)*").fullmatch
_IS_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
_IS_URI: Final = re.compile(r"\S+").fullmatch
_IS_OID: Final = re.compile(r"urn:oid:(?=[0-9.]{5,}\.)[0-2](\.(0|[1-9][0-9]*))+").fullmatch
_IS_UUID: Final = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_IS_ABSOLUTE: Final = re.compile(r"(#|[A-Za-z][A-Za-z0-9+.-]*:)\S*").fullmatch
_LAST_SAFE_DAY: Final = "28"
_LARGEST: Final = 2**31 - 1


def _is_boolean(value: Any) -> bool:
    return value is True or value is False


def _is_integer(value: Any) -> bool:
    return type(value) is int and -_LARGEST - 1 <= value <= _LARGEST


def _is_unsigned(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _is_positive(value: Any) -> bool:
    return type(value) is int and 0 < value <= _LARGEST


def _is_decimal(value: Any) -> bool:
    return type(value) is float or type(value) is int


def is_blank(value: Any) -> bool:
    """Text of white space alone, which R4 allows as a string or markdown and which says nothing."""
    return type(value) is str and value.isspace()


def _is_text(value: Any) -> bool:
    return type(value) is str and value != "" and not value.isspace()


def _is_code(value: Any) -> bool:
    return type(value) is str and _IS_CODE(value) is not None


def _is_id(value: Any) -> bool:
    return type(value) is str and _IS_ID(value) is not None


def _is_uri(value: Any) -> bool:
    return type(value) is str and _IS_URI(value) is not None and (value[:4] != "urn:" or _is_urn(value))


def _is_canonical(value: Any) -> bool:
    return _is_uri(value) and _IS_ABSOLUTE(value) is not None


def _is_urn(value: str) -> bool:
    return (not value.startswith("urn:oid:") or _IS_OID(value) is not None) and (not value.startswith("urn:uuid:") or _IS_UUID(value) is not None)


def _is_oid(value: Any) -> bool:
    return type(value) is str and _IS_OID(value) is not None


def _is_uuid(value: Any) -> bool:
    return type(value) is str and _IS_UUID(value) is not None


def _is_a_day(value: str) -> bool:
    """Whether the day is in the calendar; the pattern was matched before."""
    return value[8:10] <= _LAST_SAFE_DAY or int(value[8:10]) <= calendar.monthrange(int(value[:4]), int(value[5:7]))[1]


def _is_date(value: Any) -> bool:
    return type(value) is str and _IS_DATE(value) is not None and _is_a_day(value)


def _is_date_time(value: Any) -> bool:
    return type(value) is str and _IS_DATE_TIME(value) is not None and _is_a_day(value)


def _is_instant(value: Any) -> bool:
    return type(value) is str and _IS_INSTANT(value) is not None and _is_a_day(value)


def _is_time(value: Any) -> bool:
    return type(value) is str and _IS_TIME(value) is not None


def _is_base64(value: Any) -> bool:
    if type(value) is not str or not value:
        return False
    try:
        b64decode("".join(value.split()), validate=True)
    except ValueError:
        return False
    return True


PRIMITIVES: Final[dict[str, Callable[[Any], bool]]] = {
    "boolean": _is_boolean, "integer": _is_integer, "unsignedInt": _is_unsigned, "positiveInt": _is_positive, "decimal": _is_decimal,
    "string": _is_text, "markdown": _is_text, "code": _is_code, "id": _is_id, "uri": _is_uri, "url": _is_uri, "canonical": _is_canonical,
    "oid": _is_oid, "uuid": _is_uuid, "date": _is_date, "dateTime": _is_date_time, "instant": _is_instant, "time": _is_time,
    "base64Binary": _is_base64, "xhtml": _is_text,
}  # fmt: skip
"""FHIR type to the test of a JSON value."""

_EARLY: Final = r"(?!0000)[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|1[0-9]|2[0-8])"
"""A date whose day every month has."""
QUICK: Final[dict[str, Callable[[str], object]]] = {
    "string": str.strip, "markdown": str.strip, "code": _IS_CODE, "id": _IS_ID, "uri": re.compile(r"(?!urn:)\S+").fullmatch,
    "url": re.compile(r"(?!urn:)\S+").fullmatch, "canonical": re.compile(r"https?:\S+").fullmatch, "date": re.compile(_EARLY + ")?)?").fullmatch,
    "dateTime": re.compile(f"{_EARLY}(T{_TIME}{_ZONE})?)?)?").fullmatch, "instant": re.compile(f"{_EARLY}T{_TIME}{_ZONE}))").fullmatch,
    "time": _IS_TIME, "xhtml": re.compile(r'<div xmlns="http://www\.w3\.org/1999/xhtml">[^<>&\s][^<>&]*</div>').fullmatch,
}  # fmt: skip
"""FHIR type to a test in C that is true only of values of the type, though not of all of them: most need no more."""
