"""CONSENT.md 1.1, row by row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.content import facts_of
from consent.decision import compile_policy, decide, either, own_upload, self_access
from consent.request import Facts
from schemas.classes import ALL, DataClass
from schemas.errors import BadRequest
from tests.consent.cases import (
    ACT_CODE,
    CLASS,
    LEVEL,
    LOINC,
    REASON,
    TYPES,
    actor,
    ask,
    blood_pressure,
    codings,
    concepts,
    consent,
    decision,
    observation,
    outcome,
    rule,
    verdict,
)

EVERYTHING = consent(rule("permit"))


def base(code: str) -> dict[str, Any]:
    return {"coding": codings(ACT_CODE, code)}


# Base and nesting


def test_without_any_consent_the_answer_is_deny_and_names_no_rule() -> None:
    found = verdict()
    assert (found.decision, found.rule) == ("deny", ())


@pytest.mark.parametrize(
    ("policy", "kind", "expected"),
    [
        ("OPTIN", None, "permit"),
        ("OPTOUT", None, "deny"),
        (None, "permit", "permit"),
        (None, "deny", "deny"),
        (None, None, "deny"),
        ("OPTIN", "deny", "deny"),
        ("OPTOUT", "permit", "deny"),
        ("OPTIN", "permit", "permit"),
    ],
)
def test_the_base_is_policy_rule_or_root_type_and_the_stricter_of_both(policy: str | None, kind: str | None, expected: str) -> None:
    root = {"type": kind} if kind else {}
    assert outcome(consent(root, **({"policyRule": base(policy)} if policy else {}))) == expected


def test_opt_in_without_any_provision_permits() -> None:
    found = verdict(consent(None, policyRule=base("OPTIN")))
    assert (found.decision, found.rule) == ("permit", ("Consent/c", "policyRule"))


def test_each_level_is_an_exception_to_the_one_above() -> None:
    tree = rule(
        "permit",
        rule(
            "deny",
            rule("permit", rule("deny", purpose=codings(REASON, "ETREAT")), actor=[actor("Practitioner/a")]),
            class_=codings(CLASS, "activity"),
        ),
    )
    assert outcome(consent(tree)) == "permit"
    assert outcome(consent(tree), actor="Practitioner/b") == "deny"
    assert outcome(consent(tree), purpose="BTG") == "deny"


def test_a_deny_in_a_deny_denies() -> None:
    assert outcome(consent(rule("deny", rule("deny", class_=codings(CLASS, "activity"))))) == "deny"


def test_the_verdict_names_the_rule_that_decided() -> None:
    tree = rule("permit", rule("permit", actor=[actor("Practitioner/z")]), rule("deny", class_=codings(CLASS, "activity")))
    assert verdict(consent(tree)).rule == ("Consent/c", "provision.provision[1]")


def test_between_consents_a_deny_overrides() -> None:
    assert outcome(EVERYTHING, consent(rule("deny", class_=codings(CLASS, "activity")), id="d")) == "deny"


def test_a_consent_without_base_denies_nothing_that_another_permits() -> None:
    assert outcome(EVERYTHING, consent(rule("permit", actor=[actor("Practitioner/z")]), id="d")) == "permit"


# Period and data period


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-05-31T23:59:59+08:00", "deny"),
        ("2026-06-01T00:00:00+08:00", "permit"),
        ("2026-06-30T23:59:59+08:00", "permit"),
        ("2026-07-01T00:00:00+08:00", "deny"),
    ],
)
def test_a_period_of_days_holds_to_the_end_of_the_residents_last_day(at: str, expected: str) -> None:
    assert outcome(consent(rule("permit", period={"start": "2026-06-01", "end": "2026-06-30"})), at=at) == expected


@pytest.mark.parametrize(
    ("at", "expected"), [("2026-06-01T11:59:59Z", "permit"), ("2026-06-01T12:00:00Z", "permit"), ("2026-06-01T12:00:01Z", "deny")]
)
def test_a_period_to_the_second_includes_its_last_second(at: str, expected: str) -> None:
    assert outcome(consent(rule("permit", period={"end": "2026-06-01T20:00:00+08:00"})), at=at) == expected


def test_the_period_of_a_nested_rule_counts_too() -> None:
    tree = rule("permit", rule("deny", period={"end": "2026-05-31"}))
    assert outcome(consent(tree)) == "permit"
    assert outcome(consent(tree), at="2026-05-31T20:00:00+08:00") == "deny"


def test_a_consent_permits_nothing_before_it_was_given_and_denies_at_once() -> None:
    assert outcome(consent(rule("permit"), dateTime="2026-06-02")) == "deny"
    assert outcome(EVERYTHING, consent(rule("deny"), id="d", dateTime="2026-06-02")) == "deny"


NIGHT = {"effectivePeriod": {"start": "2026-05-31T22:30:00+08:00", "end": "2026-06-01T06:30:00+08:00"}}


def test_a_permit_needs_the_whole_of_the_data_inside_its_data_period() -> None:
    permit = consent(rule("permit", dataPeriod={"start": "2026-06-01"}))
    assert outcome(permit, on=observation(**NIGHT)) == "deny"
    assert outcome(permit, on=observation(effectiveDateTime="2026-06-01")) == "permit"


def test_a_deny_needs_no_more_than_an_overlap() -> None:
    tree = consent(rule("permit", rule("deny", dataPeriod={"end": "2026-05-31"})))
    assert outcome(tree, on=observation(**NIGHT)) == "deny"
    assert outcome(tree, on=observation(effectiveDateTime="2026-06-01")) == "permit"


@pytest.mark.parametrize(
    "undated", [{"effectiveDateTime": "yesterday"}, {"effectivePeriod": {}}, {"effectiveTiming": {}, "issued": "2026-06-01T10:00:00Z"}]
)
def test_data_of_unknown_date_is_denied_by_either_kind_of_data_period(undated: dict[str, Any]) -> None:
    assert outcome(consent(rule("permit", dataPeriod={"start": "2000-01-01"})), on=observation(**undated)) == "deny"
    assert outcome(consent(rule("permit", rule("deny", dataPeriod={"end": "2001-01-01"}))), on=observation(**undated)) == "deny"
    assert outcome(EVERYTHING, on=observation(**undated)) == "permit"


# Actor, action, purpose


@pytest.mark.parametrize(
    "name", ["Practitioner/a", "Practitioner/a/_history/4", "Organization/h", "Group/g", "Group/members", "CareTeam/t", "PractitionerRole/r"]
)
def test_an_actor_is_the_person_the_organization_or_a_group_of_them(name: str) -> None:
    resources = {
        "Group/members": {"resourceType": "Group", "actual": True, "member": [{"entity": {"reference": "Organization/h"}}]},
        "CareTeam/t": {"resourceType": "CareTeam", "participant": [{"member": {"reference": "Practitioner/a"}}]},
        "PractitionerRole/r": {
            "resourceType": "PractitionerRole",
            "practitioner": {"reference": "Practitioner/a"},
            "organization": {"reference": "Organization/h"},
        },
    }
    granted = consent(rule("permit", actor=[actor(name)]))
    assert outcome(granted, member_of=("Group/g",), resources=resources) == "permit"
    assert outcome(granted, actor="Practitioner/z", acts_for="Organization/z", resources=resources) == "deny"


def test_a_practitioner_role_is_the_person_only_where_acting_for_that_organization() -> None:
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": "Practitioner/a"}, "organization": {"reference": "Organization/h"}}
    granted = consent(rule("permit", actor=[actor("PractitionerRole/r")]))
    assert outcome(granted, acts_for="Organization/other", resources={"PractitionerRole/r": role}) == "deny"


def test_a_device_is_an_actor() -> None:
    granted = consent(rule("permit", actor=[actor("Device/scale")]))
    assert outcome(granted, actor="Device/scale", acts_for=None) == "permit"


def test_a_role_alone_matches_nobody() -> None:
    role = {"role": {"coding": [{"code": "IRCP"}]}}
    assert outcome(consent(rule("permit", actor=[role]))) == "deny"
    assert outcome(consent(rule("permit", rule("deny", actor=[role])))) == "permit"


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "Group/gone"},
        {"reference": "#gone"},
        {"display": "Dr. A"},
        {"identifier": {"value": "7"}},
        {"reference": "https://elsewhere.example/fhir/Practitioner/a"},
    ],
)
def test_an_actor_that_does_not_resolve_fails_closed(reference: dict[str, Any]) -> None:
    who = {"role": {"text": "x"}, "reference": reference}
    assert outcome(consent(rule("permit", actor=[who]))) == "deny"
    assert outcome(consent(rule("permit", rule("deny", actor=[who])))) == "deny"


def test_an_actor_by_identifier_is_compared_with_the_resource_at_hand() -> None:
    resources = {"Practitioner/a": {"resourceType": "Practitioner", "identifier": [{"system": "urn:licence", "value": "7"}]}}
    who = {"role": {"text": "x"}, "reference": {"identifier": {"system": "urn:licence", "value": "7"}}}
    assert outcome(consent(rule("permit", actor=[who])), resources=resources) == "permit"
    assert (
        outcome(
            consent(rule("permit", rule("deny", actor=[who]))),
            resources={"Practitioner/a": {"identifier": [{"system": "urn:licence", "value": "8"}]}},
        )
        == "permit"
    )


def test_a_deny_to_an_organization_reaches_its_departments_and_a_permit_does_not() -> None:
    resources = {"Organization/h": {"resourceType": "Organization", "partOf": {"reference": "Organization/trust"}}}
    assert outcome(consent(rule("permit", rule("deny", actor=[actor("Organization/trust")]))), resources=resources) == "deny"
    assert outcome(consent(rule("permit", actor=[actor("Organization/trust")])), resources=resources) == "deny"


def test_a_membership_ends_with_its_period() -> None:
    group = {"resourceType": "Group", "member": [{"entity": {"reference": "Practitioner/a"}, "period": {"end": "2026-06-10"}}]}
    granted = consent(rule("permit", actor=[actor("Group/g")]))
    assert outcome(granted, resources={"Group/g": group}) == "permit"
    assert outcome(granted, at="2026-06-11T00:00:00+08:00", resources={"Group/g": group}) == "deny"
    assert decision(granted, resources={"Group/g": group}).valid_until == datetime(2026, 6, 10, 16, tzinfo=UTC)


def test_a_decision_ends_when_a_role_of_the_asker_begins() -> None:
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": "Practitioner/a"}, "organization": {"reference": "Organization/i"}}
    resources = {"PractitionerRole/r": {**role, "period": {"start": "2026-06-10"}}}
    but_one = consent(rule("permit", rule("deny", actor=[actor("Organization/i")])))
    assert decision(but_one, request=ask(acts_for=None), resources=resources).valid_until == datetime(2026, 6, 9, 16, tzinfo=UTC)
    assert outcome(but_one, acts_for=None, resources=resources) == "permit"
    assert outcome(but_one, acts_for=None, at="2026-06-10T00:00:00+08:00", resources=resources) == "deny"


def test_an_action_that_is_not_listed_is_not_permitted() -> None:
    granted = consent(rule("permit", action=concepts("http://terminology.hl7.org/CodeSystem/consentaction", "collect")))
    assert outcome(granted, action="collect") == "permit"
    assert outcome(granted, action="disclose") == "deny"
    assert outcome(granted) == "deny"


@pytest.mark.parametrize(("given_for", "asked", "expected"), [
    ("HRESCH", "CLINTRCH", "permit"), ("HRESCH", "PRECLINTRCH", "permit"), ("CLINTRCH", "HRESCH", "deny"), ("TREAT", "BTG", "permit"),
    ("BTG", "TREAT", "deny"), ("TREAT", "HPAYMT", "deny"), ("TREAT", None, "deny"), ("HPAYMT", "COVERAGE", "permit"),
    ("ProjectX", "ProjectX", "permit"),
])  # fmt: skip
def test_a_purpose_covers_the_purposes_under_it(given_for: str, asked: str | None, expected: str) -> None:
    assert outcome(consent(rule("permit", purpose=codings(REASON, given_for))), purpose=asked) == expected


def test_a_request_without_purpose_meets_every_deny_for_a_purpose() -> None:
    tree = consent(rule("permit", rule("deny", purpose=codings(REASON, "HMARKT"))))
    assert outcome(tree) == "permit"
    assert outcome(tree, purpose=None) == "deny"


def test_a_foreign_code_system_cannot_borrow_a_purpose() -> None:
    assert outcome(consent(rule("permit", purpose=codings("urn:mine", "TREAT")))) == "deny"


# Labels


def labelled(*labels: dict[str, str]) -> dict[str, Any]:
    return observation(labels=[*codings(CLASS, "activity"), *labels])


RESTRICTED, VERY, NORMAL = (codings(LEVEL, code)[0] for code in "RVN")
PSY, ETH, ETHUD, HIV = (codings(ACT_CODE, code)[0] for code in ("PSY", "ETH", "ETHUD", "HIV"))


def test_a_confidentiality_is_a_high_water_mark_for_a_permit() -> None:
    granted = consent(rule("permit", securityLabel=[RESTRICTED]))
    assert [outcome(granted, on=labelled(each)) for each in (NORMAL, RESTRICTED, VERY)] == ["permit", "permit", "deny"]


def test_a_denied_confidentiality_denies_all_that_is_as_confidential() -> None:
    tree = consent(rule("permit", rule("deny", securityLabel=[RESTRICTED])))
    assert [outcome(tree, on=labelled(each)) for each in (NORMAL, RESTRICTED, VERY)] == ["permit", "deny", "deny"]


def test_a_resource_that_was_never_labelled_is_denied_by_any_rule_about_labels() -> None:
    unlabelled = observation(labels=[])
    assert outcome(consent(rule("permit", securityLabel=[VERY])), on=unlabelled) == "deny"
    assert outcome(consent(rule("permit", rule("deny", securityLabel=[PSY]))), on=unlabelled) == "deny"
    assert outcome(EVERYTHING, on=unlabelled) == "permit"


def test_a_sensitivity_covers_its_kinds_and_not_the_other_way_round() -> None:
    assert outcome(consent(rule("permit", securityLabel=[ETH])), on=labelled(ETHUD)) == "permit"
    assert outcome(consent(rule("permit", securityLabel=[ETHUD])), on=labelled(ETH)) == "deny"
    assert outcome(consent(rule("permit", rule("deny", securityLabel=[ETHUD]))), on=labelled(ETH), house=False) == "deny"


def test_a_permit_that_names_no_sensitivity_never_covers_sensitive_data() -> None:
    assert outcome(EVERYTHING, on=labelled(HIV)) == "deny"
    assert outcome(consent(rule("permit", class_=codings(CLASS, "activity"))), on=labelled(HIV), house=False) == "deny"


def test_every_sensitivity_of_a_resource_must_be_named() -> None:
    assert outcome(consent(rule("permit", securityLabel=[PSY])), on=labelled(PSY, HIV)) == "deny"
    assert outcome(consent(rule("permit", securityLabel=[PSY, HIV])), on=labelled(PSY, HIV)) == "permit"
    assert (
        outcome(consent(rule("permit", rule("permit", securityLabel=[PSY]), rule("permit", securityLabel=[HIV]))), on=labelled(PSY, HIV)) == "permit"
    )


def test_a_label_that_is_an_instruction_is_no_sensitivity() -> None:
    assert outcome(EVERYTHING, on=labelled(*codings(ACT_CODE, "NORDSCLCD"), *codings(REASON, "HTEST"))) == "permit"


# Class, code, data


def test_a_resource_of_two_classes_needs_both() -> None:
    both = observation(labels=codings(CLASS, "activity", "location"))
    assert outcome(consent(rule("permit", class_=codings(CLASS, "activity"))), on=both) == "deny"
    assert outcome(consent(rule("permit", class_=codings(CLASS, "activity", "location"))), on=both) == "permit"
    apart = [consent(rule("permit", class_=codings(CLASS, name)), id=name) for name in ("activity", "location")]
    assert outcome(*apart, on=both) == "permit"


def test_biometric_data_is_permitted_only_by_name() -> None:
    face = observation(labels=codings(CLASS, "biometric"))
    assert outcome(EVERYTHING, on=face) == "deny"
    assert outcome(consent(rule("permit", class_=codings(CLASS, "biometric"))), on=face) == "permit"


def test_a_class_may_be_a_resource_type_a_profile_or_a_document_type() -> None:
    profile = "http://hl7.org/fhir/StructureDefinition/heartrate"
    profiled = observation()
    profiled["meta"]["profile"] = [f"{profile}|4.0.1"]
    document = {"resourceType": "DocumentReference", "id": "d", "subject": {"reference": "Patient/p"}, "type": {"coding": codings(LOINC, "11488-4")}}
    assert outcome(consent(rule("permit", class_=codings(TYPES, "Observation")))) == "permit"
    assert outcome(consent(rule("permit", class_=codings(TYPES, "Condition")))) == "deny"
    assert outcome(consent(rule("permit", class_=codings("urn:ietf:rfc:3986", profile))), on=profiled) == "permit"
    assert outcome(consent(rule("permit", class_=codings("urn:ietf:rfc:3986", profile)))) == "deny"
    assert outcome(consent(rule("permit", class_=codings(LOINC, "11488-4"))), on=document) == "permit"


@pytest.mark.parametrize(
    "system_and_code",
    [("http://loinc.org", "8867-4"), ("urn:iso:std:iso:11073:10101", "149546"), ("https://kinehub.org/fhir/CodeSystem/measure", "heart-rate")],
)
def test_a_code_is_the_same_measure_in_every_code_system(system_and_code: tuple[str, str]) -> None:
    tree = consent(rule("permit", rule("deny", code=concepts(*system_and_code))))
    assert outcome(tree) == "deny"
    assert outcome(tree, on=observation("8310-5")) == "permit"


def test_a_local_code_that_maps_to_nothing_is_denied_by_any_rule_about_codes() -> None:
    local = observation()
    local["code"] = {"coding": codings("urn:own", "hr")}
    assert outcome(consent(rule("permit", rule("deny", code=concepts(LOINC, "8867-4")))), on=local) == "deny"
    assert outcome(consent(rule("permit", code=concepts(LOINC, "8867-4"))), on=local) == "deny"
    assert outcome(consent(rule("permit", code=concepts("urn:own", "hr"))), on=local) == "permit"


def test_a_denied_component_is_removed_without_a_trace() -> None:
    tree = consent(rule("permit", rule("deny", code=concepts(LOINC, "8480-6"))))
    found = verdict(tree, on=blood_pressure(note=[{"text": "131 over 87"}], text={"div": "<div>131</div>"}))
    assert (found.decision, found.rule) == ("redact", ("Consent/c", "provision.provision[0]"))
    assert found.resource is not None
    assert [part["code"]["coding"][0]["code"] for part in found.resource["component"]] == ["8462-4"]
    assert found.resource["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert "131" not in str(found.resource)
    assert "8480-6" not in str(found.resource)


def test_a_panel_whose_parts_are_all_denied_is_denied() -> None:
    tree = rule("permit", rule("deny", code=concepts(LOINC, "8480-6", "8462-4")))
    assert outcome(consent(tree), on=blood_pressure()) == "deny"


def test_a_rule_about_a_panel_is_a_rule_about_its_parts() -> None:
    tree = consent(rule("permit", rule("deny", code=concepts(LOINC, "85354-9"))))
    assert outcome(tree, on=observation("8480-6")) == "deny"


def test_a_permit_for_one_component_shows_that_component_only() -> None:
    found = verdict(consent(rule("permit", code=concepts(LOINC, "8462-4"))), on=blood_pressure())
    assert found.decision == "redact"
    assert found.resource is not None
    assert [part["code"]["coding"][0]["code"] for part in found.resource["component"]] == ["8462-4"]


def data(meaning: str, reference: str) -> list[dict[str, Any]]:
    return [{"meaning": meaning, "reference": {"reference": reference}}]


@pytest.mark.parametrize(
    ("meaning", "reference", "expected"),
    [
        ("instance", "Observation/1", "deny"),
        ("instance", "Observation/1/_history/2", "deny"),
        ("instance", "Observation/2", "permit"),
        ("related", "Encounter/e", "deny"),
        ("related", "Encounter/other", "permit"),
        ("dependents", "Encounter/e", "deny"),
        ("authoredby", "Practitioner/w", "deny"),
        ("authoredby", "Practitioner/other", "permit"),
        ("instance", "Encounter/e", "permit"),
    ],
)
def test_named_data_is_the_instance_what_surrounds_it_or_what_someone_wrote(meaning: str, reference: str, expected: str) -> None:
    written = observation(encounter={"reference": "Encounter/e/_history/1"}, performer=[{"reference": "Practitioner/w"}])
    assert outcome(consent(rule("permit", rule("deny", data=data(meaning, reference)))), on=written) == expected


def test_what_a_related_instance_refers_to_is_related() -> None:
    plan = {"resourceType": "CarePlan", "id": "k", "supportingInfo": [{"reference": "Observation/1"}]}
    tree = consent(rule("permit", data=data("related", "CarePlan/k")))
    assert outcome(tree, resources={"CarePlan/k": plan}) == "permit"
    assert outcome(tree) == "deny"


def test_a_source_is_denied_by_who_uploaded() -> None:
    made = decision(consent(rule("permit", rule("deny", data=data("authoredby", "Organization/gym")))))
    facts = facts_of(observation(), made.policy.zone if made.policy else None)  # type: ignore[arg-type]
    assert made.check(facts, observation()).decision == "permit"
    gym = Facts(int(DataClass.ACTIVITY), "Observation", "Observation/1", facts.starts, facts.ends, "Organization/gym")
    assert made.check(gym, observation()).decision == "deny"


def test_a_derived_resource_inherits_the_denial_of_its_source() -> None:
    tree = consent(rule("permit", rule("deny", code=concepts(LOINC, "8867-4"))))
    mean = observation("41950-7", id="mean", derivedFrom=[{"reference": "Observation/1"}])
    assert outcome(tree, on=mean, resources={"Observation/1": observation()}) == "deny"
    assert outcome(tree, on=mean, resources={"Observation/1": observation("8310-5")}) == "permit"
    hidden = consent(rule("permit", rule("deny", data=data("instance", "Observation/1"))))
    assert outcome(hidden, on=mean) == "deny"


def test_a_contained_resource_is_judged_by_its_own_type_and_removed() -> None:
    tree = consent(rule("permit", rule("deny", class_=codings(TYPES, "Condition"))))
    holder = observation(contained=[{"resourceType": "Condition", "id": "x"}, {"resourceType": "Device", "id": "y"}], focus=[{"reference": "#x"}])
    found = verdict(tree, on=holder)
    assert found.decision == "redact"
    assert found.resource is not None
    assert [each["id"] for each in found.resource["contained"]] == ["y"]
    assert "#x" not in str(found.resource)


# What is not understood


@pytest.mark.parametrize(
    "broken",
    [
        consent(rule("permit"), status="inactive"),
        consent(rule("permit"), status="entered-in-error"),
        consent(rule("permit"), patient={"reference": "Patient/q"}),
        consent(rule("permit"), modifierExtension=[{"url": "urn:x"}]),
        consent(rule("permit", modifierExtension=[{"url": "urn:x"}])),
        consent(rule("permit"), verification=[{"verified": False}]),
        consent(rule("permit"), implicitRules="urn:x"),
        consent(rule("permit"), scope={"coding": [{"code": "adr"}]}),
        consent(rule("permit"), dateTime="soon"),
        consent(rule("permit", period={"start": "2026-06-02", "end": "2026-05-01"})),
        consent(rule("permit", period={"start": "2026-01-01T10:00"})),
        consent(rule("permit", purpose=[])),
        consent(rule("permit", purpose=[{"display": "care"}])),
        consent(rule("permit", actor=[{}])),
        consent(rule("permit", class_=codings(CLASS, "everything"))),
        consent(rule("permit", code=[{"text": "pulse"}])),
        consent(rule("permit", data=data("near", "Observation/1"))),
        consent(rule("permit", resourceType=codings(TYPES, "Observation"))),
        consent(rule("permit", provision={})),
        consent(rule("allow")),
        consent(rule("permit", {"class": codings(CLASS, "sleep")})),
        consent(rule("permit", securityLabel=codings(LEVEL, "X"))),
    ],
)
def test_a_consent_that_is_not_understood_permits_nothing(broken: dict[str, Any]) -> None:
    assert outcome(broken, house=False) == "deny"
    assert outcome(broken, EVERYTHING) == "permit"


def test_a_consent_that_is_not_understood_still_denies_and_says_why() -> None:
    broken = consent(rule("permit", rule("deny", class_=codings(CLASS, "activity")), purpose=[]), id="b")
    assert outcome(broken, EVERYTHING) == "deny"
    policy = compile_policy([broken], resident="Patient/p", zone="Asia/Shanghai")
    assert [problem.place for problem in policy.problems] == [("Consent/b", "provision.purpose")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["permit", "deny", "active", "2026-01-01", "Group/g", "TREAT"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "period", "actor", "code", "coding", "system", "reference", "provision", "data", "meaning", "start"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
PARTS = ["scope", "patient", "policyRule", "provision", "verification", "dateTime", "contained", "id"]


@settings(max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(PARTS), JSON, max_size=4))
def test_no_consent_breaks_the_engine(broken: dict[str, Any]) -> None:
    whole = {**consent(rule("permit")), **broken}
    compile_policy([whole], resident="Patient/p", zone="Asia/Shanghai")
    assert outcome(whole, on=blood_pressure()) in ("permit", "deny", "redact")


def test_a_time_zone_or_a_time_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(BadRequest):
        compile_policy([], resident="Patient/p", zone="Mars/Olympus")
    policy = compile_policy([], resident="Patient/p", zone="Asia/Shanghai")
    with pytest.raises(BadRequest):
        decide(policy, ask(at="2026-06-01T10:00:00"))


def test_another_residents_resource_is_denied() -> None:
    assert outcome(EVERYTHING, on={**observation(), "subject": {"reference": "Patient/q"}}) == "deny"


# The filter, and the other bases


def test_the_filter_names_classes_data_time_and_sensitivity() -> None:
    made = decision(
        consent(
            rule(
                "permit",
                rule("deny", class_=codings(CLASS, "sleep")),
                class_=codings(CLASS, "activity", "sleep"),
                dataPeriod={"start": "2026-01-01", "end": "2026-12-31"},
            )
        )
    )
    assert made.classes == DataClass.ACTIVITY
    assert (made.since, made.until) == (datetime(2025, 12, 31, 16, tzinfo=UTC), datetime(2026, 12, 31, 16, tzinfo=UTC))
    assert not made.restricted
    assert made.exact
    assert decision(consent(rule("permit", rule("permit", securityLabel=[PSY])))).restricted
    assert decision(EVERYTHING).classes == ALL
    assert decision().classes == 0


def test_an_uploader_reads_back_its_own_until_a_deny_against_it() -> None:
    mine = Facts(int(DataClass.BIOMETRIC), source="Organization/gym", sensitivity=frozenset({"HIV"}))
    theirs = Facts(int(DataClass.ACTIVITY), source="Organization/other")
    request = ask(actor="Organization/gym", acts_for=None, purpose=None)
    made = either(decision(request=request), own_upload("Organization/gym"))
    assert (made.sources, made.classes) == (frozenset({"Organization/gym"}), ALL | DataClass.BIOMETRIC)
    assert made.check(mine).decision == "permit"
    assert made.check(mine).rule == ("own-upload", "Organization/gym")
    assert made.check(theirs).decision == "deny"
    refused = decision(consent(rule("deny", actor=[actor("Organization/gym")])), request=request)
    assert either(refused, own_upload("Organization/gym")).check(mine).decision == "deny"


def test_a_grant_and_an_own_upload_together_show_both() -> None:
    made = either(decision(consent(rule("permit", class_=codings(CLASS, "sleep")))), own_upload("Organization/gym"))
    assert made.sources is None
    assert made.check(Facts(int(DataClass.SLEEP), source="Organization/other")).decision == "permit"
    assert made.check(Facts(int(DataClass.ACTIVITY), source="Organization/gym")).decision == "permit"
    assert made.check(Facts(int(DataClass.ACTIVITY), source="Organization/other")).decision == "deny"


def test_the_resident_sees_all_of_theirs() -> None:
    made = self_access("Patient/p")
    assert made.check(Facts(int(DataClass.BIOMETRIC), sensitivity=frozenset({"HIV"}), confidentiality="V")).decision == "permit"
    assert made.exact
