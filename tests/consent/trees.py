"""Random consents, requests and resources over a small vocabulary in which rules often meet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from consent.request import Request

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
LEVEL = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
CLASS = "https://kinehub.org/fhir/CodeSystem/data-class"
TYPES = "http://hl7.org/fhir/resource-types"
LOINC = "http://loinc.org"
MDC = "urn:iso:std:iso:11073:10101"

RESOURCES: dict[str, dict[str, Any]] = {
    "Group/known": {"resourceType": "Group", "id": "known", "actual": True, "member": [{"entity": {"reference": "Practitioner/a"}}]},
    "Group/timed": {
        "resourceType": "Group", "id": "timed",
        "member": [{"entity": {"reference": "Practitioner/a"}, "period": {"end": "2026-06-01"}}, {"entity": {"reference": "Organization/i"}, "inactive": True}],
    },
    "CareTeam/over": {"resourceType": "CareTeam", "id": "over", "status": "inactive", "participant": [{"member": {"reference": "Practitioner/a"}}]},
    "PractitionerRole/r": {
        "resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "Practitioner/a"}, "organization": {"reference": "Organization/h"},
        "period": {"start": "2026-06"},
    },
    "PractitionerRole/b": {"resourceType": "PractitionerRole", "id": "b", "practitioner": {"reference": "Practitioner/b"}},
    "Group/numbered": {
        "resourceType": "Group", "id": "numbered", "actual": True, "identifier": [{"system": "urn:group", "value": "1"}],
        "member": [{"entity": {"reference": "Organization/i"}}],
    },
    "Practitioner/a": {"resourceType": "Practitioner", "id": "a", "identifier": [{"system": "urn:licence", "value": "7"}]},
    "Organization/h": {"resourceType": "Organization", "id": "h", "partOf": {"reference": "Organization/trust"}},
}  # fmt: skip
SOURCE: dict[str, Any] = {
    "resourceType": "Observation", "id": "source", "subject": {"reference": "Patient/p"}, "code": {"coding": [{"system": LOINC, "code": "8867-4"}]},
    "meta": {"security": [{"system": CLASS, "code": "sleep"}]}, "effectivePeriod": {"start": "2026-03-10", "end": "2026-03-10"},
}  # fmt: skip
"""What some resources are derived from, or gather."""
PROFILE = "http://hl7.org/fhir/StructureDefinition/heartrate"
DAYS = ["2026-01-01", "2026-03", "2026-03-10", "2026-05-20", "2026-06-01", "2026-06-02", "2026-09-01"]
INSTANTS = ["2026-05-31T16:00:00Z", "2026-06-01T10:00:00+08:00", "2026-06-01T23:59:59+08:00"]
CODES = [(LOINC, "85354-9"), (LOINC, "8480-6"), (LOINC, "8462-4"), (MDC, "150021"), (LOINC, "8867-4"), (MDC, "149546")]


def _coding(system: str, code: str) -> dict[str, str]:
    return {"system": system, "code": code}


def _some(strategy: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, min_size=1, max_size=most)


@st.composite
def periods(draw: st.DrawFn) -> dict[str, str]:
    edges = sorted(draw(st.lists(st.sampled_from(DAYS), min_size=2, max_size=2)))
    found = draw(st.sampled_from([{"start": edges[0]}, {"end": edges[1]}, {"start": edges[0], "end": edges[1]}]))
    if "end" in found and "start" not in found and draw(st.booleans()):
        found = {"end": draw(st.sampled_from(INSTANTS))}
    return found


LABELS = st.sampled_from([_coding(LEVEL, "N"), _coding(LEVEL, "R"), *(_coding(ACT_CODE, code) for code in ("PSY", "ETH", "ETHUD", "SUD", "HIV"))])
CLASSES = st.sampled_from(
    [_coding(CLASS, code) for code in ("activity", "sleep", "location", "biometric")]
    + [_coding(TYPES, code) for code in ("Observation", "Condition")]
    + [_coding("urn:ietf:rfc:3986", PROFILE), {"code": "Observation"}]
)
PURPOSES = st.sampled_from([_coding(REASON, code) for code in ("TREAT", "ETREAT", "HRESCH", "CLINTRCH")])
ACTORS = st.sampled_from(
    [{"role": {"text": "r"}, "reference": {"reference": name}} for name in ("Practitioner/a", "Practitioner/b", "Organization/h")]
    + [{"role": {"text": "r"}, "reference": {"reference": "Group/known"}}, {"role": {"text": "r"}, "reference": {"reference": "Group/gone"}}]
    + [{"role": {"text": "r"}}]
    + [
        {"role": {"text": "r"}, "reference": {"reference": name}}
        for name in ("Group/timed", "CareTeam/over", "PractitionerRole/r", "Organization/trust", "https://x.example/fhir/Practitioner/a")
    ]
    + [{"role": {"text": "r"}, "reference": {"identifier": {"system": "urn:licence", "value": value}}} for value in "78"]
    + [{"role": {"text": "r"}, "reference": {"identifier": {"system": "urn:group", "value": "1"}}}]
)
ACTIONS = st.sampled_from([{"coding": [{"code": code}]} for code in ("access", "disclose")] + [{"coding": [{"system": "urn:mine", "code": "access"}]}])
DATA = st.builds(
    lambda meaning, name: {"meaning": meaning, "reference": {"reference": name}},
    st.sampled_from(["instance", "related", "dependents", "authoredby"]),
    st.sampled_from(["Observation/1", "Observation/1/_history/3", "Encounter/e", "Practitioner/b", "Observation/source"]),
)
PANEL = st.just({"coding": [_coding(LOINC, "85354-9")]})
UNMAPPED = st.just({"coding": [_coding("urn:own", "x")]})
CONCEPTS = st.sampled_from([{"coding": [_coding(*code)]} for code in CODES])
ASKED_CODES = CONCEPTS | CONCEPTS | st.sampled_from([{"coding": [{"code": "8480-6"}]}, {"coding": [_coding("urn:theirs", "8867-4")]}])

CONDITIONS = {
    "period": periods(), "actor": _some(ACTORS), "purpose": _some(PURPOSES), "action": _some(ACTIONS), "securityLabel": _some(LABELS),
    "class": _some(CLASSES, 3), "dataPeriod": periods(), "data": _some(DATA), "code": _some(ASKED_CODES),
}  # fmt: skip

PAIRS = [("class", "dataPeriod"), ("actor", "purpose"), ("code", "actor"), ("period", "data")]
COMBINATIONS = [(), (), *((name,) for name in sorted(CONDITIONS)), ("code",), *PAIRS]
"""Conditions that stand together in one rule; few, so that rules often match."""


@st.composite
def rules(draw: st.DrawFn, depth: int = 2, kinds: tuple[str, ...] = ("permit", "deny")) -> dict[str, Any]:
    names = draw(st.sampled_from(COMBINATIONS))
    rule = {"type": draw(st.sampled_from(kinds)), **{name: draw(CONDITIONS[name]) for name in names}}
    children = draw(st.lists(rules(depth=depth - 1), max_size=2)) if depth else []
    return {**rule, "provision": children} if children else rule


@st.composite
def consents(draw: st.DrawFn) -> dict[str, Any]:
    root = draw(rules(kinds=("permit", "permit", "permit", "deny")))
    base = draw(st.sampled_from([None, None, None, "OPTIN", "OPTIN", "OPTOUT", "EMRGONLY", "hipaa-self-pay"]))
    if base and draw(st.booleans()):
        del root["type"]
    consent: dict[str, Any] = {
        "resourceType": "Consent", "id": str(draw(st.integers(0, 10**6))), "status": draw(st.sampled_from(["active"] * 9 + ["inactive"])),
        "patient": {"reference": "Patient/p"}, "dateTime": draw(st.sampled_from(["2025-01-01"] * 5 + ["2026-06-02"])), "provision": root,
    }  # fmt: skip
    if base:
        consent["policyRule"] = {"coding": [{"system": ACT_CODE, "code": base}]}
    if draw(st.integers(0, 15)) == 9:
        consent["verification"] = [{"verified": draw(st.booleans())}]
    if draw(st.integers(0, 15)) == 9:
        consent["modifierExtension"] = [{"url": "https://example.org/unknown"}]
    scope = draw(st.sampled_from([None, None, None, "patient-privacy", "research", "treatment"]))
    if scope:
        consent["scope"] = {"coding": [_coding("http://terminology.hl7.org/CodeSystem/consentscope", scope)]}
    if draw(st.integers(0, 15)) == 9:
        consent["patient"] = {"reference": draw(st.sampled_from(["Patient/q", "https://x.example/fhir/Patient/p"]))}
    return consent


@st.composite
def but_for_a_code(draw: st.DrawFn) -> dict[str, Any]:
    """Everything permitted but one coded part, or nothing but it: where redaction begins."""
    rule = {"type": "permit", "provision": [{"type": "deny", "code": draw(_some(CONCEPTS))}]}
    return {
        "resourceType": "Consent", "id": "but", "status": "active", "dateTime": "2025-01-01",
        "provision": draw(st.sampled_from([rule, {"type": "permit", "code": rule["provision"][0]["code"]}])),
    }  # fmt: skip


POLICIES = (
    st.lists(consents(), min_size=1, max_size=3) | but_for_a_code().map(lambda consent: [consent]) | st.tuples(but_for_a_code(), consents()).map(list)
)

TIMES = [datetime.fromisoformat(at).astimezone(UTC) for at in ("2026-05-31T23:59:59+08:00", "2026-06-01T10:00:00+08:00", "2026-06-02T00:00:00+08:00")]
TIMES.append(datetime(2026, 9, 1, 4, tzinfo=UTC))
REQUESTS = st.builds(
    Request,
    actor=st.sampled_from(["Practitioner/a", "Practitioner/a", "Practitioner/b", "Device/d", "PractitionerRole/gone", "https://x.example/fhir/Practitioner/b"]),
    acts_for=st.sampled_from([None, "Organization/h", "Organization/i"]),
    member_of=st.sampled_from([(), ("Group/gone",)]),
    purpose=st.sampled_from([None, "TREAT", "TREAT", "BTG", "CLINTRCH", "HRESCH"]),
    action=st.sampled_from(["access", "access", "disclose", None]),
    at=st.sampled_from(TIMES),
)


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    classes = draw(st.sampled_from([("activity",), ("activity",), ("sleep", "activity"), ("location",), ("biometric",), ()]))
    security = [_coding(CLASS, code) for code in classes]
    security += [_coding(ACT_CODE, code) for code in draw(st.sampled_from([(), (), (), (), ("PSY",), ("ETHUD",), ("SUD",), ("ETH", "HIV")]))]
    security += [_coding(LEVEL, draw(st.sampled_from("NRV")))] if draw(st.booleans()) else []
    found: dict[str, Any] = {
        "resourceType": "Observation", "id": draw(st.sampled_from("12")), "meta": {"security": security} if security else {},
        "subject": {"reference": "Patient/p"}, "code": draw(PANEL | CONCEPTS | UNMAPPED),
    }  # fmt: skip
    if draw(st.integers(0, 3)):
        low, high = sorted(draw(st.lists(st.sampled_from(DAYS), min_size=2, max_size=2)))
        found["effectivePeriod"] = draw(st.sampled_from([{"start": low, "end": high}] * 3 + [{"start": low}, {"end": high}]))
    if draw(st.booleans()):
        found["encounter"] = {"reference": "Encounter/e"}
    if draw(st.booleans()):
        found["performer"] = [{"reference": draw(st.sampled_from(["Practitioner/b", "Practitioner/b", "PractitionerRole/b", "PractitionerRole/gone"]))}]
    if draw(st.integers(0, 3)):
        found["component"] = [{"code": code} for code in draw(_some(CONCEPTS | UNMAPPED))]
    if draw(st.integers(0, 3)) == 0:
        found["meta"] = {**found["meta"], "profile": [f"{PROFILE}|4.0.1"]}
    if draw(st.integers(0, 5)) == 0:
        found[draw(st.sampled_from(["derivedFrom", "hasMember"]))] = [{"reference": "Observation/source"}]
    if draw(st.booleans()):
        found["valueQuantity"] = {"value": 1}
    return found
