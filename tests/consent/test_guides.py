"""The consents of IHE PCF, each against its data, askers and purposes; what each means is said in the guide's words, apart from the engine."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import pytest

from consent.case import decide_cases
from tests.consent.cases import ACT_CODE, LEVEL, REASON, Json, actor, codings, consent, observation, rule


class Datum(NamedTuple):
    """What the guide says of one of its resources."""

    name: str
    year: int | None
    level: str
    sensitivity: str | None


class Ask(NamedTuple):
    """Who asks, and why."""

    actor: str
    purpose: str | None


DATA = [
    Datum("alcohol", 2022, "R", "ETHUD"), Datum("sugar", 2020, "N", None), Datum("pressure", 2004, "N", None), Datum("weight", 2016, "N", None),
    Datum("mind", 2021, "R", "PSY"), Datum("violence", 2022, "R", "SDV"), Datum("encounter", None, "N", None), Datum("unlabelled", 2022, "", None),
]  # fmt: skip
WHEN = {2022: "2022-06-13", 2020: "2020-12-04T23:50:50-05:00", 2004: "2004-12-25T23:50:50-05:00", 2016: "2016-03-28", 2021: "2021-01-01"}
ASKS = [Ask(*each) for each in product(("someone", "focused"), ("TREAT", "HPAYMT", "HOPERAT", "HRESCH", "CLINTRCH", "BTG", "HMARKT", "FooBar", None))]
TPO = codings(REASON, "TREAT", "HPAYMT", "HOPERAT")
N, R = ([each] for each in codings(LEVEL, "N", "R"))
PSY, SDV = codings(ACT_CODE, "PSY", "SDV")
BREAKERS = {"purpose": codings(REASON, "BTG"), "actor": [actor("Group/breakers")]}
YEAR = {"start": "2022-01-01", "end": "2022-12-31"}
FOOBAR = codings("http://example.org/policies/purposeOfUse", "FooBar")


def data(meaning: str, *names: str) -> list[Json]:
    return [{"meaning": meaning, "reference": {"reference": name}} for name in names]


def resource(datum: Datum) -> Json:
    labels = codings(REASON, "HTEST") + (codings(LEVEL, datum.level) if datum.level else [])
    labels += codings(ACT_CODE, datum.sensitivity) if datum.sensitivity else []
    if datum.name == "encounter":
        return {"resourceType": "Encounter", "id": "encounter", "meta": {"security": labels}, "subject": {"reference": "Patient/p"}}
    made = observation("2339-0", labels=labels, effectiveDateTime=WHEN[datum.year or 2022], encounter={"reference": "Encounter/encounter"})
    return {**made, "id": datum.name, "performer": [{"reference": "Practitioner/author"}]}


def tpo(ask: Ask) -> bool:
    """Treatment, payment, operations, and what is under them: breaking the glass is emergency treatment."""
    return ask.purpose in ("TREAT", "HPAYMT", "HOPERAT", "BTG")


def normal(datum: Datum) -> bool:
    return datum.level == "N"


def breaks(ask: Ask) -> bool:
    return ask.purpose == "BTG" and ask.actor == "focused"


Meaning = Callable[[Datum, Ask], bool]
GUIDE: dict[str, tuple[Json, Meaning]] = {
    "basic": (rule("permit", purpose=TPO), lambda datum, ask: tpo(ask)),
    "expired": (rule("permit", purpose=TPO, period={"end": "2022-12-31"}), lambda datum, ask: False),
    "reject": (rule("deny", purpose=TPO), lambda datum, ask: False),
    "research": (rule("permit", purpose=codings(REASON, "HRESCH")), lambda datum, ask: ask.purpose in ("HRESCH", "CLINTRCH")),
    "timeframe": (rule("permit", purpose=TPO, dataPeriod=YEAR), lambda datum, ask: tpo(ask) and datum.year == 2022),
    "not timeframe": (
        rule("permit", rule("deny", dataPeriod=YEAR), purpose=TPO), lambda datum, ask: tpo(ask) and datum.year not in (2022, None)
    ),
    "author": (rule("permit", purpose=TPO, data=data("authoredby", "Practitioner/author")), lambda datum, ask: tpo(ask) and datum.name != "encounter"),
    "not author": (
        rule("permit", rule("deny", data=data("authoredby", "Practitioner/author")), purpose=TPO),
        lambda datum, ask: tpo(ask) and datum.name == "encounter",
    ),
    "another author": (rule("permit", purpose=TPO, data=data("authoredby", "Practitioner/focused")), lambda datum, ask: False),
    "not another author": (
        rule("permit", rule("deny", data=data("authoredby", "Practitioner/focused")), purpose=TPO), lambda datum, ask: tpo(ask)
    ),
    "encounter": (rule("permit", purpose=TPO, data=data("related", "Encounter/encounter")), lambda datum, ask: tpo(ask)),
    "not encounter": (rule("permit", rule("deny", data=data("related", "Encounter/encounter")), purpose=TPO), lambda datum, ask: False),
    "not other encounter": (rule("permit", rule("deny", data=data("related", "Encounter/other")), purpose=TPO), lambda datum, ask: tpo(ask)),
    "instances": (
        rule("permit", purpose=TPO, data=data("instance", "Observation/alcohol", "Observation/sugar", "Encounter/encounter")),
        lambda datum, ask: tpo(ask) and datum.name in ("alcohol", "sugar", "encounter"),
    ),
    "not instance": (
        rule("permit", rule("deny", data=data("instance", "Observation/alcohol")), purpose=TPO), lambda datum, ask: tpo(ask) and datum.name != "alcohol"
    ),
    "project": (rule("permit", purpose=FOOBAR, actor=[actor("Organization/research")]), lambda datum, ask: ask == ("focused", "FooBar")),
    "dissent but for breaking the glass": (rule("deny", rule("permit", **BREAKERS)), lambda datum, ask: breaks(ask)),
    "normal": (rule("permit", purpose=TPO, securityLabel=N), lambda datum, ask: tpo(ask) and normal(datum)),
    "normal and restricted": (rule("permit", purpose=TPO, securityLabel=N + R), lambda datum, ask: tpo(ask) and datum.level in "NR" and datum.level != ""),
    "normal, not restricted": (
        rule("permit", rule("deny", securityLabel=R), purpose=TPO, securityLabel=N), lambda datum, ask: tpo(ask) and normal(datum)
    ),
    "restricted for one": (
        rule("permit", rule("permit", securityLabel=R, actor=[actor("Practitioner/focused")]), purpose=TPO, securityLabel=N),
        lambda datum, ask: tpo(ask) and (normal(datum) or (datum.level == "R" and ask.actor == "focused")),
    ),
    "mental health for one": (
        rule("permit", rule("permit", securityLabel=[PSY], actor=[actor("Practitioner/focused")]), purpose=TPO, securityLabel=N),
        lambda datum, ask: tpo(ask) and (normal(datum) or (datum.sensitivity == "PSY" and ask.actor == "focused")),
    ),
    "mental health or violence for one": (
        rule("permit", rule("permit", securityLabel=[PSY, SDV], actor=[actor("Practitioner/focused")]), purpose=TPO, securityLabel=N),
        lambda datum, ask: tpo(ask) and (normal(datum) or (datum.sensitivity in ("PSY", "SDV") and ask.actor == "focused")),
    ),
    "restricted for breaking the glass": (
        rule("permit", rule("permit", securityLabel=R, **BREAKERS), purpose=TPO, securityLabel=N),
        lambda datum, ask: tpo(ask) and (normal(datum) or (datum.level == "R" and breaks(ask))),
    ),
}  # fmt: skip
BREAKING: Json = {"resourceType": "Group", "id": "breakers", "actual": True, "active": True, "member": [{"entity": {"reference": "Practitioner/focused"}}]}


def cases(written: Json) -> list[Json]:
    signed = consent(written, dateTime="2022-06-13", policy=[{"uri": "http://example.org/policies/base.txt"}])
    signed["scope"] = {"coding": codings("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy")}
    return [
        {
            "id": f"{datum.name}, {ask.actor}, {ask.purpose}", "timezone": "Asia/Shanghai", "consents": [signed], "resources": [BREAKING],
            "request": {
                "actor": f"Practitioner/{ask.actor}", "actsFor": "Organization/research" if ask.actor == "focused" else "Organization/clinic",
                "purpose": ask.purpose, "at": "2026-06-01T10:00:00+08:00",
            },
            "resource": resource(datum),
        }
        for datum, ask in product(DATA, ASKS)
    ]  # fmt: skip


@pytest.mark.parametrize("name", GUIDE)
def test_a_consent_of_the_guide_decides_as_the_guide_says(name: str) -> None:
    written, meaning = GUIDE[name]
    answers, complaints = decide_cases(cases(written))
    expected = ["permit" if meaning(datum, ask) else "deny" for datum, ask in product(DATA, ASKS)]
    wrong: list[Any] = [(answer["id"], answer["decision"]) for answer, right in zip(answers, expected, strict=True) if answer["decision"] != right]
    assert not wrong
    assert not complaints
