"""The resident as the standard knows them, and the check of the resident identity card's number (GB 11643).

These are the contents of class `identity`; none of it may appear in ids, references, URLs or logs.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from schemas.errors import BadRequest

ID_NUMBER_SYSTEM: Final = "urn:oid:2.16.156.10011.1.3"
"""居民身份证号 (third-party use of the arc 2.16.156.10011; verify)."""
HEALTH_CARD_SYSTEM: Final = "urn:oid:2.16.156.10011.1.19"
"""居民健康卡号."""
MEMBER_SYSTEM: Final = "https://kinehub.org/id/member-number"
"""A party's member number; the party is the identifier's assigner."""

ZONE: Final = "Asia/Shanghai"
"""Where days, ages and years begin for a resident or a party that does not say where."""

Gender = Literal["male", "female", "other", "unknown"]

GENDERS: Final[dict[str, Gender]] = {"0": "unknown", "1": "male", "2": "female", "9": "unknown"}
"""GB/T 2261.1 to FHIR; 9 (未说明) is not `other`, and the original code is kept beside it."""

_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"
_PHONE: Final = re.compile(r"\+[1-9]\d{6,14}|(?:86)?1[3-9]\d{9}|0\d{2,3}-?[2-9]\d{6,7}(?:-\d{1,6})?", re.ASCII)
_AREA: Final = re.compile(r"(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[12])\d\d(?:\d\d(?:\d{3}){0,2})?", re.ASCII)
_SHAPE: Final = re.compile(r"[1-9][0-9]{16}[0-9X]", re.ASCII)


class MemberNumber(msgspec.Struct, frozen=True):
    """A resident's number at one party; `party` is the Organization's id."""

    party: str
    number: str


class Resident(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A resident. `gender_code` is GB/T 2261.1 as received; `area` a division code (GB/T 2260 and 10114); `zone` IANA."""

    name: str | None = None
    id_number: str | None = None
    birth_date: date | None = None
    gender: Gender | None = None
    gender_code: Literal["0", "1", "2", "9"] | None = None
    phone: str | None = None
    area: str | None = None
    zone: str | None = None
    member_numbers: list[MemberNumber] = []
    health_card: str | None = None


def id_number(text: str | None) -> str | None:
    """An ID number as it is stored (upper-case X, no spaces), or None when it is not a valid one."""
    plain = "".join((text or "").split()).upper()
    if not _SHAPE.fullmatch(plain) or _birth(plain) is None:
        return None
    total = sum(int(digit) * weight for digit, weight in zip(plain, _WEIGHTS, strict=False))
    return plain if _CHECKS[total % 11] == plain[17] else None


def phone_valid(text: str) -> bool:
    """Whether a text is a number in the form of E.164 (`+8613812345678`), a Chinese mobile, or a landline with its area code (`021-62345678`)."""
    plain = re.sub(r"\s", "", unicodedata.normalize("NFKC", text))
    return bool(_PHONE.fullmatch(plain) or _PHONE.fullmatch(plain.replace("-", "")))


def area_covers(area: str, other: str | None) -> bool:
    """Whether a division lies in an area, itself included: 310110001 in 310110 in 3101. What has no division lies in none."""
    return other is not None and other.startswith(area)


def area_valid(text: str) -> bool:
    """Whether a text has the form of a division code of a level: city (4 digits), district (6), street or township (9), community (12)."""
    return _AREA.fullmatch(text) is not None


def check_area(text: str) -> None:
    """Raises BadRequest unless a text has the form of a division code."""
    if not area_valid(text):
        levels = "4 digits for a city (3101), 6 for a district (310110), 9 for a street or township, 12 for a community"
        raise BadRequest(f"An area is a division code: {levels}.", code="area", field="area")


def check_forms(resident: Resident) -> None:
    """What is said of a resident has its form, by whatever way it came. Raises BadRequest naming the field: phone, area or zone."""
    if resident.phone is not None and not phone_valid(resident.phone):
        forms = "a mobile (13812345678), a landline with its area code (021-62345678), or E.164 (+8613812345678)"
        raise BadRequest(f"The phone is {forms}.", code="phone", field="phone")
    if resident.area is not None:
        check_area(resident.area)
    if resident.zone is not None and not zone_valid(resident.zone):
        raise BadRequest(f"The zone is an IANA time zone such as {ZONE}.", code="zone", field="zone")


def zone_valid(text: str) -> bool:
    """Whether a text names an IANA time zone."""
    try:
        return bool(ZoneInfo(text))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def id_number_valid(text: str | None) -> bool:
    """Whether a text is an 18-character ID number with a real birth date and the right check character."""
    return id_number(text) is not None


def _birth(plain: str) -> date | None:
    try:
        return date(int(plain[6:10]), int(plain[10:12]), int(plain[12:14]))
    except ValueError:
        return None


def id_number_birth_date(text: str | None) -> date | None:
    """The birth date in a valid ID number."""
    plain = id_number(text)
    return _birth(plain) if plain else None


def birth_date(stated: date | None, number: str | None) -> date | None:
    """The birth date that is stated, else that of a valid ID number."""
    return stated or id_number_birth_date(number)


def id_number_gender(text: str | None) -> Gender | None:
    """The sex in a valid ID number: the 17th digit is odd for male."""
    plain = id_number(text)
    return None if plain is None else "male" if int(plain[16]) % 2 else "female"
