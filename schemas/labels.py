"""Sensitivity and confidentiality of a record, by the rules of `labels.csv`: put on by the hub, never by a source.

A record gets every sensitivity that a rule finds in its codes, its words, its questionnaire or the age of whom it is about, and
the highest confidentiality among them. Rules are broad on purpose: what is labelled once too often is still the resident's to
share, by name. A change of either table takes a new `VERSION`, and `kinehub records relabel` brings stored records to it.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec

from schemas.codes import CODE_SYSTEMS
from schemas.records import Device, Envelope, Flag, Moment
from schemas.resident import ZONE

VERSION: Final = 3
"""Of the two tables. 1 stood before there were rules; 0 is what nothing ever labelled."""
ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
LOCAL: Final = CODE_SYSTEMS + "sensitivity"
LEVELS: Final = "NRV"
MINOR: Final = "MINOR14"


class Sensitivity(NamedTuple):
    """One row of `sensitivities.csv`. `why_*`: why sharing it is asked for apart."""

    code: str
    system: str
    confidentiality: str
    zh: str
    en: str
    why_zh: str
    why: str
    source: str

    @property
    def name(self) -> str:
        """As consents and decisions name it: the code of ActCode, `system|code` elsewhere."""
        return self.code if self.system == ACT_CODE else f"{self.system}|{self.code}"


class Label(NamedTuple):
    """What is put on a record: sensitivity codes in the order of their table, and N, R or V."""

    sensitivity: tuple[str, ...] = ()
    confidentiality: str = "N"

    @property
    def names(self) -> frozenset[str]:
        """Its sensitivities as decisions name them."""
        return frozenset(SENSITIVITIES[code].name if code in SENSITIVITIES else code for code in self.sensitivity)

    @property
    def security(self) -> list[dict[str, str]]:
        """Its codings in `meta.security`."""
        found = [{"system": SENSITIVITIES[code].system if code in SENSITIVITIES else ACT_CODE, "code": code} for code in self.sensitivity]
        return [*found, {"system": CONFIDENTIALITY, "code": self.confidentiality}]


def stricter(one: Label, other: Label) -> Label:
    """Every sensitivity of both, and the higher confidentiality."""
    both = sorted({*one.sensitivity, *other.sensitivity}, key=lambda code: (_ORDER.get(code, len(_ORDER)), code))
    return Label(tuple(both), max(one.confidentiality, other.confidentiality, key=LEVELS.index))


class Rule(NamedTuple):
    """One row of `labels.csv`. `by`: age, icd-10, snomed, loinc, atc, instrument or word; words and instruments stand in `zh` and `en`, or `value`."""

    sensitivity: str
    by: str
    value: str
    zh: str
    en: str
    source: str


def _rows(name: str) -> Iterator[dict[str, str]]:
    with files("schemas").joinpath(name).open(encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


SENSITIVITIES: Final = {row["code"]: Sensitivity(**row) for row in _rows("sensitivities.csv")}
TABLE: Final = tuple(Rule(**row) for row in _rows("labels.csv"))
_ORDER: Final = {code: place for place, code in enumerate(SENSITIVITIES)}
ADULT: Final = next(int(rule.value) for rule in TABLE if rule.by == "age")
"""Years from which a record is no longer a child's."""


def of_age(born: date | None, zone: str | None) -> datetime | None:
    """When somebody turns fourteen: midnight where they live, 1 March for the 29 February; None where their birth date is not known."""
    if born is None:
        return None
    try:
        day = born.replace(year=born.year + ADULT)
    except ValueError:
        day = date(born.year + ADULT, 3, 1)
    return datetime.combine(day, time(), tzinfo=ZoneInfo(zone or ZONE))


# Words


def _pattern(word: str) -> str:
    """A word stands alone, a stem (`depress*`) may go on; in capitals it is meant in capitals. Chinese has no edges."""
    plain = re.escape(word.strip("*"))
    before = "" if word.startswith("*") or not word[0].isascii() else "(?<![A-Za-z])"
    after = "" if word.endswith("*") or not word[-1].isascii() else "(?![A-Za-z])"
    return before + (plain if word.isupper() else f"(?i:{plain})") + after


class _Words(NamedTuple):
    """`any_` sifts a text in lower case; `of` says which sensitivity it was."""

    any_: re.Pattern[str]
    of: tuple[tuple[str, re.Pattern[str]], ...]

    def found(self, text: str) -> Iterator[str]:
        if not text.isascii():  # wide letters, as a Chinese keyboard writes them
            text = unicodedata.normalize("NFKC", text)
        if self.any_.search(text.lower()):
            yield from (code for code, pattern in self.of if pattern.search(text))


def _words(rules: Iterable[Rule]) -> _Words:
    listed: dict[str, list[str]] = {}
    for rule in rules:
        listed.setdefault(rule.sensitivity, []).extend(word for word in f"{rule.zh};{rule.en}".split(";") if word)
    stems = sorted({word.strip("*").lower() for words in listed.values() for word in words})
    return _Words(re.compile("|".join(map(re.escape, stems))), tuple((code, re.compile("|".join(map(_pattern, words)))) for code, words in listed.items()))


# Codes


_SYSTEMS: Final = (("icd-10", "icd-10"), ("icd10", "icd-10"), ("snomed", "snomed"), ("2.16.840.1.113883.6.96", "snomed"), ("loinc", "loinc"), ("atc", "atc"))
_ATC: Final = re.compile(r"[A-Z]\d\d[A-Z]")
_ICD: Final = re.compile(r"[A-Z]\d[0-9A-Z]")


def _system(uri: str, code: str) -> str:
    """Which list a code is looked up in; one of an unknown system by its shape."""
    known = next((name for part, name in _SYSTEMS if part in uri.lower()), "")
    return known or ("atc" if _ATC.match(code) else "icd-10" if _ICD.match(code) else "")


def _covers(listed: str, code: str) -> bool:
    """Whether `F20-F99`, `R45.7` or `N06A` speaks of a code."""
    first, _, last = listed.partition("-")
    return first <= code[:3] <= last if last else code.startswith(listed.replace(".", ""))


# Where a record says what


_SKIPPED: Final = (Moment, Flag, Device)
_CODES: Final = frozenset({"measure", "unit", "sport", "sub_sport", "source_record_id", "original", "formula_version", "algorithm_version", "study_uid"})
"""Text that is a code or number of our own or of a device."""
_SCALES: Final = frozenset({"screening", "rehabilitation-status"})
Said = tuple[str, str]
"""A field's part (`text` or `coding`), and what stands there."""


def _parts(hint: Any) -> Iterator[Any]:
    """The types inside a type: of `list[Answer] | None`, Answer."""
    if get_origin(hint) is None:
        yield hint
    else:
        for inner in get_args(hint):
            yield from _parts(inner)


@cache
def _fields(type_: Any) -> tuple[tuple[str, str, bool], ...]:
    """The fields of a struct that can hold words: name, part, and whether structs lie in it."""
    found = []
    for field in msgspec.structs.fields(type_):
        inner = set(_parts(field.type))
        structs = [one for one in inner if isinstance(one, type) and issubclass(one, msgspec.Struct) and one not in _SKIPPED and _fields(one)]
        if structs:
            found.append((field.name, "", True))
        elif str in inner and field.name not in _CODES:
            found.append((field.name, "coding" if field.name.endswith("coding") else "text", False))
    return tuple(found)


def _said(struct: Any) -> Iterator[Said]:
    """Every text and coding of a record."""
    for name, part, nested in _fields(struct.__class__):
        value = getattr(struct, name)
        if not value:
            continue
        for one in value if isinstance(value, list) else (value,):
            if nested:
                yield from _said(one)
            elif isinstance(one, str):
                yield part, one


class Rules(msgspec.Struct, frozen=True):
    """The rules in force in a process: `version` is written beside every record that they labelled."""

    version: int
    minors: bool
    words: _Words | None
    scales: _Words | None
    codes: dict[str, tuple[tuple[str, str], ...]]

    def label(self, record: Envelope | None, starts: datetime, adult_at: datetime | None) -> Label:
        """The label of a record that begins at `starts`, about somebody who turns fourteen at `adult_at`. A record of none of the kinds has none."""
        if record is None:
            return NONE
        found = {code for part, text in _said(record) for code in self._of(part, text, record)}
        if self.minors and adult_at is not None and starts < adult_at:
            found.add(MINOR)
        if not found:
            return NONE
        level = max((SENSITIVITIES[code].confidentiality for code in found), key=LEVELS.index)
        return Label(tuple(sorted(found, key=_ORDER.__getitem__)), level)

    def _of(self, part: str, text: str, record: Envelope) -> Iterator[str]:
        if part == "coding":
            yield from self._coded(text)
            text = text.rpartition("|")[2]
        if self.words:
            yield from self.words.found(text)
        if self.scales and record.__struct_config__.tag in _SCALES:
            yield from self.scales.found(text)

    def _coded(self, text: str) -> Iterator[str]:
        uri, _, code = text.rpartition("|")
        plain = code.strip().upper()
        listed = self.codes.get(_system(uri, plain), ())
        exact, bare = plain, plain.replace(".", "")
        for code, one in listed:
            if one == exact if one[0].isdigit() else _covers(one, bare):
                yield code


def compiled(version: int, table: Iterable[Rule]) -> Rules:
    """Rules out of rows of the table."""
    by: dict[str, list[Rule]] = {}
    for rule in table:
        by.setdefault(rule.by, []).append(rule)
    scales = [rule._replace(zh=rule.value, en="") for rule in by.get("instrument", ())]
    codes = {name: tuple((rule.sensitivity, one) for rule in by.get(name, ()) for one in rule.value.split()) for name in ("icd-10", "snomed", "loinc", "atc")}
    return Rules(version, "age" in by, _words(by["word"]) if "word" in by else None, _scales(scales) if scales else None, codes)


def _scales(rules: Iterable[Rule]) -> _Words:
    """Names of questionnaires, written with a hyphen, a space or neither."""
    of = tuple((rule.sensitivity, re.compile("|".join(_scale(name) for name in rule.zh.split(";")))) for rule in rules)
    return _Words(re.compile("|".join(pattern.pattern for _, pattern in of), re.IGNORECASE), of)


def _scale(name: str) -> str:
    return f"(?<![A-Za-z0-9])(?i:{'[-_ ]?'.join(map(re.escape, name.split('-')))})(?![A-Za-z0-9])"


NONE: Final = Label()
RULES: Final = compiled(VERSION, TABLE)
