"""The standard's terminology as FHIR R4 resources: CodeSystems, ValueSets, ConceptMaps and what goes with them, made from the tables and from nothing else.

Displays are zh-CN, designations en. How sure a mapping is says its equivalence: `equivalent` where the pairing was read in a
specification, `relatedto` with a comment where it was read in third-party use only, and what `equivalences.csv` says of single ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from schemas import classes, codes, labels, sports
from schemas.classes import NAMES, codes_of
from schemas.codes import LISTS, SEX, SEX_VERSION
from schemas.flags import FLAGS
from schemas.instruments import INSTRUMENTS
from schemas.lines import lines
from schemas.measures import LOCAL, LOINC, MDC, MEASURES, UCUM, WST363, Measure
from schemas.records import STANDARD_VERSION
from schemas.resident import GENDERS
from schemas.units import MDC_UNITS

Resource = dict[str, Any]
Concept = dict[str, Any]

BASE: Final = "https://kinehub.org/fhir"
DATE: Final = "2026-11-22"
"""When the terminology last changed."""
LANGUAGES: Final = ("zh-CN", "en")
"""Of displays, then of designations."""
QUALITY_FLAG: Final = codes.CODE_SYSTEMS + "quality-flag"
ADMINISTRATIVE_GENDER: Final = "http://hl7.org/fhir/administrative-gender"
OBSERVATION_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"

_LOINC_NOTICE: Final = (
    "This material contains content from LOINC (http://loinc.org). LOINC is copyright © Regenstrief Institute, Inc. and the Logical Observation "
    "Identifiers Names and Codes (LOINC) Committee and is available at no cost under the license at http://loinc.org/license."
)
_THIRD_PARTY: Final = "Read in third-party use only (verify)"
_STATED: Final = ("FHIR R4 vital signs", "PA IG 1.0.1")
"""Sources of `measures.csv` that state the LOINC number themselves."""


def _shared(type_: str, id_: str, title: tuple[str, str], said: tuple[str, str]) -> Resource:
    """What the three kinds of resource begin with. `title` and `said`: zh-CN, en."""
    return {
        "resourceType": type_, "id": id_, "language": LANGUAGES[0], "url": f"{BASE}/{type_}/{id_}", "version": STANDARD_VERSION,
        "name": "".join(part.capitalize() for part in id_.split("-")) + type_, "title": " ".join(title), "status": "active",
        "experimental": False, "date": DATE, "publisher": "KineHub", "description": "\n\n".join(said),
        "jurisdiction": [{"coding": [{"system": "urn:iso:std:iso:3166", "code": "CN"}]}],
    }  # fmt: skip


# Code systems


class _List(NamedTuple):
    """A code system before it is written: id, canonical, names, description, concepts, properties (code to type and meaning)."""

    id: str
    url: str
    title: tuple[str, str]
    said: tuple[str, str]
    concepts: list[Concept]
    properties: Mapping[str, tuple[str, str]] = MappingProxyType({})
    version: str = STANDARD_VERSION


def _concept(code: str, zh: str, en: str, definition: str = "", properties: Iterable[Concept] = ()) -> Concept:
    made = {"code": code, "display": zh, "definition": definition, "designation": [{"language": LANGUAGES[1], "value": en}], "property": [*properties]}
    return {name: value for name, value in made.items() if value}


def _measure_properties(measure: Measure) -> Iterator[Concept]:
    if measure.unit:
        yield {"code": "unit", "valueCoding": {"system": UCUM, "code": measure.unit}}
    yield {"code": "category", "valueCoding": {"system": OBSERVATION_CATEGORY, "code": measure.category}}
    yield {"code": "data-class", "valueCoding": {"system": classes.SYSTEM, "code": codes_of(measure.data_class)[0]}}
    bounds = {"usual-low": measure.low, "usual-high": measure.high, "possible-low": measure.reject_low, "possible-high": measure.reject_high}
    yield from ({"code": code, "valueDecimal": value} for code, value in bounds.items() if value is not None)
    yield {"code": "source", "valueString": measure.source}


def _measures() -> _List:
    return _List(
        "measure", LOCAL, ("指标", "Measures"),
        ("统一数据标准的指标；每个指标一个 UCUM 单位。", "The measures of the unified data standard, each with its one UCUM unit."),
        [_concept(one.key, one.zh, one.en, "", _measure_properties(one)) for one in MEASURES.values()],
        {
            "unit": ("Coding", "UCUM unit in which the value is kept; none for a panel"),
            "category": ("Coding", "Observation.category"),
            "data-class": ("Coding", "What a resident grants or withholds it as"),
            "usual-low": ("decimal", "Below it a value is flagged as implausible"),
            "usual-high": ("decimal", "Above it a value is flagged as implausible"),
            "possible-low": ("decimal", "Below it a value is refused"),
            "possible-high": ("decimal", "Above it a value is refused"),
            "source": ("string", "Where code and unit were read; (verify) marks a code not yet seen in its own release"),
        },
    )  # fmt: skip


def _sport_properties(sport: sports.Sport) -> Iterator[Concept]:
    yield {"code": "indoor", "valueBoolean": sport.indoor}
    if sport.distance_measure:
        yield {"code": "distance-measure", "valueCoding": {"system": LOCAL, "code": sport.distance_measure}}


def _sports() -> _List:
    return _List(
        "sport", sports.SYSTEM, ("运动项目", "Sports"), ("统一的运动项目编码。", "The one vocabulary of sports."),
        [_concept(one.code, one.zh, one.en, "", _sport_properties(one)) for one in sports.SPORTS.values()],
        {"indoor": ("boolean", "Always indoors"), "distance-measure": ("Coding", "The measure its distance is coded as")},
    )  # fmt: skip


def _data_classes() -> _List:
    return _List(
        "data-class", classes.SYSTEM, ("数据类别", "Data classes"),
        ("居民可以分别授权的数据类别，写在 meta.security。", "What a resident can grant apart; the label in meta.security."),
        [_concept(code, *NAMES[code]) for code in classes.CODES],
    )  # fmt: skip


def _flags() -> _List:
    said = ("凡是推定的、少见的都有标记。", "What was assumed or is unusual about a record.")
    return _List("quality-flag", QUALITY_FLAG, ("质量标记", "Quality flags"), said, [_concept(code, *sentences) for code, sentences in FLAGS.items()])


def _sensitivities() -> _List:
    return _List(
        "sensitivity", labels.LOCAL, ("敏感类别", "Sensitivities"),
        ("本地的敏感类别，写在 meta.security；其他的用 HL7 v3 ActCode。", "Our own sensitivity labels in meta.security; the others are of HL7 v3 ActCode."),
        [_concept(one.code, one.zh, one.en, one.source) for one in labels.SENSITIVITIES.values() if one.system == labels.LOCAL],
    )  # fmt: skip


_SHORT: Final[dict[str, tuple[tuple[str, str], tuple[str, str]]]] = {
    "record": (("记录类型", "Records"), ("记录和面板的本地编码，没有标准编码时用。", "Local codes of records and panels for which there is no standard code.")),
    "modality": (("获得方式", "Modality"), ("数值是怎样得到的。", "How a value was obtained.")),
    "counting": (("计数方式", "Ways of counting"), ("场馆里的人怎样数，都不识别是谁。", "How people at a venue were counted; nobody is recognised.")),
    "sampling-method": (("取样方法", "Sampling method"), ("采样点变稀时每一点怎样得出。", "How a point was made where samples were made coarser.")),
    "party-kind": (("机构类型", "Kinds of party"), ("收发数据的机构的类型。", "Kinds of the organizations that send or receive.")),
    "sex": (("人的性别代码", "Codes for the sexes"), ("GB/T 2261.1 的全部代码，照录。", "The whole list of GB/T 2261.1, repeated here; it is not ours.")),
    "fitness-edition": (
        ("体质测定标准的版本", "Editions of the fitness test"),
        ("国民体质测定标准的各个版本。没有核对过得分表，从不计算得分。",
         "Editions of the national fitness test. No score table was verified, so no score is computed."),
    ),
    "instrument": (
        ("问卷与量表", "Questionnaires and scales"),
        ("标准认得的问卷和自评量表。题目原文归作者，这里不发布，也从不计算得分。",
         "The questionnaires and self-rating scales that the standard names. Their text belongs to their authors and is not published; nothing is scored."),
    ),
    "area-level": (
        ("行政区划层级", "Levels of divisions"),
        ("12 位区划代码前 4、6、9、12 位为市、区县、街道乡镇、社区；代码逐年变动，须连同年份保存。区划代码表本身不在这里发布。",
         "The first 4, 6, 9 and 12 digits of a 12-digit division code; codes change from year to year, so the edition belongs to the code. "
         "The lists of divisions are not published here."),
    ),
}  # fmt: skip
"""List of `codes.csv` to its title and description."""


def _short(name: str) -> _List:
    title, said = _SHORT[name]
    url, version = (SEX, SEX_VERSION) if name == "sex" else (codes.CODE_SYSTEMS + name, STANDARD_VERSION)
    return _List(name, url, title, said, [_concept(*code) for code in LISTS[name].values()], version=version)


def _lists() -> list[_List]:
    return [_measures(), _sports(), _data_classes(), _sensitivities(), _flags(), *(_short(name) for name in LISTS)]


def _code_system(one: _List) -> Resource:
    properties = [{"code": code, "description": said, "type": type_} for code, (type_, said) in one.properties.items()]
    return {
        **_shared("CodeSystem", one.id, one.title, one.said), "url": one.url, "version": one.version, "caseSensitive": True,
        "valueSet": f"{BASE}/ValueSet/{one.id}", "content": "complete", "count": len(one.concepts),
        **({"property": properties} if properties else {}), "concept": one.concepts,
    }  # fmt: skip


def code_systems() -> list[Resource]:
    """Every CodeSystem of the standard, whole."""
    return [_code_system(one) for one in _lists()]


# Value sets


def _listed(measures: Iterable[Measure]) -> list[Concept]:
    """Measures as enumerated in a value set, named in both languages."""
    return [{"code": one.key, "display": one.zh, "designation": [{"language": LANGUAGES[1], "value": one.en}]} for one in measures]


def _of_class(code: str) -> Resource | None:
    measures = [one for one in MEASURES.values() if codes_of(one.data_class) == [code]]
    if not measures:
        return None
    zh, en = NAMES[code]
    said = (f"数据类别 {code} 的指标。", f"Measures of data class {code}.")
    shared = _shared("ValueSet", f"measure-{code}", (f"{zh}的指标", f"Measures of {en.lower()}"), said)
    return {**shared, "compose": {"include": [{"system": LOCAL, "version": STANDARD_VERSION, "concept": _listed(measures)}]}}


def _units() -> Resource:
    shared = _shared("ValueSet", "measure-unit", ("指标的单位", "Units of measures"), ("指标所用的 UCUM 单位。", "The UCUM units that measures are kept in."))
    units = dict.fromkeys(one.unit for one in MEASURES.values() if one.unit)
    return {**shared, "compose": {"include": [{"system": UCUM, "concept": [{"code": unit} for unit in units]}]}}


def _whole(one: _List) -> Resource:
    include = {"system": one.url, "version": one.version}
    return {**_shared("ValueSet", one.id, one.title, one.said), "immutable": False, "compose": {"include": [include]}}


def value_sets() -> list[Resource]:
    """A ValueSet over each code system, one of the measures of each data class that has any, and the units in use."""
    by_class = [made for code in classes.CODES if (made := _of_class(code))]
    return [*(_whole(one) for one in _lists()), *by_class, _units()]


# Concept maps


class Judged(NamedTuple):
    """How a local concept stands to one of another system, as R4's ConceptMapEquivalence, and why."""

    equivalence: str
    comment: str


def _judgements() -> dict[tuple[str, str], Judged]:
    return {(row["measure"], row["code"]): Judged(row["equivalence"], row["comment"]) for row in lines("equivalences.csv")}


JUDGED: Final[dict[tuple[str, str], Judged]] = _judgements()
"""(measure, code) to what is known of that pair beyond the rule."""


def _judged(measure: Measure, code: str, stated: bool) -> Judged:
    """`stated`: whether the pairing was read in a specification."""
    comment = measure.source if "(verify)" in measure.source else _THIRD_PARTY
    return JUDGED.get((measure.key, code)) or (Judged("equivalent", "") if stated else Judged("relatedto", comment))


def _target(code: str, judged: Judged, display: str = "") -> Concept:
    made = {"code": code, "display": display, "equivalence": judged.equivalence, "comment": judged.comment}
    return {name: value for name, value in made.items() if value}


def _element(code: str, display: str, targets: list[Concept]) -> Concept:
    return {"code": code, "display": display, "target": targets}


def _loinc(measure: Measure) -> list[Concept]:
    if not measure.loinc:
        return [{"equivalence": "unmatched", "comment": "No LOINC number is known for it"}]
    return [_target(code, _judged(measure, code, measure.source in _STATED)) for code in measure.loinc]


def _map(id_: str, title: tuple[str, str], source: str, target: str, elements: list[Concept], *, version: str = STANDARD_VERSION) -> Resource:
    said = (f"{title[0]}。", f"{title[1]}.")
    group = {"source": source, **({"sourceVersion": version} if version else {}), "target": target, "element": elements}
    return {**_shared("ConceptMap", id_, title, said), "group": [group]}


def _from_measures() -> Iterator[Resource]:
    every = MEASURES.values()
    scope = {"sourceCanonical": f"{BASE}/ValueSet/measure"}
    loinc = [_element(one.key, one.zh, _loinc(one)) for one in every]
    yield {**_map("measure-loinc", ("指标到 LOINC", "Measures to LOINC"), LOCAL, LOINC, loinc), "copyright": _LOINC_NOTICE, **scope}
    mdc = [_element(one.key, one.zh, [_target(code, _judged(one, code, False)) for code in one.mdc]) for one in every if one.mdc]
    yield {**_map("measure-mdc", ("指标到 IEEE 11073 MDC", "Measures to IEEE 11073 MDC"), LOCAL, MDC, mdc), **scope}
    national = [_element(one.key, one.zh, [_target(one.wst363, _judged(one, one.wst363, False))]) for one in every if one.wst363]
    yield {**_map("measure-wst363", ("指标到 WS/T 363 数据元", "Measures to WS/T 363 data elements"), LOCAL, WST363, national), **scope}


def _from_sports() -> Resource:
    answers = [_element(one.code, one.zh, [_target(one.loinc, Judged("relatedto", _THIRD_PARTY))]) for one in sports.SPORTS.values() if one.loinc]
    made = _map("sport-loinc", ("运动项目到 LOINC 答案", "Sports to LOINC answers"), sports.SYSTEM, LOINC, answers)
    return {**made, "copyright": _LOINC_NOTICE, "sourceCanonical": f"{BASE}/ValueSet/sport"}


_UNSTATED: Final = Judged("wider", "Unstated is not the same as unknown: the original code is kept beside Patient.gender")


def _from_sex() -> Resource:
    judged = {"9": _UNSTATED}
    elements = [
        _element(code, LISTS["sex"][code].zh, [_target(gender, judged.get(code, Judged("equivalent", "")))]) for code, gender in GENDERS.items()
    ]
    title = ("GB/T 2261.1 到 FHIR 性别", "GB/T 2261.1 to FHIR gender")
    made = _map("sex-administrative-gender", title, SEX, ADMINISTRATIVE_GENDER, elements, version=SEX_VERSION)
    scope = {"sourceCanonical": f"{BASE}/ValueSet/sex", "targetCanonical": "http://hl7.org/fhir/ValueSet/administrative-gender"}
    return {**made, **scope}


def _from_units() -> Resource:
    elements = [{"code": code, "target": [_target(unit, Judged("equivalent", ""))]} for code, unit in MDC_UNITS.items()]
    return _map("mdc-unit-ucum", ("IEEE 11073 单位到 UCUM", "IEEE 11073 units to UCUM"), MDC, UCUM, elements, version="")


def concept_maps() -> list[Resource]:
    """Measures to LOINC, MDC and WS/T 363, sports to LOINC answers, GB/T 2261.1 to FHIR, MDC units to UCUM."""
    return [*_from_measures(), _from_sports(), _from_sex(), _from_units()]


# Questionnaires


_NO_TEXT: Final = (
    "题目原文归作者，这里只有题号；不计算得分。",
    "The text belongs to its authors; only link ids stand here. Nothing is scored.",
)


def _questionnaire(instrument: str) -> Resource:
    one, known = LISTS["instrument"][instrument], INSTRUMENTS[instrument]
    said = (_NO_TEXT[0], f"{_NO_TEXT[1]} {known.source}")
    shared = {name: value for name, value in _shared("Questionnaire", instrument, (one.zh, one.en), said).items() if name != "name"}
    return {
        **shared, "name": "".join(part.capitalize() for part in instrument.split("-")), "status": "draft", "subjectType": ["Patient"],
        "code": [{"system": codes.CODE_SYSTEMS + "instrument", "code": instrument, "display": one.zh}],
        "item": [{"linkId": question.item, "type": question.type} for question in known.questions],
    }  # fmt: skip


def questionnaires() -> list[Resource]:
    """A Questionnaire for each instrument that the standard names."""
    return [_questionnaire(instrument) for instrument in INSTRUMENTS]


# Measures of venues


def measures() -> list[Resource]:
    """The Measure whose reports are counts of people at venues. It lists no groups: a report must have all that its Measure lists, and a source seldom has."""
    figures = [one for one in LISTS["record"].values() if one.code.startswith("occupancy-")]
    zh, en = "、".join(one.zh for one in figures), ", ".join(one.en.lower() for one in figures)
    said = (f"一段时间里场馆有多少人，不涉及任何个人。各组：{zh}。", f"How many people were at a venue over a time; it names nobody. Groups: {en}.")
    return [{
        **_shared("Measure", "venue-occupancy", ("场馆客流", "Venue occupancy"), said),
        "subjectCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Location"}]},
        "scoring": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/measure-scoring", "code": "continuous-variable"}]},
    }]  # fmt: skip


def resources() -> list[Resource]:
    """Everything that is published, code systems first."""
    return [*code_systems(), *value_sets(), *concept_maps(), *questionnaires(), *measures()]
