"""One decision case, as `kinehub consent decide --case` reads it: consents, a request, a resource; the production engine answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from consent.content import about
from consent.decision import Decision, Policy, Verdict, check_resource, compile_policy, decide
from consent.explain import sentence
from consent.redaction import marked
from consent.request import Request
from schemas.errors import BadRequest


def _text(case: Mapping[str, Any], name: str, *, needed: bool = False) -> str | None:
    value = case.get(name)
    if value is None and not needed:
        return None
    if not isinstance(value, str) or not value:
        raise BadRequest("not a text, or missing", field=f"request.{name}")
    return value


def request_of(case: Mapping[str, Any]) -> Request:
    """The `request` of a case. BadRequest with the place where it is wrong."""
    at = _text(case, "at", needed=True)
    try:
        moment = datetime.fromisoformat(str(at))
    except ValueError as wrong:
        raise BadRequest("not a time", field="request.at") from wrong
    members = case.get("memberOf") or []
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        raise BadRequest("not a list of references", field="request.memberOf")
    return Request(
        actor=str(_text(case, "actor", needed=True)), at=moment, acts_for=_text(case, "actsFor"), member_of=tuple(members),
        purpose=_text(case, "purpose"), action=_text(case, "action") or "access",
    )  # fmt: skip


def _named(resources: list[Any]) -> dict[str, dict[str, Any]]:
    """Referenced resources by reference."""
    found = {}
    for each in resources:
        resource = each.get("resource", each) if isinstance(each, dict) else None
        if not isinstance(resource, dict):
            raise BadRequest("not a resource", field="resources")
        found[f"{resource.get('resourceType')}/{resource.get('id')}"] = resource
        if isinstance(each.get("fullUrl"), str):
            found[each["fullUrl"]] = resource
    return found


def _list(case: Mapping[str, Any], name: str) -> list[Any]:
    value = case.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise BadRequest("not a list of resources", field=name)
    return value


def _bundle(decision: Decision, bundle: Mapping[str, Any], zone: ZoneInfo) -> Verdict:
    """A Bundle is what its resources are: all permitted, some removed, or none."""
    entries, verdicts = bundle.get("entry") or [], []
    kept = []
    for entry in entries:
        verdict = judge(decision, entry["resource"], zone) if "resource" in entry else Verdict("permit")
        verdicts.append(verdict)
        if verdict.decision != "deny":
            kept.append({**entry, "resource": verdict.resource} if verdict.resource else entry)
    refused = [verdict for verdict in verdicts if verdict.decision != "permit"]
    if not refused:
        return verdicts[0] if verdicts else Verdict("deny")
    if not kept:
        return refused[0]
    body = {key: value for key, value in bundle.items() if key != "total"}
    return Verdict("redact", refused[0].rule, refused[0].text, marked({**body, "entry": kept}))


def judge(decision: Decision, resource: Mapping[str, Any], zone: ZoneInfo) -> Verdict:
    """The verdict on a resource at hand; on a Bundle, resource by resource."""
    if resource.get("resourceType") == "Bundle":
        return _bundle(decision, resource, zone)
    return check_resource(decision, resource, zone)


def _policy(case: Mapping[str, Any], resource: Mapping[str, Any]) -> Policy:
    bundled = resource.get("resourceType") == "Bundle"
    inner = [entry.get("resource") or {} for entry in resource.get("entry") or ()] if bundled else [resource]
    resident = next((patient for each in inner if (patient := about(each))), "")
    zone = case.get("timezone") or "Asia/Shanghai"
    return compile_policy(_list(case, "consents"), resident=resident, zone=str(zone), resources=_named(_list(case, "resources")), house=False)


def decide_case(case: Mapping[str, Any], language: str = "en") -> dict[str, Any]:
    """`{"id", "decision", "rule", "text"}`, with the redacted resource where a part was removed."""
    resource, asked = case.get("resource"), case.get("request")
    if not isinstance(resource, dict):
        raise BadRequest("a case needs a resource", field="resource")
    if not isinstance(asked, dict):
        raise BadRequest("a case needs a request", field="request")
    policy = _policy(case, resource)
    verdict = judge(decide(policy, request_of(asked)), resource, policy.zone)
    answer = {"id": case.get("id"), "decision": verdict.decision, "rule": list(verdict.rule), "text": sentence(verdict, language)}
    return {**answer, "resource": verdict.resource} if verdict.resource else answer
