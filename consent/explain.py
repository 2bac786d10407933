"""A decision in words: per data class what a request may see, and which rule says so."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from consent.decision import Decision, Policy, Verdict, Weight, decide, weigh
from consent.match import ANY, Case
from consent.provision import DENY, PERMIT, SILENT
from consent.request import Facts, Request
from consent.words import reason
from schemas.classes import CODES, NAMES

LANGUAGES = ("zh-CN", "en")

SENTENCES = {
    "permit": ("可以查看{name}（依据 {rule}）。", "May see {name} ({rule})."),
    "partly": ("只能查看部分{name}（依据 {rule}）。", "May see some of {name} ({rule})."),
    "deny": ("不能查看{name}：被 {rule} 拒绝。", "May not see {name}: {rule} denies it."),
    "none": ("不能查看{name}：没有任何授权允许。", "May not see {name}: no consent permits it."),
}
VERDICTS = {
    "permit": ("可以查看（依据 {rule}）。", "Permitted by {rule}."),
    "redact": ("部分内容已去除（依据 {rule}）。", "A part was removed, because of {rule}."),
    "deny": ("不能查看：被 {rule} 拒绝。", "Denied by {rule}."),
    "none": ("不能查看：没有任何授权允许。", "No rule of any consent permits it."),
}


def _language(language: str) -> int:
    return 0 if language.lower().startswith("zh") else 1


def sentence(verdict: Verdict, language: str) -> str:
    """A verdict in one sentence."""
    kind = verdict.decision if verdict.rule else "none"
    return VERDICTS[kind][_language(language)].format(rule=_path(verdict.rule))


def _path(rule: tuple[str, ...]) -> str:
    return " ".join(part for part in rule if part)


def _kind(weight: Weight) -> str:
    if weight.outcomes == PERMIT:
        return "permit"
    if weight.outcomes & PERMIT:
        return "partly"
    return "deny" if weight.outcomes & DENY else "none"


def _of_class(policy: Policy, decision: Decision, code: str, language: str) -> dict[str, Any]:
    """One class with everything but its class unknown, and with no sensitivity: what is certain, what is possible."""
    case = Case(Facts(classes=int(CODES[code])), int(CODES[code]), None)
    weight = weigh(decision, case)
    if weight.outcomes == SILENT:
        possible = weigh(decision, Case(case.facts, case.bit, ANY))
        weight = possible if possible.outcomes & PERMIT else weight
    kind = _kind(weight)
    rule = (weight.permitted_by if kind in ("permit", "partly") else weight.denied_by) or ()
    limit = weight.denied_by if kind == "partly" else None
    name = NAMES[code][_language(language)]
    return {
        "class": code,
        "decision": "deny" if kind == "none" else kind,
        "rule": list(rule),
        "except": list(limit or ()),
        "text": SENTENCES[kind][_language(language)].format(name=name, rule=_path(rule)),
        "reason": reason(policy, limit or rule, _language(language)),
    }


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def explain(policy: Policy, request: Request, language: str = "zh-CN") -> dict[str, Any]:
    """What a request may see, class by class, with the rules and one sentence each; and what in the consents was not understood."""
    decision = decide(policy, request)
    return {
        "actor": request.actor,
        "purpose": request.purpose,
        "at": request.at.isoformat(),
        "valid_until": _iso(decision.valid_until),
        "data_from": _iso(decision.since),
        "data_until": _iso(decision.until),
        "sensitive": decision.restricted,
        "classes": [_of_class(policy, decision, code, language) for code in CODES],
        "problems": [{"rule": list(problem.place), "text": problem.text} for problem in policy.problems],
    }
