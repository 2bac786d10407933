"""A rule in words a resident can read: what it permits or refuses, to whom, for what, of what, and when; with the rules above it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from consent.decision import Policy
from consent.match import Class, Codes, Data, DataPeriod, Labels
from consent.provision import DENY, PERMIT, Rule
from consent.span import EVER, NEVER, Span
from schemas.classes import NAMES, codes_of
from schemas.labels import SENSITIVITIES

PURPOSE_NAMES = {
    "TREAT": ("治疗", "treatment"), "ETREAT": ("急诊治疗", "emergency treatment"), "BTG": ("紧急破例查看", "breaking the glass"),
    "HPAYMT": ("费用结算", "payment"), "HOPERAT": ("机构运营", "health care operations"), "HRESCH": ("研究", "research"),
    "CLINTRCH": ("临床试验", "clinical trials"), "PUBHLTH": ("公共卫生", "public health"), "HMARKT": ("营销", "marketing"),
    "PATRQT": ("本人要求", "the resident's own request"), "CAREMGT": ("照护管理", "care management"), "HQUALIMP": ("质量改进", "quality improvement"),
}  # fmt: skip
ACTION_NAMES = {
    "collect": ("收集", "collect"), "access": ("查看", "see"), "use": ("使用", "use"), "disclose": ("提供给他人", "pass on"), "correct": ("更正", "correct"),
}  # fmt: skip
SENSITIVITY_NAMES = {one.name: (one.zh, one.en) for one in SENSITIVITIES.values()} | {
    "PSY": ("精神心理", "mental health"), "HIV": ("艾滋病", "HIV"), "ETH": ("物质使用", "substance use"), "ETHUD": ("饮酒障碍", "alcohol use"),
    "SUD": ("物质使用障碍", "substance use disorder"), "OPIOIDUD": ("阿片类使用障碍", "opioid use"),
    "SDV": ("性侵害与家庭暴力", "sexual assault and domestic violence"),
    "SEX": ("性与生殖健康", "sexual and reproductive health"), "STD": ("性传播疾病", "sexually transmitted disease"), "BH": ("行为健康", "behavioural health"),
}  # fmt: skip
LEVEL_NAMES = {
    "U": ("不限", "unrestricted"), "L": ("低", "low"), "M": ("中", "moderate"), "N": ("普通", "normal"), "R": ("受限", "restricted"),
    "V": ("严格受限", "very restricted"),
}  # fmt: skip
OUTCOMES = {PERMIT: ("允许", "permits"), DENY: ("拒绝", "refuses")}
ANYBODY = ("任何人", "anybody")
ALL_DATA = ("全部数据", "all data")
EXCEPT = ("；但", "; but ")


def reason(policy: Policy, place: Iterable[str], language: int) -> str:
    """The rule at a place after those above it, most general first; empty where there is none. `language`: 0 Chinese, 1 English."""
    chain = next(_chains(policy.rules, tuple(place), ()), ())
    clauses = [_clause(rule, policy.zone, language) for rule in chain if rule.outcome in OUTCOMES]
    return EXCEPT[language].join(clauses) + "。."[language] if clauses else ""


def _chains(rules: Iterable[Rule], place: tuple[str, ...], above: tuple[Rule, ...]) -> Iterator[tuple[Rule, ...]]:
    for rule in rules:
        if rule.place == place:
            yield (*above, rule)
        yield from _chains(rule.children, place, (*above, rule))


def _clause(rule: Rule, zone: ZoneInfo, language: int) -> str:
    who, why, does = _who(rule, language), _why(rule, language), _does(rule, language)
    what, when = _what(rule, zone, language), _when(rule, zone, language)
    verb = OUTCOMES[rule.outcome][language]
    if language:
        return f"{verb} {who}{f' to {does}' if does else ''}{f' for {why}' if why else ''}: {what}{f', {when}' if when else ''}"
    return f"{verb}{who}{f'为{why}' if why else ''}{does or '查看'}{what}{f'，{when}' if when else ''}"


def _listed(names: Iterable[str], language: int) -> str:
    return ("、", ", ")[language].join(names)


def _who(rule: Rule, language: int) -> str:
    if rule.actors is None:
        return ANYBODY[language]
    named = {*rule.actors.references, *(name for name, _ in rule.actors.timed), *(role[0] for role in rule.actors.roles)}
    named |= {value for _, value in rule.actors.identifiers}
    return _listed(sorted(named), language) or ("不能确定的人", "somebody not identified")[language]


def _name(table: dict[str, tuple[str, str]], code: str, language: int) -> str:
    return table[code][language] if code in table else code.rpartition("|")[2]


def _why(rule: Rule, language: int) -> str:
    plain = {code for code in rule.purposes or () if "|" not in code}
    foreign = {code for code in rule.purposes or () if "|" in code and code.rpartition("|")[2] not in plain}
    return _listed((_name(PURPOSE_NAMES, code, language) for code in sorted(plain | foreign)), language)


def _does(rule: Rule, language: int) -> str:
    return _listed((_name(ACTION_NAMES, code, language) for code in sorted(rule.actions or ())), language)


def _what(rule: Rule, zone: ZoneInfo, language: int) -> str:
    said = [_listed(_condition(condition, zone, language), language) for condition in rule.conditions]
    said += [("或", " or ")[language].join(_labels(rule.labels, language))] if rule.labels else []
    return ("，且限", ", and only ")[language].join(said) or ALL_DATA[language]


def _condition(condition: object, zone: ZoneInfo, language: int) -> Iterator[str]:
    if isinstance(condition, Class):
        yield from (NAMES[code][language] for code in codes_of(condition.bits))
        yield from sorted(condition.types | condition.profiles | condition.loose | {code for _, code in condition.documents if "://" not in code})
    elif isinstance(condition, Codes):
        yield ("代码 ", "code ")[language] + _listed(sorted({code for _, code in condition.codes} | condition.loose), language)
    elif isinstance(condition, Data):
        yield from (("记录 ", "the record ")[language] + name for name in sorted(condition.instances))
        yield from (("与其相关的 ", "what is related to ")[language] + name for name in sorted(condition.targets))
        yield from (("由其记录的 ", "what was written by ")[language] + name for name in sorted(condition.authors))
    elif isinstance(condition, DataPeriod):
        yield ("日期在 {} 的数据", "data dated {}")[language].format(_dates(Span(condition.since, condition.until), zone, language))


def _labels(labels: Labels, language: int) -> Iterator[str]:
    if labels.rank is not None:
        level = LEVEL_NAMES["ULMNRV"[labels.rank]][language]
        shape = (("保密级别{}及以下", "confidentiality {} or lower"), ("保密级别{}及以上", "confidentiality {} or higher"))[0 if labels.permits else 1]
        yield shape[language].format(level)
    names = _listed((_name(SENSITIVITY_NAMES, code, language) for code in sorted(labels.sensitivities)), language)
    if names:
        yield ("敏感信息（{}）", "sensitive data ({})")[language].format(names)


def _when(rule: Rule, zone: ZoneInfo, language: int) -> str:
    if rule.span is None:
        return ""
    return ("有效期{}", "valid {}")[language].format(_dates(rule.span, zone, language))


def _dates(span: Span, zone: ZoneInfo, language: int) -> str:
    since = "" if span.since == EVER else _day(span.since, zone)
    until = "" if span.until == NEVER else _day(span.until - timedelta(microseconds=1), zone)
    if since and until:
        return (f"{since} 至 {until}", f"from {since} to {until}")[language]
    return (f"{since} 起", f"from {since}")[language] if since else (f"至 {until}", f"until {until}")[language]


def _day(at: datetime, zone: ZoneInfo) -> str:
    """A day; with its time where it is not the day's edge."""
    local = at.astimezone(zone)
    edge = local.time().replace(microsecond=0).isoformat()
    return local.date().isoformat() if edge in ("00:00:00", "23:59:59") else f"{local.date().isoformat()} {edge[:5]}"
