"""This hub's R4 validator beside the models of fhir.resources, on the same resources: microseconds each, from parsed JSON, in turn by round."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from schemas.r4.validator import is_valid
from tests.bench.load import spread
from tests.conformance.corpus import corpus, vitals

Body = dict[str, Any]
QUANTITY = {"unit": "x", "system": "http://unitsofmeasure.org"}


def an_observation() -> Body:
    """A blood pressure with its ranges, a note, a device and who performed it: about 2 kB, valid also by R4's profile."""
    (body,) = (one for one in vitals() if one["id"] == "bp")
    low, high = ({"value": value, "code": "mm[Hg]"} | QUANTITY for value in (60, 140))
    reading = {"referenceRange": [{"low": low, "high": high, "text": "60 to 140"}], "interpretation": [{"text": "as expected"}]}
    return body | {
        "component": [part | reading for part in body["component"]], "note": [{"text": "seated, after five minutes of rest", "time": "2024-05-01T08:05:00Z"}],
        "identifier": [{"system": "https://hub.example/records", "value": "0190a000-0000-7000-8000-000000000001"}], "device": {"reference": "Device/1"},
        "performer": [{"reference": "Organization/1", "display": "Centre"}], "issued": "2024-05-01T08:05:00Z", "language": "zh-CN",
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">128/82</div>'},
    }  # fmt: skip


def broken_ways(body: Body) -> list[Body]:
    """An Observation without a required element, with an unknown one, a wrong JSON type, no such day, and two types of a choice."""
    changes: list[Body] = [{"code": None}, {"pulse": 1}, {"note": {}}, {"effectiveDateTime": "2024-02-30"}, {"valueString": "x", "valueInteger": 1}]
    return [{key: value for key, value in (body | change).items() if value is not None} for change in changes]


def _model(type_: str) -> Any:
    return getattr(import_module(f"fhir.resources.R4B.{type_.lower()}"), type_)


def is_of_r4b(body: Body) -> bool:
    """Whether fhir.resources has a model of the type."""
    try:
        return bool(_model(body["resourceType"]))
    except (ImportError, AttributeError):
        return False


def _by_model(body: Body) -> bool:
    try:
        _model(body["resourceType"]).model_validate(body)
    except (ValueError, LookupError, TypeError, AttributeError):  # it has no error of its own for a type or shape that it does not expect
        return False
    return True


def _each_us(judge: Callable[[Body], bool], bodies: list[Body]) -> float:
    began = time.process_time()
    for body in bodies:
        judge(body)
    return (time.process_time() - began) / len(bodies) * 1e6


def figures(rounds: int) -> dict[str, Any]:
    """Microseconds a resource; processor time, so that a busy machine counts less."""
    claiming = an_observation()
    plain = {key: value for key, value in claiming.items() if key != "meta"}
    mixed = [case.body for case in corpus(600) if case.rule == "as it is"]
    broken = [case.body for case in corpus(600) if case.rule != "as it is" and isinstance(case.body.get("resourceType"), str) and is_of_r4b(case.body)]
    sets = {
        "Observation of 2 kB": [plain] * 200, "the same, each time broken": broken_ways(plain) * 40, "the same with R4's profile": [claiming] * 200,
        "valid corpus": mixed * 10, "broken corpus": broken,
    }  # fmt: skip
    found: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        for name, bodies in sets.items():
            found.setdefault(f"validation, {name}, us", []).append(_each_us(is_valid, bodies))
            found.setdefault(f"validation, {name}, fhir.resources, us", []).append(_each_us(_by_model, bodies))
    return {name: spread(values[1:]) for name, values in found.items()}
