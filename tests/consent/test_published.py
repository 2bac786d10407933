"""Cases made from published guides, engines' tests and the R4 page by a reader who had not seen the engine; `published.json` holds them.

There a consent, a request and an Observation say only how they differ from the ones at its head (null: without that element), and code
systems stand by a short name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from consent.case import decide_case, request_of
from consent.content import about, facts_of
from consent.decision import compile_policy, decide

Json = dict[str, Any]
FILE: Json = json.loads(Path(__file__).with_name("published.json").read_text())
EACH = [pytest.param(each, id=f"{source}: {each['name']}") for source, cases in FILE["cases"].items() for each in cases]


def spelled(value: Any) -> Any:
    """With the full names of code systems."""
    if isinstance(value, list):
        return [spelled(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: FILE["systems"].get(inner, inner) if name == "system" and isinstance(inner, str) else spelled(inner) for name, inner in value.items()}


def based(base: Json, differing: Json) -> Json:
    return {name: value for name, value in {**base, **differing}.items() if value is not None}


def case(each: Json) -> Json:
    resource = each.get("resource", {})
    whole = "resourceType" in resource
    consents = [one if "resource" in one or "entry" in one else based(FILE["consent"], one) for one in each.get("consents", [{}])]
    return {
        "id": each["name"], "timezone": each.get("timezone", "Asia/Shanghai"), "request": based(FILE["request"], each.get("request", {})),
        "consents": spelled(consents), "resources": spelled(each.get("resources", [])),
        "resource": spelled(based({} if whole else FILE["resource"], resource)),
    }  # fmt: skip


@pytest.mark.parametrize("each", EACH)
def test_a_published_case_is_decided_as_its_guide_means_it(each: Json) -> None:
    assert decide_case(case(each))["decision"] == each["expected"]


def at_hand(read: Json) -> dict[str, Json]:
    """Resources by type and id, and by the address they stand at."""
    entries = [each if "resource" in each else {"resource": each} for each in read["resources"]]
    named = {f"{each['resource']['resourceType']}/{each['resource']['id']}": each["resource"] for each in entries}
    return named | {each["fullUrl"]: each["resource"] for each in entries if "fullUrl" in each}


@pytest.mark.parametrize("each", [param for param in EACH if param.values[0]["expected"] != "deny"])
def test_what_a_published_case_permits_passes_the_filter_of_the_query(each: Json) -> None:
    read = case(each)
    if read["resource"]["resourceType"] in ("Bundle", "Parameters") or any("resource" in one or "entry" in one or "meta" in one for one in read["consents"]):
        return
    zone = read["timezone"]
    resident = about(read["resource"]) or "Patient/p"
    policy = compile_policy(read["consents"], resident=resident, zone=zone, resources=at_hand(read), house=False)
    decision = decide(policy, request_of(read["request"]))
    assert decision.covers(facts_of(read["resource"], ZoneInfo(zone)))
