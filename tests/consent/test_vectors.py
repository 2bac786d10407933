"""Decision cases in the wording of a case file, one line each: what FHIR R4, its examples and the guides say, where engines were found to slip."""

# ruff: noqa: E501  one case a line

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import pytest

from consent.case import decide_case
from tests.consent.cases import (
    ACT_CODE,
    CLASS,
    LEVEL,
    LOINC,
    REASON,
    TYPES,
    Json,
    actor,
    blood_pressure,
    codings,
    concepts,
    consent,
    observation,
    rule,
)

ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
SNOMED = "http://snomed.info/sct"
VALUE_SETS = "http://terminology.hl7.org/ValueSet/"
PERMIT, DENY = rule("permit"), rule("deny")
ALL = consent(PERMIT, id="all")


class Vector(NamedTuple):
    """A name, what must come out, and the case."""

    name: str
    expected: str
    consents: list[Json]
    on: Json
    resources: list[Json]
    zone: str
    asked: dict[str, Any]


def vector(name: str, expected: str, *consents: Json, on: Json | None = None, resources: Any = (), zone: str = "Asia/Shanghai", **asked: Any) -> Vector:
    return Vector(name, expected, list(consents), observation() if on is None else on, list(resources), zone, asked)


def but(*denies: Json, **elements: Any) -> Json:
    """Everything permitted, but."""
    return consent(rule("permit", *denies), **elements)


def only(**elements: Any) -> Json:
    return consent(rule("permit", **elements))


def no(**elements: Any) -> Json:
    return but(rule("deny", **elements))


def base(code: str, uri: str = ACT_CODE) -> Json:
    return {"coding": codings(uri, code)}


def by(name: str) -> list[Json]:
    return [actor(name)]


def logical(system: str, value: str) -> list[Json]:
    return [{"role": {"text": "r"}, "reference": {"identifier": {"system": system, "value": value}}}]


def at(*, kind: str, identity: str, **elements: Any) -> Json:
    return {"resourceType": kind, "id": identity, **elements}


def ref(name: str) -> Json:
    return {"reference": name}


def data(meaning: str, *names: str) -> list[Json]:
    return [{"meaning": meaning, "reference": ref(name)} for name in names]


def group(*members: Json, **elements: Any) -> Json:
    return at(kind="Group", identity="g", actual=True, member=list(members), **elements)


def labelled(*labels: Json) -> Json:
    return observation(labels=list(labels))


def of_type(kind: str, **elements: Any) -> Json:
    return {"resourceType": kind, "id": "1", "subject": ref("Patient/p"), **elements}


def without(element: str, found: Json) -> Json:
    return {name: value for name, value in found.items() if name != element}


N, R, V, L, U = (codings(LEVEL, code)[0] for code in "NRVLU")
PSY, HIV, ETH, ETHUD, SUD = (codings(ACT_CODE, code)[0] for code in ("PSY", "HIV", "ETH", "ETHUD", "SUD"))
A_MEMBER = {"entity": ref("Practitioner/a")}
ROLE = at(kind="PractitionerRole", identity="r", practitioner=ref("Practitioner/a"), organization=ref("Organization/h"))
LOCAL_CODE = {"coding": codings("urn:own", "x1")}
NIGHT = observation(effectivePeriod={"start": "2026-05-31T22:30:00+08:00", "end": "2026-06-01T06:30:00+08:00"})
PULSE = concepts(LOINC, "8867-4")
SYSTOLIC = concepts(LOINC, "8480-6")
JUNE = {"start": "2026-06-01", "end": "2026-06-30"}
MEAN = {**observation("8310-5", id="mean")}
RAW = {**observation(), "id": "raw"}
BODY = {**observation("8310-5"), "id": "body"}
REPORT = of_type("DiagnosticReport", result=[ref("Observation/raw"), ref("Observation/body")], conclusion="61 and 36.5", effectiveDateTime="2026-05-01")
DOCUMENT = of_type("DocumentReference", type={"coding": codings(LOINC, "11488-4")}, date="2026-05-01T00:00:00Z", content=[
    {"attachment": {"contentType": "application/pdf"}, "format": codings("http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem", "urn:ihe:pcc:xds-ms:2007")[0]},
])  # fmt: skip


BASE = [
    vector("no consent at all", "deny"),
    vector("opt-in, no provision", "permit", consent(None, policyRule=base("OPTIN"))),
    vector("opt-in, empty provision", "permit", consent({}, policyRule=base("OPTIN"))),
    vector("opt-out, no provision", "deny", consent(None, policyRule=base("OPTOUT"))),
    vector("opt-in with restrictions", "permit", consent(None, policyRule=base("OPTINR"))),
    vector("opt-out with exceptions", "deny", consent(None, policyRule=base("OPTOUTE"))),
    vector("opt-out, exception for the asker", "permit", consent({"provision": [rule("permit", actor=by("Practitioner/a"))]}, policyRule=base("OPTOUT"))),
    vector("opt-out, exception for another", "deny", consent({"provision": [rule("permit", actor=by("Practitioner/z"))]}, policyRule=base("OPTOUT"))),
    vector("opt-in, exception for the asker", "deny", consent({"provision": [rule("deny", actor=by("Practitioner/a"))]}, policyRule=base("OPTIN"))),
    vector("opt-in against root deny", "deny", consent(DENY, policyRule=base("OPTIN"))),
    vector("opt-out against root permit", "deny", consent(PERMIT, policyRule=base("OPTOUT"))),
    vector("emergency only against root permit", "deny", consent(PERMIT, policyRule=base("EMRGONLY"))),
    vector("emergency only, with the rule for it", "permit", consent(
        {"provision": [rule("permit", purpose=codings(REASON, "ETREAT"))]}, policyRule=base("EMRGONLY")), purpose="BTG"),
    vector("no consent as directive", "deny", consent(PERMIT, policyRule=base("NOCONSENT"))),
    vector("a law as policyRule, root permit", "permit", consent(PERMIT, policyRule=base("hipaa-self-pay"))),
    vector("a law as policyRule, no type", "deny", consent({}, policyRule=base("hipaa-self-pay"))),
    vector("a policy by uri alone", "deny", consent(None, policy=[{"uri": "http://example.org/opt-in"}])),
    vector("opt-in of a foreign code system", "deny", consent({}, policyRule=base("OPTIN", "urn:mine"))),
    vector("opt-out of a foreign code system", "deny", consent(PERMIT, policyRule=base("OPTOUT", "urn:mine"))),
    vector("opt-in of the older code system", "permit", consent({}, policyRule=base("OPTIN", "http://hl7.org/fhir/v3/ActCode"))),
    vector("opt-in and opt-out together", "deny", consent({}, policyRule={"coding": codings(ACT_CODE, "OPTIN", "OPTOUT")})),
    vector("opt-in in words", "deny", consent({}, policyRule={"text": "opt-in"})),
    vector("policyRule of an older release denies on", "deny", consent({"provision": [DENY]}, policyRule="http://example.org/p"), ALL),
    vector("policyRule of an older release permits nothing", "deny", consent(PERMIT, policyRule="http://example.org/p")),
    vector("opt-in whose root names the asker", "permit", consent({"actor": by("Practitioner/a")}, policyRule=base("OPTIN"))),
    vector("opt-in whose root names another", "deny", consent({"actor": by("Practitioner/z")}, policyRule=base("OPTIN"))),
    vector("opt-in of a time past", "deny", consent({"period": {"start": "1964-01-01", "end": "2016-01-01"}}, policyRule=base("OPTIN"))),
    vector("root deny for the asker's organization, opt-in", "deny", consent(rule("deny", actor=by("Organization/h")), policyRule=base("OPTIN"))),
]  # fmt: skip

SLEEP = codings(CLASS, "sleep")
ACTIVITY = codings(CLASS, "activity")
DEEP = rule("permit", rule("deny", rule("permit", rule("deny", purpose=codings(REASON, "ETREAT")), actor=by("Practitioner/a")), class_=ACTIVITY))
NESTING = [
    vector("deny in deny", "deny", consent(rule("deny", rule("deny", class_=ACTIVITY)))),
    vector("permit in permit", "permit", consent(rule("permit", rule("permit", class_=ACTIVITY)))),
    vector("permit in deny that does not match", "deny", consent(rule("deny", rule("permit", class_=SLEEP)))),
    vector("three deep: the permit for one", "permit", consent(DEEP)),
    vector("three deep: another asker", "deny", consent(DEEP), actor="Practitioner/b"),
    vector("four deep: the last deny", "deny", consent(DEEP), purpose="BTG"),
    vector("a child of a rule that does not match is not reached", "deny", consent(rule("permit", rule("permit"), class_=SLEEP))),
    vector("a deny under a rule that does not match is not reached", "permit", ALL, consent(rule("permit", rule("deny"), class_=SLEEP))),
    vector("siblings that conflict", "deny", but(rule("permit", class_=ACTIVITY), rule("deny", class_=ACTIVITY))),
    vector("siblings that conflict, the other way round", "deny", but(rule("deny", class_=ACTIVITY), rule("permit", class_=ACTIVITY))),
    vector("a narrower permit does not lift its sibling", "deny", but(rule("deny", class_=ACTIVITY), rule("permit", actor=by("Practitioner/a"), class_=ACTIVITY))),
    vector("AND of elements, one missing", "deny", only(class_=ACTIVITY, actor=by("Practitioner/b"))),
    vector("AND of elements, all there", "permit", only(class_=ACTIVITY, actor=by("Practitioner/a"), purpose=codings(REASON, "TREAT"))),
    vector("AND in a deny, one missing", "permit", no(class_=ACTIVITY, actor=by("Practitioner/b"))),
    vector("OR of values", "permit", only(class_=SLEEP + ACTIVITY, actor=by("Practitioner/b") + by("Practitioner/a"))),
    vector("a nested rule without type", "deny", but({"class": SLEEP})),
    vector("a nested rule with an unknown type", "deny", but({"type": "allow", "class": SLEEP})),
    vector("a root of an unknown type", "deny", consent({"type": "Permit"})),
    vector("a nested rule outside a list", "deny", consent({"type": "permit", "provision": rule("deny", class_=SLEEP)})),
    vector("a nested deny outside a list", "deny", ALL, consent({"type": "permit", "provision": rule("deny", class_=ACTIVITY)})),
    vector("a list of provisions at the root", "deny", ALL, {**consent(None), "provision": [rule("deny", class_=ACTIVITY)]}),
    vector("70 deep", "deny", consent(reduce(lambda inner, _: rule("permit", inner), range(70), PERMIT))),
    vector("deny overrides between consents", "deny", ALL, consent(rule("deny", class_=ACTIVITY), id="d")),
    vector("the newer permit does not lift an older deny", "deny", consent(DENY, dateTime="2020-01-01"), consent(PERMIT, id="n", dateTime="2026-05-01")),
    vector("a deny of another class leaves it", "permit", ALL, consent(rule("deny", class_=SLEEP), id="d")),
    vector("two permits, one matches", "permit", only(class_=SLEEP), ALL),
    vector("same id twice, deny overrides", "deny", consent(PERMIT), consent(DENY)),
    vector("a later version supersedes", "deny", consent(PERMIT, meta={"versionId": "1"}), consent(PERMIT, meta={"versionId": "2"}, status="inactive")),
    vector("a later version supersedes a deny", "permit", consent(DENY, meta={"versionId": "9"}), consent(PERMIT, meta={"versionId": "10"})),
]  # fmt: skip

EDGES = {
    "2026-05-31T23:59:59+08:00": "deny", "2026-06-01T00:00:00+08:00": "permit", "2026-05-31T16:00:00Z": "permit", "2026-05-31T15:59:59Z": "deny",
    "2026-06-30T23:59:59.999+08:00": "permit", "2026-06-30T15:59:59Z": "permit", "2026-06-30T16:00:00Z": "deny", "2026-07-01T00:00:00+08:00": "deny",
}  # fmt: skip
PERIOD = [
    *(vector(f"a month by days, at {when}", expected, only(period=JUNE), at=when) for when, expected in EDGES.items()),
    *(vector(f"a month by itself, at {when}", expected, only(period={"start": "2026-06", "end": "2026-06"}), at=when) for when, expected in EDGES.items()),
    vector("a year by itself, its last second", "permit", only(period={"end": "2026"}), at="2026-12-31T23:59:59+08:00"),
    vector("a year by itself, over", "deny", only(period={"end": "2026"}), at="2027-01-01T00:00:00+08:00"),
    vector("a deny over by a second", "permit", no(period={"end": "2026-05-31"}), at="2026-06-01T00:00:00+08:00"),
    vector("a deny in its last second", "deny", no(period={"end": "2026-05-31"}), at="2026-05-31T23:59:59+08:00"),
    vector("the last day where the resident lives", "permit", only(period={"end": "2026-06-01"}), at="2026-06-02T03:59:59Z", zone="America/New_York"),
    vector("and over there", "deny", only(period={"end": "2026-06-01"}), at="2026-06-02T04:00:00Z", zone="America/New_York"),
    vector("a day that summer time shortens", "permit", only(period={"end": "2026-03-08"}), at="2026-03-09T03:59:59Z", zone="America/New_York"),
    vector("29 February", "permit", only(period={"start": "2028-02-29", "end": "2028-02-29"}), at="2028-02-29T23:59:59+08:00"),
    vector("the end to the second, that second", "permit", only(period={"end": "2026-06-01T10:00:00+08:00"})),
    vector("the end to the second, the next", "deny", only(period={"end": "2026-06-01T10:00:00+08:00"}), at="2026-06-01T10:00:01+08:00"),
    vector("backwards", "deny", only(period={"start": "2026-07-01", "end": "2026-01-01"})),
    vector("no time zone on a time", "deny", only(period={"start": "2026-01-01T00:00:00"})),
    vector("not yet given", "deny", consent(PERMIT, dateTime="2026-06-02")),
    vector("given this second", "permit", consent(PERMIT, dateTime="2026-06-01T10:00:00+08:00")),
    vector("given a second later", "deny", consent(PERMIT, dateTime="2026-06-01T10:00:01+08:00")),
    vector("refused in advance", "deny", ALL, consent(DENY, id="d", dateTime="2026-06-02")),
]  # fmt: skip

MAY = {"start": "2026-05-01", "end": "2026-05-31"}


def made(**elements: Any) -> Json:
    return observation(**elements)


DATA_PERIOD = [
    vector("inside", "permit", only(dataPeriod=MAY)),
    vector("its last second", "permit", only(dataPeriod=MAY), on=made(effectiveDateTime="2026-05-31T23:59:59+08:00")),
    vector("the second after", "deny", only(dataPeriod=MAY), on=made(effectiveDateTime="2026-05-31T16:00:00Z")),
    vector("a night across the end", "deny", only(dataPeriod=MAY), on=NIGHT),
    vector("a night across the end, denied", "deny", no(dataPeriod=MAY), on=NIGHT),
    vector("after what is denied", "permit", no(dataPeriod=MAY), on=made(effectiveDateTime="2026-06-01")),
    vector("a day, denied to its noon", "deny", no(dataPeriod={"end": "2026-05-01T12:00:00+08:00"}), on=made(effectiveDateTime="2026-05-01")),
    vector("a day, permitted to its noon", "deny", only(dataPeriod={"end": "2026-05-01T12:00:00+08:00"}), on=made(effectiveDateTime="2026-05-01")),
    vector("some time in May", "permit", only(dataPeriod=MAY), on=made(effectiveDateTime="2026-05")),
    vector("some time in 2026", "deny", only(dataPeriod=MAY), on=made(effectiveDateTime="2026")),
    vector("some time in 2026, denied", "deny", no(dataPeriod=MAY), on=made(effectiveDateTime="2026")),
    vector("no date, permit", "deny", only(dataPeriod=MAY), on=made(effectiveTiming={})),
    vector("no date, deny", "deny", no(dataPeriod=MAY), on=made(effectiveTiming={})),
    vector("issued is not made", "deny", only(dataPeriod=MAY), on=made(effectiveTiming={}, issued="2026-05-02T00:00:00Z")),
    vector("issued is not made, denied", "permit", no(dataPeriod=MAY), on=made(effectiveDateTime="2026-04-01", issued="2026-05-02T00:00:00Z")),
    vector("a period without end", "deny", only(dataPeriod=MAY), on=made(effectivePeriod={"start": "2026-05-02"})),
    vector("a period without end, denied later", "deny", no(dataPeriod=JUNE), on=made(effectivePeriod={"start": "2026-05-02"})),
    vector("an illness that lasted into it", "deny", no(dataPeriod=MAY), on=of_type("Condition", onsetDateTime="2020", abatementDateTime="2026-05-03")),
    vector("an illness over before", "permit", no(dataPeriod=MAY), on=of_type("Condition", onsetDateTime="2020", abatementDateTime="2021")),
    vector("an appointment", "permit", only(dataPeriod=MAY), on=of_type("Appointment", start="2026-05-03T00:00:00Z", end="2026-05-03T01:00:00Z")),
    vector("a paper of now about then", "deny", no(dataPeriod=MAY), on={**DOCUMENT, "date": "2026-06-01T00:00:00Z", "context": {"period": MAY}}),
    vector("nested", "deny", but(rule("permit", rule("deny", dataPeriod=MAY), class_=ACTIVITY))),
]  # fmt: skip

PRACTITIONER = at(kind="Practitioner", identity="a", identifier=[{"system": "urn:licence", "value": "7"}, {"system": "urn:staff", "value": "1"}])
OF_TRUST = at(kind="Organization", identity="h", partOf=ref("Organization/trust"))
CARE = at(kind="CareTeam", identity="t", status="active", participant=[{"member": ref("Practitioner/a")}])
ACTOR = [
    *(vector(f"permit to {name}", "permit", only(actor=by(name))) for name in ("Practitioner/a", "Organization/h", "Practitioner/a/_history/2")),
    *(vector(f"permit to {name}", "deny", only(actor=by(name))) for name in ("Practitioner/b", "Organization/i", "Group/g", "#x", "urn:uuid:1", "Practitioner/A")),
    *(vector(f"deny to {name}", "deny", no(actor=by(name))) for name in ("Practitioner/a", "Organization/h", "Group/g", "#x", "urn:uuid:1")),
    *(vector(f"deny to {name}", "permit", no(actor=by(name))) for name in ("Practitioner/b", "Organization/i", "Device/d", "Practitioner/A")),
    vector("a role alone, permit", "deny", only(actor=[{"role": {"coding": [{"code": "PRCP"}]}}])),
    vector("a role alone, deny", "permit", no(actor=[{"role": {"coding": [{"code": "PRCP"}]}}])),
    vector("a role alone beside a reference", "permit", only(actor=[{"role": {"coding": [{"code": "PRCP"}]}}, *by("Practitioner/a")])),
    vector("no actor means everybody", "permit", ALL, actor="Practitioner/unheard-of", actsFor=None),
    vector("a person who acts for nobody", "deny", only(actor=by("Organization/h")), actsFor=None),
    vector("the organization itself", "permit", only(actor=by("Organization/h")), actor="Organization/h", actsFor=None),
    vector("another who acts for it", "permit", only(actor=by("Organization/h")), actor="Practitioner/z"),
    vector("a device", "permit", only(actor=by("Device/d")), actor="Device/d", actsFor=None),
    vector("a device acting for the organization", "permit", only(actor=by("Organization/h")), actor="Device/d"),
    vector("the asker's version does not matter", "permit", only(actor=by("Practitioner/a")), actor="Practitioner/a/_history/3"),
    vector("a group by memberOf", "permit", only(actor=by("Group/g")), memberOf=["Group/g"]),
    vector("a group by its members", "permit", only(actor=by("Group/g")), resources=[group(A_MEMBER)]),
    vector("a group by its members, the organization", "permit", only(actor=by("Group/g")), resources=[group({"entity": ref("Organization/h")})]),
    vector("not in the group", "deny", only(actor=by("Group/g")), resources=[group({"entity": ref("Practitioner/z")})]),
    vector("not in the group, denied", "permit", no(actor=by("Group/g")), resources=[group({"entity": ref("Practitioner/z")})]),
    vector("in the denied group", "deny", no(actor=by("Group/g")), resources=[group(A_MEMBER)]),
    vector("no longer a member", "deny", only(actor=by("Group/g")), resources=[group({**A_MEMBER, "inactive": True})]),
    vector("a member until May", "deny", only(actor=by("Group/g")), resources=[group({**A_MEMBER, "period": {"end": "2026-05-31"}})]),
    vector("a member through June", "permit", only(actor=by("Group/g")), resources=[group({**A_MEMBER, "period": {"end": "2026-06"}})]),
    vector("a group in a group", "permit", only(actor=by("Group/o")), resources=[group(A_MEMBER), at(kind="Group", identity="o", member=[{"entity": ref("Group/g")}])]),
    vector("a group in itself", "deny", only(actor=by("Group/g")), resources=[group({"entity": ref("Group/g")})]),
    vector("a group by description", "deny", only(actor=by("Group/g")), resources=[{**group(A_MEMBER), "actual": False, "member": []}]),
    vector("a group by description, denied", "deny", no(actor=by("Group/g")), resources=[{**group(), "actual": False}]),
    vector("a group that is no more", "deny", only(actor=by("Group/g")), resources=[group(A_MEMBER, active=False)]),
    vector("a group with a modifier", "deny", only(actor=by("Group/g")), resources=[group(A_MEMBER, modifierExtension=[{"url": "urn:not"}])]),
    vector("a member with a modifier", "deny", only(actor=by("Group/g")), resources=[group({**A_MEMBER, "modifierExtension": [{"url": "urn:not"}]})]),
    vector("a group twice, differing", "deny", only(actor=by("Group/g")), resources=[group(), group(A_MEMBER)]),
    vector("a group twice, differing, denied", "deny", no(actor=by("Group/g")), resources=[group(A_MEMBER), group()]),
    vector("a group twice, the same", "permit", only(actor=by("Group/g")), resources=[group(A_MEMBER), group(A_MEMBER)]),
    vector("a care team", "permit", only(actor=by("CareTeam/t")), resources=[CARE]),
    vector("a care team that is over", "deny", only(actor=by("CareTeam/t")), resources=[{**CARE, "status": "inactive"}]),
    vector("a care team of last year", "deny", only(actor=by("CareTeam/t")), resources=[{**CARE, "period": {"end": "2025"}}]),
    vector("a role at an organization", "permit", only(actor=by("PractitionerRole/r")), resources=[ROLE]),
    vector("a role at an organization, acting for another", "deny", only(actor=by("PractitionerRole/r")), resources=[ROLE], actsFor="Organization/i"),
    vector("a role given up", "deny", only(actor=by("PractitionerRole/r")), resources=[{**ROLE, "active": False}]),
    vector("a role of last year", "deny", only(actor=by("PractitionerRole/r")), resources=[{**ROLE, "period": {"end": "2025"}}]),
    vector("a role of this year", "permit", only(actor=by("PractitionerRole/r")), resources=[{**ROLE, "period": {"start": "2026"}}]),
    vector("a role not at hand", "deny", only(actor=by("PractitionerRole/r"))),
    vector("a role not at hand, denied", "deny", no(actor=by("PractitionerRole/r"))),
    vector("asked in a role, permit to the person", "permit", only(actor=by("Practitioner/a")), actor="PractitionerRole/r", actsFor=None, resources=[ROLE]),
    vector("asked in a role, permit to the organization", "permit", only(actor=by("Organization/h")), actor="PractitionerRole/r", actsFor=None, resources=[ROLE]),
    vector("asked in a role given up", "deny", only(actor=by("Practitioner/a")), actor="PractitionerRole/r", actsFor=None, resources=[{**ROLE, "active": False}]),
    vector("asked in a role given up, denied", "deny", no(actor=by("Practitioner/a")), actor="PractitionerRole/r", actsFor=None, resources=[{**ROLE, "active": False}]),
    vector("a department of a denied trust", "deny", no(actor=by("Organization/trust")), resources=[OF_TRUST]),
    vector("a department of a permitted trust", "deny", only(actor=by("Organization/trust")), resources=[OF_TRUST]),
    vector("an identifier at hand", "permit", only(actor=logical("urn:licence", "7")), resources=[PRACTITIONER]),
    vector("an identifier of another", "deny", only(actor=logical("urn:licence", "8")), resources=[PRACTITIONER]),
    vector("an identifier of another, denied", "permit", no(actor=logical("urn:licence", "8")), resources=[PRACTITIONER]),
    vector("an identifier of another system, denied", "deny", no(actor=logical("urn:passport", "7")), resources=[PRACTITIONER]),
    vector("an identifier, nobody at hand", "deny", only(actor=logical("urn:licence", "7"))),
    vector("an identifier, nobody at hand, denied", "deny", no(actor=logical("urn:licence", "7"))),
    vector("a name alone", "deny", only(actor=[{"role": {"text": "r"}, "reference": {"display": "Dr A"}}])),
    vector("a name alone, denied", "deny", no(actor=[{"role": {"text": "r"}, "reference": {"display": "Dr A"}}])),
    vector("an address elsewhere", "deny", only(actor=by("https://x.example/fhir/Practitioner/a"))),
    vector("an address elsewhere, denied", "deny", no(actor=by("https://x.example/fhir/Practitioner/a"))),
    vector("another's address, denied", "permit", no(actor=by("https://x.example/fhir/Practitioner/b"))),
    vector("an address asked by address", "permit", only(actor=by("https://x.example/fhir/Practitioner/a")), actor="https://x.example/fhir/Practitioner/a"),
    vector("an address whose resource is at hand", "permit", only(actor=by("https://x.example/fhir/Practitioner/a")),
           resources=[{"fullUrl": "https://x.example/fhir/Practitioner/a", "resource": PRACTITIONER}]),
    vector("an address in a Bundle at hand", "permit", only(actor=by("urn:uuid:9")),
           resources=[{"resourceType": "Bundle", "entry": [{"fullUrl": "urn:uuid:9", "resource": PRACTITIONER}]}]),
    vector("contained, by its identifier", "permit", consent(rule("permit", actor=by("#c")), contained=[{**PRACTITIONER, "id": "c"}]), resources=[PRACTITIONER]),
    vector("contained, without identifier", "deny", consent(rule("permit", actor=by("#c")), contained=[at(kind="Practitioner", identity="c")])),
    vector("contained, without identifier, denied", "deny", but(rule("deny", actor=by("#c")), contained=[at(kind="Practitioner", identity="c")])),
    vector("a contained group", "permit", consent(rule("permit", actor=by("#c")), contained=[{**group(A_MEMBER), "id": "c"}])),
    vector("an actor of neither kind", "deny", but(rule("deny", actor=[{}]))),
    vector("an actor with more than FHIR has", "deny", only(actor=[{**actor("Practitioner/a"), "negated": True}])),
]  # fmt: skip


def does(*codes: str, uri: str = ACTION) -> list[Json]:
    return concepts(uri, *codes)


FIVE = ("collect", "access", "use", "disclose", "correct")
ACTIONS = [
    *(vector(f"permit to {one}, asked to {other}", "permit" if one == other else "deny", only(action=does(one)), action=other) for one in FIVE for other in FIVE),
    *(vector(f"deny to {one}, asked to {other}", "deny" if one == other else "permit", no(action=does(one)), action=other) for one in FIVE for other in FIVE),
    vector("no action asked for, permit of one", "deny", only(action=does("access")), action=None),
    vector("no action asked for, deny of one", "deny", no(action=does("disclose")), action=None),
    vector("no action anywhere", "permit", ALL, action=None),
    vector("access and correct refused", "deny", no(action=does("access", "correct")), action="access"),
    vector("the older code system", "permit", only(action=does("access", uri="http://hl7.org/fhir/consentaction"))),
    vector("a foreign action, permit", "deny", only(action=does("access", uri="urn:mine"))),
    vector("a foreign action, deny", "deny", no(action=does("peek", uri="urn:mine"))),
]  # fmt: skip


def why(*codes: str, uri: str = REASON) -> list[Json]:
    return codings(uri, *codes)


PURPOSES = [
    *(
        vector(f"permit for {given}, asked for {asked}", expected, only(purpose=why(given)), purpose=asked)
        for given, asked, expected in [
            ("HRESCH", "HRESCH", "permit"), ("HRESCH", "CLINTRCH", "permit"), ("HRESCH", "PRECLINTRCH", "permit"), ("CLINTRCH", "HRESCH", "deny"),
            ("TREAT", "ETREAT", "permit"), ("TREAT", "BTG", "permit"), ("ETREAT", "BTG", "permit"), ("BTG", "ETREAT", "deny"), ("ETREAT", "TREAT", "deny"),
            ("TREAT", "HPAYMT", "deny"), ("HPAYMT", "COVERAGE", "permit"), ("HOPERAT", "HQUALIMP", "permit"), ("PATRQT", "FAMRQT", "permit"),
            ("PUBHLTH", "THREAT", "permit"), ("TREAT", None, "deny"), ("HMARKT", "TREAT", "deny"), ("PurposeOfUse", "HMARKT", "permit"),
        ]
    ),
    vector("no purpose asked for, none limited", "permit", ALL, purpose=None),
    vector("no purpose asked for, one refused", "deny", no(purpose=why("HMARKT")), purpose=None),
    vector("research refused, a trial asked for", "deny", no(purpose=why("HRESCH")), purpose="CLINTRCH"),
    vector("a trial refused, research asked for", "permit", no(purpose=why("CLINTRCH")), purpose="HRESCH"),
    vector("one of two", "permit", only(purpose=why("HPAYMT", "TREAT"))),
    vector("a project of one's own", "permit", only(purpose=why("P1", uri="urn:projects")), purpose="P1"),
    vector("a project of one's own, by system", "permit", only(purpose=why("P1", uri="urn:projects")), purpose="urn:projects|P1"),
    vector("a project of another's", "deny", only(purpose=why("P1", uri="urn:projects")), purpose="urn:others|P1"),
    vector("a borrowed code", "deny", only(purpose=why("TREAT", uri="urn:mine"))),
    vector("the value set's name", "permit", only(purpose=why("TREAT", uri=VALUE_SETS + "v3-PurposeOfUse"))),
    vector("the older code system", "permit", only(purpose=why("TREAT", uri="http://hl7.org/fhir/v3/ActReason"))),
    vector("no code", "deny", only(purpose=[{"display": "care"}])),
    vector("an empty list", "deny", only(purpose=[])),
    vector("data labelled for this purpose", "permit", ALL, on=labelled(N, *why("TREAT"))),
    vector("data labelled for another purpose", "deny", ALL, on=labelled(N, *why("HRESCH"))),
    vector("data labelled for a wider purpose", "permit", ALL, on=labelled(N, *why("TREAT")), purpose="BTG"),
    vector("test data", "permit", ALL, on=labelled(N, *why("HTEST"))),
]  # fmt: skip

LEVELS = "ULMNRV"
LABELS = [
    *(
        vector(f"permit of {mark}, data {level}", "permit" if LEVELS.index(level) <= LEVELS.index(mark) else "deny", only(securityLabel=codings(LEVEL, mark)),
               on=labelled(*codings(LEVEL, level)))
        for mark in "NRV" for level in LEVELS
    ),
    *(
        vector(f"deny of {mark}, data {level}", "deny" if LEVELS.index(level) >= LEVELS.index(mark) else "permit", no(securityLabel=codings(LEVEL, mark)),
               on=labelled(*codings(LEVEL, level)))
        for mark in "NRV" for level in LEVELS
    ),
    vector("never labelled, permit", "deny", only(securityLabel=[V]), on=observation(labels=[])),
    vector("never labelled, deny", "deny", no(securityLabel=[HIV]), on=observation(labels=[])),
    vector("never labelled, no rule about labels", "permit", ALL, on=observation(labels=[])),
    vector("never labelled but as a test", "deny", no(securityLabel=[R]), on=labelled(*why("HTEST"))),
    vector("labelled by sensitivity alone may be of any level", "deny", only(securityLabel=[N]), on=labelled(PSY)),
    vector("labelled by sensitivity alone, restricted denied", "deny", no(securityLabel=[R]), on=labelled(PSY)),
    vector("labelled by an instruction alone may be of any level", "deny", only(securityLabel=[V]), on=labelled(*codings(ACT_CODE, "NORDSCLCD"))),
    vector("two levels, the higher counts", "deny", only(securityLabel=[N]), on=labelled(N, R)),
    vector("a kind of what is permitted", "permit", only(securityLabel=[ETH]), on=labelled(ETHUD)),
    vector("wider than what is permitted", "deny", only(securityLabel=[ETHUD]), on=labelled(ETH)),
    vector("a kind of what is denied", "deny", no(securityLabel=[ETH]), on=labelled(ETHUD)),
    vector("a kind of what is denied, at two removes", "deny", no(securityLabel=codings(ACT_CODE, "BH")), on=labelled(ETHUD)),
    vector("wider than what is denied", "deny", no(securityLabel=[ETHUD]), on=labelled(SUD)),
    vector("beside what is denied", "permit", no(securityLabel=[HIV]), on=labelled(PSY)),
    vector("two, one denied", "deny", no(securityLabel=[HIV]), on=labelled(PSY, HIV)),
    vector("two, one permitted", "deny", only(securityLabel=[PSY]), on=labelled(R, PSY, HIV)),
    vector("two, both permitted", "permit", only(securityLabel=[PSY, HIV]), on=labelled(R, PSY, HIV)),
    vector("a value set's name denies", "deny", no(securityLabel=codings(VALUE_SETS + "v3-InformationSensitivityPolicy", "ETHUD", "HIV")), on=labelled(R, HIV)),
    vector("a value set's name on the data", "deny", no(securityLabel=[HIV]), on=labelled(*codings(VALUE_SETS + "v3-InformationSensitivityPolicy", "HIV"))),
    vector("the older name", "deny", no(securityLabel=codings("http://hl7.org/fhir/v3/Confidentiality", "R")), on=labelled(V)),
    vector("no system denies", "deny", no(securityLabel=[{"code": "R"}]), on=labelled(R)),
    vector("no system denies a sensitivity", "deny", no(securityLabel=[{"code": "HIV"}]), on=labelled(HIV)),
    vector("no system permits nothing", "deny", only(securityLabel=[{"code": "R"}]), on=labelled(R)),
    vector("no system on the data", "deny", only(securityLabel=[N]), on=labelled({"code": "R"})),
    vector("an instruction on the data", "permit", only(securityLabel=[N]), on=labelled(N, *codings(ACT_CODE, "NORDSCLCD"))),
    vector("an instruction in a rule", "deny", only(securityLabel=codings(ACT_CODE, "ENCRYPT")), on=labelled(N)),
    vector("an unknown level in a rule", "deny", only(securityLabel=codings(LEVEL, "X")), on=labelled(N)),
    vector("an unknown level on the data", "deny", only(securityLabel=[V]), on=labelled(*codings(LEVEL, "X"))),
    vector("a label inside the resource", "deny", only(securityLabel=[N]), on={**labelled(N), "valueQuantity": {"extension": [
        {"url": "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label", "valueCoding": R}]}}),
    vector("our class, sensitive data", "deny", only(class_=ACTIVITY), on=labelled(*ACTIVITY, HIV)),
    vector("our class and the sensitivity by name", "permit", only(class_=ACTIVITY, securityLabel=[HIV]), on=labelled(*ACTIVITY, HIV)),
    vector("no class named: any label", "permit", ALL, on=labelled(V, HIV)),
]  # fmt: skip

PROFILE = "http://hl7.org/fhir/StructureDefinition/heartrate"
PROFILED = {**observation(), "meta": {"profile": [f"{PROFILE}|4.0.1"]}}
URI = "urn:ietf:rfc:3986"
CLASSES = [
    vector("a resource type", "permit", only(class_=codings(TYPES, "Observation"))),
    vector("another resource type", "deny", only(class_=codings(TYPES, "Condition"))),
    vector("a resource type refused", "deny", no(class_=codings(TYPES, "Observation"))),
    vector("a resource type by value set", "deny", no(class_=codings("http://hl7.org/fhir/ValueSet/resource-types", "Observation"))),
    vector("a resource type without system, refused", "deny", no(class_=[{"code": "Observation"}])),
    vector("another resource type without system, refused", "permit", no(class_=[{"code": "Condition"}])),
    vector("a class of ours without system, refused", "deny", no(class_=[{"code": "activity"}])),
    vector("a resource type without system", "deny", only(class_=[{"code": "Observation"}])),
    vector("a profile", "permit", only(class_=codings(URI, PROFILE)), on=PROFILED),
    vector("a profile with a version", "permit", only(class_=codings(URI, f"{PROFILE}|4.0.1")), on=PROFILED),
    vector("a profile the data does not claim", "deny", only(class_=codings(URI, PROFILE))),
    vector("a profile refused", "deny", no(class_=codings(URI, PROFILE)), on=PROFILED),
    vector("a document type", "permit", only(class_=codings(LOINC, "11488-4")), on=DOCUMENT),
    vector("a document type refused", "deny", no(class_=codings(LOINC, "11488-4")), on=DOCUMENT),
    vector("another document type", "deny", only(class_=codings(LOINC, "34133-9")), on=DOCUMENT),
    vector("a media type refused", "deny", no(class_=codings("urn:ietf:bcp:13", "application/pdf")), on=DOCUMENT),
    vector("a media type", "permit", only(class_=codings("urn:ietf:bcp:13", "application/pdf")), on=DOCUMENT),
    vector("another media type", "deny", only(class_=codings("urn:ietf:bcp:13", "application/hl7-cda+xml")), on=DOCUMENT),
    vector("a binary by its media type", "deny", no(class_=codings("urn:ietf:bcp:13", "image/png")), on={"resourceType": "Binary", "id": "1", "contentType": "image/png"}),
    vector("a format refused", "deny", no(class_=codings("http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem", "urn:ihe:pcc:xds-ms:2007")), on=DOCUMENT),
    vector("our class by label", "permit", only(class_=ACTIVITY)),
    vector("our class, another", "deny", only(class_=SLEEP)),
    vector("our class by the code of unlabelled data", "permit", only(class_=codings(CLASS, "health-check")), on=observation(labels=[])),
    vector("our class by the type of unlabelled data", "deny", no(class_=codings(CLASS, "diagnosis")), on=of_type("Condition")),
    vector("our class, of unknown data", "deny", no(class_=SLEEP), on=of_type("Basic")),
    vector("two classes, one permitted", "deny", only(class_=ACTIVITY), on=labelled(*ACTIVITY, *SLEEP)),
    vector("two classes, one denied", "deny", no(class_=SLEEP), on=labelled(*ACTIVITY, *SLEEP)),
    vector("two classes, both permitted", "permit", only(class_=ACTIVITY + SLEEP), on=labelled(*ACTIVITY, *SLEEP)),
    vector("an unknown class of ours", "deny", only(class_=codings(CLASS, "everything"))),
    vector("contained, refused", "redact", no(class_=codings(TYPES, "Condition")), on={**observation(), "contained": [at(kind="Condition", identity="x")]}),
    vector("contained, not permitted", "redact", only(class_=codings(TYPES, "Observation")), on={**observation(), "contained": [at(kind="Condition", identity="x")]}),
    vector("contained, more confidential", "redact", only(securityLabel=[N]), on={**labelled(N), "contained": [
        {**at(kind="Condition", identity="x"), "meta": {"security": [R]}}]}),
    vector("contained, more confidential, refused", "redact", no(securityLabel=[HIV]), on={**labelled(N), "contained": [
        {**at(kind="Condition", identity="x"), "meta": {"security": [HIV]}}]}),
]  # fmt: skip


def coded(*parts: Json) -> Json:
    return observation(code={"coding": list(parts)})


def mapped(uri: str, code: str) -> Json:
    return {**observation(), "code": {"coding": codings(uri, code)}}


CODES = [
    vector("the code", "permit", only(code=PULSE)),
    vector("another code", "deny", only(code=PULSE), on=observation("8310-5")),
    vector("the code refused", "deny", no(code=PULSE)),
    vector("another refused", "permit", no(code=PULSE), on=observation("8310-5")),
    vector("LOINC refused, MDC on the data", "deny", no(code=PULSE), on=mapped("urn:iso:std:iso:11073:10101", "149546")),
    vector("MDC refused, LOINC on the data", "deny", no(code=concepts("urn:iso:std:iso:11073:10101", "149546"))),
    vector("our measure refused, LOINC on the data", "deny", no(code=concepts("https://kinehub.org/fhir/CodeSystem/measure", "heart-rate"))),
    vector("LOINC with a slash", "deny", no(code=concepts("http://loinc.org/", "8867-4"))),
    vector("LOINC with a slash, permitted", "permit", only(code=concepts("http://loinc.org/", "8867-4"))),
    vector("LOINC with https, permitted", "permit", only(code=concepts("https://loinc.org", "8867-4"))),
    vector("LOINC with https", "deny", no(code=concepts("https://loinc.org", "8867-4"))),
    vector("LOINC by OID", "deny", no(code=concepts("urn:oid:2.16.840.1.113883.6.1", "8867-4"))),
    vector("SNOMED by OID", "deny", no(code=concepts("2.16.840.1.113883.6.96", "38341003")), on=of_type("Condition", code={"coding": codings(SNOMED, "38341003")})),
    vector("an unknown system refused, the same code", "deny", no(code=concepts("urn:theirs", "8867-4"))),
    vector("an unknown system permitted, the same code", "deny", only(code=concepts("urn:theirs", "8867-4"))),
    vector("no system refused", "deny", no(code=[{"coding": [{"code": "8867-4"}]}])),
    vector("no system permitted", "deny", only(code=[{"coding": [{"code": "8867-4"}]}])),
    vector("a local code that maps to nothing, refused", "deny", no(code=PULSE), on={**observation(), "code": LOCAL_CODE}),
    vector("a local code that maps to nothing, permit", "deny", only(code=PULSE), on={**observation(), "code": LOCAL_CODE}),
    vector("a local code in its own words", "permit", only(code=concepts("urn:own", "x1")), on={**observation(), "code": LOCAL_CODE}),
    vector("a local code beside a known one", "permit", no(code=PULSE), on={**observation(), "code": {"coding": [*codings("urn:own", "x1"), *codings(LOINC, "8310-5")]}}),
    vector("a code in words alone", "deny", no(code=PULSE), on={**observation(), "code": {"text": "pulse"}}),
    vector("a code in another element", "deny", no(code=concepts(SNOMED, "1")), on=observation(method={"coding": codings(SNOMED, "1")})),
    vector("a medication", "deny", no(code=concepts("http://www.nlm.nih.gov/research/umls/rxnorm", "1")), on=of_type(
        "MedicationStatement", medicationCodeableConcept={"coding": codings("http://www.nlm.nih.gov/research/umls/rxnorm", "1")})),
    vector("a component refused", "redact", no(code=SYSTOLIC), on=blood_pressure()),
    vector("a component permitted", "redact", only(code=SYSTOLIC), on=blood_pressure()),
    vector("all components refused", "deny", no(code=SYSTOLIC + concepts(LOINC, "8462-4")), on=blood_pressure()),
    vector("a component refused by MDC", "redact", no(code=concepts("urn:iso:std:iso:11073:10101", "150021")), on=blood_pressure()),
    vector("the panel permitted", "permit", only(code=concepts(LOINC, "85354-9")), on=blood_pressure()),
    vector("the panel refused", "deny", no(code=concepts(LOINC, "85354-9")), on=blood_pressure()),
    vector("the panel refused, one of its parts alone", "deny", no(code=concepts(LOINC, "85354-9")), on=observation("8480-6")),
    vector("a component that maps to nothing", "redact", no(code=PULSE), on=observation("85354-9", component=[{"code": LOCAL_CODE}, {"code": SYSTOLIC[0]}])),
    vector("a rule's code in words alone", "deny", only(code=[{"text": "pulse"}])),
    vector("a rule's code outside a list", "deny", only(code=PULSE[0])),
]  # fmt: skip

WRITTEN = {**observation(), "encounter": ref("Encounter/e/_history/2"), "performer": [ref("Practitioner/w")]}
ENCOUNTER = at(kind="Encounter", identity="e", subject=ref("Patient/p"), episodeOfCare=[ref("EpisodeOfCare/k")])
PLAN = at(kind="CarePlan", identity="k", activity=[{"reference": ref("Observation/1")}])
FROM_RAW = at(kind="Provenance", identity="v", target=[ref("Observation/mean")], entity=[{"role": "source", "what": ref("Observation/raw")}])
BY_W = at(kind="Provenance", identity="v", target=[ref("Observation/1")], agent=[{"who": ref("Practitioner/w"), "onBehalfOf": ref("Organization/w")}])
NAMED = [
    vector("the instance", "permit", only(data=data("instance", "Observation/1"))),
    vector("another instance", "deny", only(data=data("instance", "Observation/2"))),
    vector("the instance refused", "deny", no(data=data("instance", "Observation/1"))),
    vector("a version of the instance refused", "deny", no(data=data("instance", "Observation/1/_history/4"))),
    vector("another instance refused", "permit", no(data=data("instance", "Observation/2"))),
    vector("the instance at an address, refused", "deny", no(data=data("instance", "https://x.example/fhir/Observation/1"))),
    vector("the instance at an address", "deny", only(data=data("instance", "https://x.example/fhir/Observation/1"))),
    vector("instance does not reach what refers to it", "permit", no(data=data("instance", "Encounter/e")), on=WRITTEN),
    *(vector(f"{meaning}: the encounter", "permit", only(data=data(meaning, "Encounter/e")), on=WRITTEN) for meaning in ("related", "dependents")),
    *(vector(f"{meaning}: the encounter refused", "deny", no(data=data(meaning, "Encounter/e")), on=WRITTEN) for meaning in ("related", "dependents")),
    *(vector(f"{meaning}: another encounter refused", "permit", no(data=data(meaning, "Encounter/f")), on=WRITTEN) for meaning in ("related", "dependents")),
    vector("the encounter itself", "permit", only(data=data("related", "Encounter/e")), on=ENCOUNTER),
    vector("an episode through the encounter, refused", "deny", no(data=data("related", "EpisodeOfCare/k")), on=WRITTEN, resources=[ENCOUNTER]),
    vector("an episode through the encounter", "deny", only(data=data("related", "EpisodeOfCare/k")), on=WRITTEN, resources=[ENCOUNTER]),
    vector("what a care plan refers to", "permit", only(data=data("related", "CarePlan/k")), resources=[PLAN]),
    vector("what a care plan refers to, refused", "deny", no(data=data("related", "CarePlan/k")), resources=[PLAN]),
    vector("to share a patient is not to be related", "permit", no(data=data("related", "Organization/o")),
           resources=[at(kind="Patient", identity="p", managingOrganization=ref("Organization/o"))]),
    vector("dependents does not reach what a care plan refers to", "permit", no(data=data("dependents", "CarePlan/k")), resources=[PLAN]),
    vector("the author", "permit", only(data=data("authoredby", "Practitioner/w")), on=WRITTEN),
    vector("the author refused", "deny", no(data=data("authoredby", "Practitioner/w")), on=WRITTEN),
    vector("another author refused", "permit", no(data=data("authoredby", "Practitioner/x")), on=WRITTEN),
    vector("the author by Provenance, refused", "deny", no(data=data("authoredby", "Practitioner/w")), resources=[BY_W]),
    vector("the author's organization by Provenance, refused", "deny", no(data=data("authoredby", "Organization/w")), resources=[BY_W]),
    vector("an author in a group, refused", "deny", no(data=data("authoredby", "Group/g")), on=WRITTEN, resources=[group({"entity": ref("Practitioner/w")})]),
    vector("a group of authors not at hand, refused", "deny", no(data=data("authoredby", "Group/g")), on=WRITTEN),
    vector("the device refused", "deny", no(data=data("authoredby", "Device/d")), on=observation(device=ref("Device/d"))),
    vector("an unknown meaning", "deny", only(data=data("near", "Observation/1"))),
    vector("data by identifier, refused", "deny", no(data=[{"meaning": "instance", "reference": {"identifier": {"value": "1"}}}])),
    vector("one of two meanings", "permit", only(data=data("instance", "Observation/9") + data("authoredby", "Practitioner/w")), on=WRITTEN),
]  # fmt: skip

DERIVED = [
    vector("a mean of denied data", "deny", no(code=PULSE), on={**MEAN, "derivedFrom": [ref("Observation/raw")]}, resources=[RAW]),
    vector("a mean of permitted data", "permit", no(code=PULSE), on={**MEAN, "derivedFrom": [ref("Observation/body")]}, resources=[BODY]),
    vector("a mean of data named and denied", "deny", no(data=data("instance", "Observation/raw")), on={**MEAN, "derivedFrom": [ref("Observation/raw")]}),
    vector("a mean at two removes", "deny", no(code=PULSE), on={**MEAN, "derivedFrom": [ref("Observation/middle")]},
           resources=[RAW, {**BODY, "id": "middle", "derivedFrom": [ref("Observation/raw")]}]),
    vector("a mean by Provenance", "deny", no(code=PULSE), on=MEAN, resources=[FROM_RAW, RAW]),
    vector("a mean of restricted data", "deny", no(securityLabel=[R]), on={**MEAN, "derivedFrom": [ref("Observation/raw")]},
           resources=[{**labelled(R), "id": "raw"}]),
    vector("a mean of data of a denied time", "deny", no(dataPeriod=MAY), on={**MEAN, "effectiveDateTime": "2026-06-01", "derivedFrom": [ref("Observation/raw")]},
           resources=[RAW]),
    vector("a paper made from a denied one", "deny", no(data=data("instance", "DocumentReference/x")),
           on={**DOCUMENT, "relatesTo": [{"code": "transforms", "target": ref("DocumentReference/x")}]}),
    vector("a risk computed from denied data", "deny", no(code=PULSE), on=of_type("RiskAssessment", basis=[ref("Observation/raw")], code=MEAN["code"]), resources=[RAW]),
    vector("in a circle", "deny", ALL, on={**MEAN, "derivedFrom": [ref("Observation/raw")]}, resources=[{**RAW, "derivedFrom": [ref("Observation/raw")]}]),
    vector("from another patient's data", "deny", ALL, on={**MEAN, "derivedFrom": [ref("Observation/raw")]}, resources=[{**RAW, "subject": ref("Patient/q")}]),
    vector("a member of a panel", "redact", no(code=PULSE), on={**MEAN, "hasMember": [ref("Observation/raw"), ref("Observation/body")]}, resources=[RAW, BODY]),
    vector("the only member of a panel", "deny", no(code=PULSE), on={**MEAN, "hasMember": [ref("Observation/raw")]}, resources=[RAW]),
    vector("a member named and denied", "redact", no(data=data("instance", "Observation/raw")), on={**MEAN, "hasMember": [ref("Observation/raw"), ref("Observation/b")]}),
    vector("members that are permitted", "permit", no(code=SYSTOLIC), on={**MEAN, "hasMember": [ref("Observation/raw")]}, resources=[RAW]),
    vector("a result of a report", "redact", no(code=PULSE), on={**REPORT, "code": MEAN["code"]}, resources=[RAW, BODY]),
    vector("an entry of a list", "redact", no(code=PULSE), on=of_type(
        "List", code=MEAN["code"], entry=[{"item": ref("Observation/raw")}, {"item": ref("Observation/body")}]), resources=[RAW, BODY]),
    vector("an entry of a section", "redact", no(code=PULSE), on=of_type("Composition", type=MEAN["code"], section=[
        {"entry": [ref("Observation/body")], "section": [{"entry": [ref("Observation/raw")], "text": {"div": "61"}}]}]), resources=[RAW, BODY]),
]  # fmt: skip


def bundle(*found: Json, **elements: Any) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": each} for each in found], **elements}


OTHERS = {**BODY, "id": "q", "subject": ref("Patient/q")}
BUNDLES = [
    vector("all permitted", "permit", ALL, on=bundle(RAW, BODY)),
    vector("one denied", "redact", no(code=PULSE), on=bundle(RAW, BODY)),
    vector("all denied", "deny", no(code=PULSE), on=bundle(RAW)),
    vector("empty", "deny", ALL, on=bundle()),
    vector("another patient's beside it", "redact", ALL, on=bundle(RAW, OTHERS)),
    vector("two patients, both permit", "permit", ALL, consent(PERMIT, id="q", patient=ref("Patient/q")), on=bundle(RAW, OTHERS)),
    vector("a Bundle in a Bundle", "redact", no(code=PULSE), on=bundle(BODY, bundle(RAW))),
    vector("a component in a Bundle", "redact", no(code=SYSTOLIC), on=bundle(blood_pressure())),
    vector("Bundles refused", "deny", no(class_=codings(TYPES, "Bundle")), on=bundle(RAW)),
    vector("Bundles refused, no Bundle", "permit", no(class_=codings(TYPES, "Bundle"))),
    vector("Observations refused in a Bundle", "deny", no(class_=codings(TYPES, "Observation")), on=bundle(RAW)),
    vector("a document without its composition", "deny", no(class_=codings(TYPES, "Composition")), on=bundle(of_type("Composition"), BODY, type="document")),
    vector("a document with a denied section entry", "redact", no(code=PULSE), on=bundle(
        of_type("Composition", type=MEAN["code"], section=[{"entry": [ref("Observation/raw"), ref("Observation/body")]}]), RAW, BODY, type="document")),
    vector("a mean beside its denied source", "deny", no(code=PULSE), on=bundle(RAW, {**MEAN, "derivedFrom": [ref("Observation/raw")]})),
    vector("Parameters", "deny", no(code=PULSE), on={"resourceType": "Parameters", "parameter": [{"name": "a", "part": [{"name": "b", "resource": RAW}]}]}),
    vector("Parameters, permitted", "permit", ALL, on={"resourceType": "Parameters", "parameter": [{"name": "a", "resource": RAW}]}),
]  # fmt: skip

SCOPED = {"coding": codings(SCOPE, "patient-privacy")}
FORCE = [
    *(vector(f"status {status}", "deny", consent(PERMIT, status=status)) for status in ("draft", "proposed", "rejected", "inactive", "entered-in-error", "Active", "")),
    *(vector(f"a deny of status {status}", "permit", ALL, consent(DENY, status=status)) for status in ("draft", "proposed", "rejected", "inactive", "entered-in-error")),
    vector("no status", "deny", without("status", ALL)),
    vector("verified", "permit", consent(PERMIT, verification=[{"verified": True}])),
    vector("not verified", "deny", consent(PERMIT, verification=[{"verified": False}])),
    vector("verified once of twice", "deny", consent(PERMIT, verification=[{"verified": True}, {"verified": False}])),
    vector("not verified, still denies", "deny", ALL, consent(DENY, id="d", verification=[{"verified": False}])),
    vector("privacy", "permit", consent(PERMIT, scope=SCOPED)),
    vector("an advance directive", "deny", consent(PERMIT, scope={"coding": codings(SCOPE, "adr")})),
    vector("consent to a treatment", "deny", consent(PERMIT, scope={"coding": codings(SCOPE, "treatment")})),
    vector("a treatment refused is not a refusal to share", "permit", ALL, consent(DENY, scope={"coding": codings(SCOPE, "treatment")})),
    vector("research, asked for treatment", "deny", consent(PERMIT, scope={"coding": codings(SCOPE, "research")})),
    vector("research, asked for a trial", "permit", consent(PERMIT, scope={"coding": codings(SCOPE, "research")}), purpose="CLINTRCH"),
    vector("research refused, asked for treatment", "permit", ALL, consent(DENY, scope={"coding": codings(SCOPE, "research")})),
    vector("a scope in words", "deny", consent(PERMIT, scope={"text": "privacy"})),
    vector("a scope in words denies", "deny", ALL, consent(DENY, scope={"text": "privacy"})),
    vector("a scope of a foreign system", "deny", consent(PERMIT, scope={"coding": codings("urn:mine", "patient-privacy")})),
    vector("the scope among the categories", "permit", consent(PERMIT, category=[SCOPED])),
    vector("another scope among the categories", "deny", consent(PERMIT, category=[{"coding": codings(SCOPE, "adr")}])),
    vector("any other category", "permit", consent(PERMIT, category=concepts(LOINC, "59284-0"))),
    vector("of another patient", "deny", consent(PERMIT, patient=ref("Patient/q"))),
    vector("a deny of another patient", "permit", ALL, consent(DENY, patient=ref("Patient/q"))),
    vector("a version of the patient", "permit", consent(PERMIT, patient=ref("Patient/p/_history/2"))),
    vector("a patient of elsewhere", "deny", consent(PERMIT, patient=ref("https://x.example/fhir/Patient/p"))),
    vector("a patient of elsewhere, denied", "deny", ALL, consent(DENY, patient=ref("https://x.example/fhir/Patient/p"))),
    vector("a patient by a name", "deny", consent(PERMIT, patient={"display": "P."})),
    vector("a patient by identifier", "permit", consent(PERMIT, patient={"identifier": {"system": "urn:id", "value": "1"}}),
           resources=[at(kind="Patient", identity="p", identifier=[{"system": "urn:id", "value": "1"}])]),
    vector("another patient by identifier", "deny", consent(PERMIT, patient={"identifier": {"system": "urn:id", "value": "2"}}),
           resources=[at(kind="Patient", identity="p", identifier=[{"system": "urn:id", "value": "1"}])]),
    vector("about another patient", "deny", ALL, on={**observation(), "subject": ref("Patient/q")}),
    vector("about a patient by identifier", "deny", ALL, on={**observation(), "subject": {"identifier": {"value": "1"}}}),
    vector("about nobody, consents of two", "deny", ALL, consent(PERMIT, patient=ref("Patient/q")), on=without("subject", observation())),
    vector("about nobody, consents of one", "permit", ALL, on=without("subject", observation())),
    vector("an infant's record, consented to by the mother", "permit", consent(PERMIT, performer=[ref("Patient/mother")])),
    vector("the mother's own record", "deny", consent(PERMIT, performer=[ref("Patient/mother")]), on={**observation(), "subject": ref("Patient/mother")}),
    *(
        vector(f"a modifier {where}", "deny", broken)
        for where, broken in {
            "on the consent": consent(PERMIT, modifierExtension=[{"url": "urn:x"}]),
            "on the provision": only(modifierExtension=[{"url": "urn:x"}]),
            "on a nested provision": but(rule("deny", class_=SLEEP, modifierExtension=[{"url": "urn:x"}])),
            "on an actor": only(actor=[{**actor("Practitioner/a"), "modifierExtension": [{"url": "urn:x"}]}]),
            "on a policy": consent(PERMIT, policy=[{"uri": "urn:p", "modifierExtension": [{"url": "urn:x"}]}]),
            "on what is contained": consent(PERMIT, contained=[{"resourceType": "Group", "id": "g", "modifierExtension": [{"url": "urn:x"}]}]),
            "as implicit rules": consent(PERMIT, implicitRules="urn:x"),
        }.items()
    ),
    vector("a modifier on a refusal", "deny", ALL, consent(DENY, id="d", modifierExtension=[{"url": "urn:x"}])),
    vector("a plain extension", "permit", consent(rule("permit", extension=[{"url": "urn:x"}]), extension=[{"url": "urn:x"}])),
    vector("an extension on a primitive", "permit", consent({**PERMIT, "_type": {"extension": [{"url": "urn:x"}]}})),
    vector("an element R4 does not know", "deny", consent(PERMIT, decision="permit")),
    vector("an element a provision does not know", "deny", only(resourceType=codings(TYPES, "Observation"))),
    vector("a consent of the next release", "deny", {**without("provision", ALL), "decision": "permit", "provision": [{"purpose": why("TREAT")}]}),
    vector("one not understood beside one that is", "permit", ALL, only(purpose=[])),
    vector("one that is not a Consent", "permit", ALL, at(kind="Contract", identity="x")),
    vector("as an entry of a Bundle", "permit", bundle(ALL)),
    vector("as an entry", "permit", {"fullUrl": "urn:uuid:1", "resource": ALL}),
]  # fmt: skip

VECTORS = [
    *((f"{group}: {each.name}", each) for group, listed in {
        "base": BASE, "nesting": NESTING, "period": PERIOD, "data period": DATA_PERIOD, "actor": ACTOR, "action": ACTIONS, "purpose": PURPOSES,
        "label": LABELS, "class": CLASSES, "code": CODES, "data": NAMED, "derived": DERIVED, "bundle": BUNDLES, "in force": FORCE,
    }.items() for each in listed),
]  # fmt: skip


def case(each: Vector) -> Json:
    asked = {"actor": "Practitioner/a", "actsFor": "Organization/h", "purpose": "TREAT", "action": "access", "at": "2026-06-01T10:00:00+08:00", **each.asked}
    return {
        "id": each.name, "timezone": each.zone, "consents": each.consents, "resources": each.resources, "resource": each.on,
        "request": {name: value for name, value in asked.items() if value is not None},
    }  # fmt: skip


@pytest.mark.parametrize("each", [each for _, each in VECTORS], ids=[name for name, _ in VECTORS])
def test_a_published_or_invented_case_is_decided_as_the_specification_says(each: Vector) -> None:
    assert decide_case(case(each))["decision"] == each.expected
