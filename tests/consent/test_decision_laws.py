"""The laws of CONSENT.md 1.4, on generated provision trees. `KINEHUB_CONSENT_EXAMPLES` raises the number of examples."""

from __future__ import annotations

import os
from copy import deepcopy
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.case import decide_case
from consent.content import facts_of
from consent.decision import Verdict, compile_policy, decide
from consent.request import Request
from consent.span import NEVER
from tests.consent import oracle
from tests.consent.trees import CONDITIONS, POLICIES, REQUESTS, RESOURCES, SOURCE, consents, resources, rules

EXAMPLES = int(os.environ.get("KINEHUB_CONSENT_EXAMPLES", "300"))
FIXED = "KINEHUB_CONSENT_EXAMPLES" not in os.environ
law = settings(max_examples=EXAMPLES, deadline=None, derandomize=FIXED, database=None, suppress_health_check=list(HealthCheck))
ORDER = {"deny": 0, "redact": 1, "permit": 2}
LISTS = ["actor", "purpose", "action", "securityLabel", "class", "code", "data"]

Json = dict[str, Any]


def verdict(policy: list[Json], ask: Request, resource: Json, *, house: bool = True, source: Json | None = None) -> Verdict:
    known = {**RESOURCES, "Observation/source": source} if source else RESOURCES
    compiled = compile_policy(policy, resident="Patient/p", zone="Asia/Shanghai", resources=known, house=house)
    return decide(compiled, ask).check(facts_of(resource, compiled.zone), resource)


def places(policy: list[Json]) -> list[list[Json]]:
    """Every list of sibling rules in the trees."""
    found = []

    def walk(rule: Json) -> None:
        found.append(rule.setdefault("provision", []))
        for child in list(rule["provision"]):
            walk(child)

    for consent in policy:
        walk(consent["provision"])
    return found


@law
@given(POLICIES, REQUESTS, resources(), st.booleans(), st.sampled_from([None, SOURCE]))
def test_compiled_engine_agrees_with_the_slow_oracle(policy: list[Json], ask: Request, resource: Json, house: bool, source: Json | None) -> None:
    assert verdict(policy, ask, resource, house=house, source=source).decision == oracle.judge(policy, ask, resource, source, house=house)


@law
@given(POLICIES, REQUESTS, resources(), rules(kinds=("deny",), depth=0), st.data())
def test_adding_a_deny_never_shows_more(policy: list[Json], ask: Request, resource: Json, deny: Json, data: st.DataObject) -> None:
    before = verdict(policy, ask, resource).decision
    stricter = deepcopy(policy)
    data.draw(st.sampled_from(places(stricter))).append(deny)
    assert ORDER[verdict(stricter, ask, resource).decision] <= ORDER[before]


@law
@given(POLICIES, REQUESTS, resources(), rules(kinds=("permit",), depth=0), st.data())
def test_adding_a_permit_never_hides(policy: list[Json], ask: Request, resource: Json, permit: Json, data: st.DataObject) -> None:
    before = verdict(policy, ask, resource).decision
    wider = deepcopy(policy)
    data.draw(st.sampled_from(places(wider))).append(permit)
    assert ORDER[verdict(wider, ask, resource).decision] >= ORDER[before]


@law
@given(POLICIES, consents(), REQUESTS, resources())
def test_adding_a_consent_without_denies_never_hides(policy: list[Json], other: Json, ask: Request, resource: Json) -> None:
    other["provision"] = {**other["provision"], "type": "permit", "provision": []}
    other.pop("policyRule", None)
    del other["provision"]["provision"]
    assert ORDER[verdict([*policy, other], ask, resource).decision] >= ORDER[verdict(policy, ask, resource).decision]


@law
@given(POLICIES, REQUESTS, resources())
def test_order_of_rules_and_consents_changes_nothing(policy: list[Json], ask: Request, resource: Json) -> None:
    turned = deepcopy(policy)[::-1]
    for siblings in places(turned):
        siblings.reverse()
    assert verdict(turned, ask, resource).decision == verdict(policy, ask, resource).decision


@law
@given(POLICIES, REQUESTS, resources(), rules(), st.data())
def test_an_expired_rule_changes_nothing(policy: list[Json], ask: Request, resource: Json, rule: Json, data: st.DataObject) -> None:
    longer = deepcopy(policy)
    data.draw(st.sampled_from(places(longer))).append({**rule, "period": {"start": "2019-01-01", "end": "2019-12-31"}})
    assert verdict(longer, ask, resource) == verdict(policy, ask, resource)


@law
@given(POLICIES, REQUESTS, resources(), rules(depth=1), st.sampled_from(LISTS), st.data())
def test_splitting_one_list_into_sibling_rules_changes_nothing(
    policy: list[Json], ask: Request, resource: Json, rule: Json, name: str, data: st.DataObject
) -> None:
    values = data.draw(CONDITIONS[name].filter(lambda found: len(found) > 1))
    whole, split = deepcopy(policy), deepcopy(policy)
    number = data.draw(st.integers(0, len(places(whole)) - 1))
    places(whole)[number].append({**rule, name: values})
    places(split)[number].extend({**deepcopy(rule), name: [value]} for value in values)
    assert verdict(split, ask, resource).decision == verdict(whole, ask, resource).decision


@law
@given(POLICIES, REQUESTS, resources(), st.booleans())
def test_the_filter_lets_through_whatever_is_permitted(policy: list[Json], ask: Request, resource: Json, house: bool) -> None:
    compiled = compile_policy(policy, resident="Patient/p", zone="Asia/Shanghai", resources=RESOURCES, house=house)
    decision, facts = decide(compiled, ask), facts_of(resource, compiled.zone)
    assert decision.covers(facts) or decision.check(facts, resource).decision == "deny"


@law
@given(POLICIES, REQUESTS, resources())
def test_an_exact_decision_needs_no_content(policy: list[Json], ask: Request, resource: Json) -> None:
    compiled = compile_policy(policy, resident="Patient/p", zone="Asia/Shanghai", resources=RESOURCES)
    decision, facts = decide(compiled, ask), facts_of(resource, compiled.zone)
    unopened, opened = decision.check(facts), decision.check(facts, resource)
    assert unopened == opened if decision.exact else ORDER[unopened.decision] <= ORDER[opened.decision]


@law
@given(POLICIES, REQUESTS, st.lists(resources(), min_size=1, max_size=3))
def test_the_decision_of_a_bundle_is_that_of_all_its_resources(policy: list[Json], ask: Request, found: list[Json]) -> None:
    entries = [{**each, "id": str(number)} for number, each in enumerate(found)]
    request = {"actor": ask.actor, "at": ask.at.isoformat(), "actsFor": ask.acts_for, "memberOf": list(ask.member_of)}
    request |= {"purpose": ask.purpose, "action": ask.action}
    known = [{"resource": each} for each in (*RESOURCES.values(), *entries)]
    case = {"timezone": "Asia/Shanghai", "consents": policy, "resources": known, "request": request}
    each = {decide_case({**case, "resource": entry})["decision"] for entry in entries}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": entry} for entry in entries]}
    assert decide_case({**case, "resource": bundle})["decision"] == (each.pop() if len(each) == 1 else "redact")


@law
@given(POLICIES, REQUESTS, resources(), st.floats(0, 0.999999))
def test_a_decision_holds_until_its_end(policy: list[Json], ask: Request, resource: Json, share: float) -> None:
    compiled = compile_policy(policy, resident="Patient/p", zone="Asia/Shanghai", resources=RESOURCES)
    first = decide(compiled, ask)
    end = first.valid_until or min(NEVER, ask.at + timedelta(days=9999))
    later = Request(ask.actor, ask.at + (end - ask.at) * share, ask.acts_for, ask.member_of, ask.purpose, ask.action)
    assert first.check(facts_of(resource, compiled.zone), resource) == decide(compiled, later).check(facts_of(resource, compiled.zone), resource)
