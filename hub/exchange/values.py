"""How one value of a search parameter meets one value in a resource, per parameter type (R4 "Search", 3.1.1.4).

Each `*_test` reads the text of a query once and gives a `Test`: (FHIR type, implied code systems, value) to yes or no.
A text that cannot be read raises ValueError with a reason that never quotes it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from hub.exchange.definitions import resource_types
from schemas.units import same_unit

Node = Any
Test = Callable[[str, tuple[str, ...], Node], bool]
Span = tuple[int, int]
"""Half-open range of microseconds since 1970 UTC."""

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
FOREVER = 1 << 62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000
_INFINITE = Decimal("Infinity")


class Frame(NamedTuple):
    """What a query is read in: our own base URL, the zone of dates that state none, and the moment of asking (for `ap`)."""

    base_url: str
    zone: tzinfo
    now: datetime


def split(text: str, separator: str) -> list[str]:
    """Cuts at each separator that is not escaped with a backslash; the escapes stay."""
    return _split_escaped(text, separator) if "\\" in text else text.split(separator)


def _split_escaped(text: str, separator: str) -> list[str]:
    parts, at = [""], 0
    while at < len(text):
        if text[at] == separator:
            parts.append("")
            at += 1
        else:
            width = 2 if text[at] == "\\" else 1
            parts[-1] += text[at : at + width]
            at += width
    return parts


def unescape(text: str) -> str:
    """`\\,` `\\|` `\\$` `\\\\` to what they stand for."""
    return re.sub(r"\\(.)", r"\1", text) if "\\" in text else text


def _prefixed(text: str) -> tuple[str, str]:
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)


# Dates


def _since_epoch(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _end_of(year: int, month: int | None, day: int | None) -> date:
    if month is None:
        return date(year + 1, 1, 1)
    if day is None:
        return date(year + month // 12, month % 12 + 1, 1)
    return date(year, month, day) + timedelta(days=1)


def _day_span(text: str, zone: tzinfo) -> Span:
    year, month, day = (*(int(part) for part in text.split("-")), None, None)[:3]
    first, after = date(year or 0, month or 1, day or 1), _end_of(year or 0, month, day)
    low, high = (datetime(one.year, one.month, one.day, tzinfo=zone) for one in (first, after))
    return _since_epoch(low), _since_epoch(high)


_FRACTION = re.compile(r"\.(\d+)")


def _width(text: str) -> int:
    """Microseconds that a written time covers: a minute, a second, or one unit of its last decimal."""
    if text[16:17] != ":":
        return 60 * _SECOND
    fraction = _FRACTION.search(text, 19)
    return max(1, _SECOND // 10 ** len(fraction[1])) if fraction else _SECOND


def span_of(text: str, zone: tzinfo) -> Span:
    """The range of a FHIR date, dateTime or instant as precise as it is written. Raises ValueError."""
    try:
        if len(text) <= 10:
            return _day_span(text, zone)
        moment = datetime.fromisoformat(text)
        start = _since_epoch(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (OverflowError, TypeError):
        raise ValueError("a date out of range") from None
    return start, start + _width(text)


def _period_span(period: Node, zone: tzinfo) -> Span:
    low = span_of(period["start"], zone)[0] if "start" in period else -FOREVER
    high = span_of(period["end"], zone)[1] if "end" in period else FOREVER
    return low, high


def _timing_span(timing: Node, zone: tzinfo) -> Span | None:
    spans = [span_of(one, zone) for one in timing.get("event", ())]
    bounds = timing.get("repeat", {}).get("boundsPeriod")
    if bounds:
        spans.append(_period_span(bounds, zone))
    return (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None


def date_span(kind: str, value: Node, zone: tzinfo) -> Span | None:
    """The range of a date, dateTime, instant, Period or Timing; None when it says no time or cannot be read."""
    try:
        if isinstance(value, str):
            return span_of(value, zone)
        if kind == "Period":
            return _period_span(value, zone)
        return _timing_span(value, zone) if kind == "Timing" else None
    except ValueError:
        return None


_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?)?)?")

_COMPARE: dict[str, Callable[[int, int, int, int], bool]] = {
    "eq": lambda low, high, a, b: low <= a and b <= high,
    "ne": lambda low, high, a, b: not (low <= a and b <= high),
    "gt": lambda low, high, a, b: b > high,
    "lt": lambda low, high, a, b: a < low,
    "ge": lambda low, high, a, b: b > high or (low <= a and b <= high),
    "le": lambda low, high, a, b: a < low or (low <= a and b <= high),
    "sa": lambda low, high, a, b: a >= high,
    "eb": lambda low, high, a, b: b <= low,
    "ap": lambda low, high, a, b: a < high and b > low,
}
"""R4's table of prefixes: `low`..`high` is the query's range, `a`..`b` the resource's."""


def date_bounds(text: str, frame: Frame) -> Span:
    """A range that everything which passes the test of this text touches."""
    prefix, written = _prefixed(text)
    low, high = span_of(written.replace(" ", "+"), frame.zone)
    return low if prefix in ("eq", "gt", "ge", "sa") else -FOREVER, high if prefix in ("eq", "lt", "le", "eb") else FOREVER


def date_test(text: str, frame: Frame) -> Test:
    """`ge2024-05`, `2024-05-01T10:00+08:00` … against every date-like type. `ap` is a tenth of the distance from now."""
    prefix, written = _prefixed(text)
    written = written.replace(" ", "+")
    if not _DATE.fullmatch(written):
        raise ValueError("a date as YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss] with a zone is expected")
    low, high = span_of(written, frame.zone)
    if prefix == "ap":
        slack = abs(_since_epoch(frame.now) - low) // 10
        low, high = low - slack, high + slack
    compare, zone = _COMPARE[prefix], frame.zone

    def test(kind: str, _: tuple[str, ...], value: Node) -> bool:
        span = date_span(kind, value, zone)
        return span is not None and compare(low, high, span[0], span[1])

    return test


# Numbers and quantities


def _number_range(text: str) -> tuple[Decimal, Decimal, Decimal]:
    """The number, and the range its significant digits stand for: `5.4` is 5.35 to 5.45, R4's own `1e2` is 95 to 105."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("a number is expected") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(number.adjusted()) > 400 or len(text) > 60:
        raise ValueError("a number is expected")
    half = Decimal(10) ** exponent * (Decimal("0.05") if exponent > 0 else Decimal("0.5"))
    return number, number - half, number + half


def _compare_numbers(text: str) -> Callable[[Decimal, Decimal], bool]:
    """A prefixed number against a range of the resource (low = high for a plain number)."""
    prefix, written = _prefixed(text)
    number, low, high = _number_range(written)
    tenth = abs(number) / 10
    tests: dict[str, Callable[[Decimal, Decimal], bool]] = {
        "eq": lambda a, b: low <= a and (b < high or a == b == number),
        "ne": lambda a, b: not (low <= a and (b < high or a == b == number)),
        "gt": lambda a, b: b > number,
        "lt": lambda a, b: a < number,
        "ge": lambda a, b: b >= number,
        "le": lambda a, b: a <= number,
        "sa": lambda a, b: a > number,
        "eb": lambda a, b: b < number,
        "ap": lambda a, b: a <= number + tenth and b >= number - tenth,
    }
    return tests[prefix]


def _decimal(value: Node) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _sampled_range(sampled: Node) -> tuple[Decimal, Decimal] | None:
    origin, factor = _decimal(sampled.get("origin", {}).get("value", 0)), _decimal(sampled.get("factor", 1))
    readings = [_decimal(one) * factor + origin for one in str(sampled.get("data", "")).split() if one not in ("E", "U", "L")]
    return (min(readings), max(readings)) if readings else None


def number_range(kind: str, value: Node) -> tuple[Decimal, Decimal] | None:
    """The range of an integer, decimal, Quantity (with comparator), Range, Money or SampledData; None when it has no number."""
    if kind == "Range":
        low, high = value.get("low", {}).get("value"), value.get("high", {}).get("value")
        return -_INFINITE if low is None else _decimal(low), _INFINITE if high is None else _decimal(high)
    if kind == "SampledData":
        return _sampled_range(value)
    number = value.get("value") if isinstance(value, dict) else value
    if number is None or isinstance(number, (str, bool)):
        return None
    comparator = value.get("comparator", "") if isinstance(value, dict) else ""
    return -_INFINITE if comparator[:1] == "<" else _decimal(number), _INFINITE if comparator[:1] == ">" else _decimal(number)


def number_test(text: str) -> Test:
    """`gt0.8`, `100` … against integers, decimals and Ranges."""
    compare = _compare_numbers(text)

    def test(kind: str, _: tuple[str, ...], value: Node) -> bool:
        found = number_range(kind, value)
        return found is not None and compare(*found)

    return test


def _unit_of(kind: str, value: Node) -> Node:
    if kind == "Range":
        return value.get("low") or value.get("high") or {}
    if kind == "Money":
        return {"system": "urn:iso:std:iso:4217", "code": value.get("currency")}
    return value.get("origin", {}) if kind == "SampledData" else value


def _unit_test(system: str, code: str) -> Callable[[Node], bool]:
    """Units are equal once annotations in braces are stripped; without a system a human unit does as well as a code."""
    if not code:
        return lambda unit: not system or unit.get("system") == system
    if system:
        return lambda unit: unit.get("system") == system and same_unit(unit.get("code") or "", code)
    return lambda unit: any(key in unit and same_unit(unit[key] or "", code) for key in ("code", "unit"))


def quantity_test(text: str) -> Test:
    """`5.4|http://unitsofmeasure.org|mg`, `ge5.4||mg`, `5.4`."""
    number, *unit = (unescape(part) for part in split(text, "|"))
    if len(unit) not in (0, 2):
        raise ValueError("a quantity as number, number|system|code or number||unit is expected")
    compare, same = _compare_numbers(number), _unit_test(*unit) if unit else None

    def test(kind: str, _: tuple[str, ...], value: Node) -> bool:
        found = number_range(kind, value)
        return found is not None and compare(*found) and (same is None or same(_unit_of(kind, value)))

    return test


# Tokens


def token_pairs(kind: str, systems: tuple[str, ...], value: Node) -> Iterator[tuple[str | None, str | None]]:
    """(system, code) of every coding in a token-like value; a bare code has each system its binding implies."""
    if kind == "CodeableConcept":
        for coding in value.get("coding", ()):
            yield coding.get("system"), coding.get("code")
    elif isinstance(value, dict):
        yield value.get("system"), value.get("code") if kind in ("Coding", "Quantity") else value.get("value")
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        for system in systems or (None,):
            yield system, text


def token_of(text: str) -> tuple[str | None, str | None]:
    """`code` = (None, code), `|code` = ("", code), `system|code`, `system|` = (system, None)."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) > 2 or not any(parts):
        raise ValueError("a token as code, system|code, |code or system| is expected")
    return (None, parts[0]) if len(parts) == 1 else (parts[0], parts[1] or None)


def token_test(text: str) -> Test:
    """Codes and identifiers are compared exactly, case included."""
    wanted_system, wanted = token_of(text)

    def test(kind: str, systems: tuple[str, ...], value: Node) -> bool:
        for system, code in token_pairs(kind, systems, value):
            if (wanted is None or code == wanted) and (wanted_system is None or (system or "") == wanted_system):
                return True
        return wanted_system == "" and bool(systems) and value == wanted

    return test


def boolean_test(text: str) -> Test:
    """`true` or `false`, nothing else."""
    if token_of(text)[1] not in ("true", "false"):
        raise ValueError("true or false is expected")
    return token_test(text)


def token_text_test(text: str) -> Test:
    """`:text`: the words that go with a code, from their start."""
    wanted = fold(unescape(text))

    def test(kind: str, _: tuple[str, ...], value: Node) -> bool:
        if not isinstance(value, dict):
            return False
        concept = value.get("type", {}) if kind == "Identifier" else value
        words = [concept.get("text"), concept.get("display"), *(coding.get("display") for coding in concept.get("coding", ()))]
        return any(word and fold(word).startswith(wanted) for word in words)

    return test


def of_type_test(text: str) -> Test:
    """`identifier:of-type=system|code|value`."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise ValueError("a typed identifier as system|code|value is expected")
    system, code, wanted = parts

    def test(kind: str, _: tuple[str, ...], value: Node) -> bool:
        pairs = token_pairs("CodeableConcept", (), value.get("type", {})) if kind == "Identifier" else ()
        return kind == "Identifier" and value.get("value") == wanted and (system, code) in pairs

    return test


# Strings


def fold(text: str) -> str:
    """Without case, accents and doubled spaces, for comparing."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return " ".join(plain.casefold().split())


_PARTS = {
    "HumanName": ("text", "family", "given", "prefix", "suffix"),
    "Address": ("text", "line", "city", "district", "state", "country", "postalCode"),
    "CodeableConcept": ("text",),
}


def string_parts(kind: str, value: Node) -> Iterator[str]:
    """Every text in a string-like value: each part of a name or address apart."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key in _PARTS.get(kind, ()):
            found = value.get(key)
            yield from (one for one in (found if isinstance(found, list) else [found]) if isinstance(one, str))


_SOUNDS = {sign: digit for digit, signs in {"1": "bfpv", "2": "cgjkqsxz", "3": "dt", "4": "l", "5": "mn", "6": "r"}.items() for sign in signs}


def soundex(word: str) -> str:
    """American Soundex of a Latin word; other scripts come back folded, so they match only themselves."""
    plain = fold(word)
    if not plain.isascii() or not plain[:1].isalpha():
        return plain
    code, last = plain[0].upper(), _SOUNDS.get(plain[0], "")
    for sign in plain[1:]:
        sound = _SOUNDS.get(sign, "")
        if sound and sound != last:
            code += sound
        last = last if sign in "hw" else sound
    return code[:4].ljust(4, "0")


def string_test(text: str, modifier: str = "", code: str = "") -> Test:
    """From the start, without case and accents; `:contains` anywhere; `:exact` to the letter; `phonetic` by sound."""
    raw = unescape(text)
    wanted = fold(raw)
    if not wanted:
        raise ValueError("a text is expected")
    if modifier == "exact":
        return lambda kind, _, value: raw in string_parts(kind, value)
    if modifier == "contains":
        return lambda kind, _, value: any(wanted in fold(part) for part in string_parts(kind, value))
    if code == "phonetic":
        sound = soundex(raw)
        return lambda kind, _, value: any(sound == soundex(word) for part in string_parts(kind, value) for word in part.split())
    return lambda kind, _, value: any(fold(part).startswith(wanted) for part in string_parts(kind, value))


# URIs and references


def _same_canonical(stored: str, wanted: str) -> bool:
    return stored == wanted or ("|" not in wanted and stored.partition("|")[0] == wanted)


def uri_test(text: str, modifier: str = "") -> Test:
    """Exactly; a canonical without a version also with one. `:below` = what starts with it, `:above` = what it starts with."""
    wanted = unescape(text)
    if modifier == "below":
        return lambda _kind, _, value: isinstance(value, str) and (value + "/").startswith(wanted.rstrip("/") + "/")
    if modifier == "above":
        return lambda _kind, _, value: isinstance(value, str) and (wanted + "/").startswith(value.rstrip("/") + "/")
    return lambda _kind, _, value: isinstance(value, str) and _same_canonical(value, wanted)


_LOCAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def local_reference(text: Node, base_url: str) -> tuple[str, str] | None:
    """(type, id) of a literal reference to this hub, relative or under our own base; a version is left aside. Else None."""
    if not isinstance(text, str):
        return None
    match = _LOCAL.fullmatch(text.removeprefix(base_url.rstrip("/") + "/"))
    return (match[1], match[2]) if match and match[1] in resource_types() else None


def reference_of(text: str, modifier: str, frame: Frame) -> tuple[str, str]:
    """(type, id) that a query value names; type "" = any, and a foreign URL comes back as ("", url). Raises ValueError."""
    wanted = unescape(text)
    if "/_history/" in wanted:
        raise ValueError("a reference without a version is expected")
    local = local_reference(wanted, frame.base_url)
    if local and modifier and local[0] != modifier:
        raise ValueError("the reference has another type than the modifier says")
    if local:
        return local
    if _ID.fullmatch(wanted):
        return modifier, wanted
    if ":" in wanted and not modifier:
        return "", wanted
    raise ValueError("a reference as id, Type/id or URL is expected")


def reference_test(text: str, modifier: str, frame: Frame) -> Test:
    """`23`, `Patient/23`, `[our base]/Patient/23`, a foreign URL or canonical; the modifier may name the type."""
    kind_wanted, wanted = reference_of(text, modifier, frame)
    base = frame.base_url
    literals = {f"{kind_wanted}/{wanted}"} if kind_wanted else set()

    def test(kind: str, _: tuple[str, ...], value: Node) -> bool:
        if isinstance(value, str):
            return _same_canonical(value, unescape(text))
        if value.get("reference") in literals:
            return True
        if "resourceType" in value:
            return value.get("id") == wanted and kind_wanted in ("", value["resourceType"])
        stored = local_reference(value.get("reference"), base)
        if stored is None:
            return bool(value.get("reference") == wanted)
        return stored[1] == wanted and kind_wanted in ("", stored[0])

    return test


def reference_identifier_test(text: str) -> Test:
    """`:identifier`: the logical identifier inside a Reference."""
    token = token_test(text)

    def test(_kind: str, _: tuple[str, ...], value: Node) -> bool:
        return "identifier" in value and token("Identifier", (), value["identifier"])

    return test
