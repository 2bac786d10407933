"""Some thousands of resources, valid and broken: what the mappings make, the vital signs, every type's shape, and mutations of them all.

`python -m tests.conformance.corpus` keeps what the mappings make now as the seeds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from schemas.r4.snapshots import TYPES
from schemas.r4.validator import is_valid
from tests.conformance.mutations import MUTATIONS
from tests.conformance.shapes import UCUM, shapes

SEED = 20261122
VITALS = {
    "heartrate": ("8867-4", "/min"), "resprate": ("9279-1", "/min"), "oxygensat": ("2708-6", "%"), "bodytemp": ("8310-5", "Cel"),
    "bodyweight": ("29463-7", "kg"), "bodyheight": ("8302-2", "cm"), "bmi": ("39156-5", "kg/m2"),
}  # fmt: skip
PROFILE = "http://hl7.org/fhir/StructureDefinition/"


class Case(NamedTuple):
    """One resource and the class of rule it tries."""

    rule: str
    body: dict[str, Any]

    def text(self) -> str:
        return json.dumps(self.body, ensure_ascii=False)


def corpus(size: int) -> Iterator[Case]:
    """The first `size` cases: each mutation in turn, on seeds in turn. The same on every machine and in every run."""
    chance = random.Random(SEED)
    made_up = [body for body in shapes(sorted(TYPES - {"Resource", "DomainResource"}), SEED, 5) if is_valid(body)]
    groups = [list(vitals()), _mapped(), made_up]
    made = 0
    while made < size:
        for name, mutate in MUTATIONS.items():
            case = _case(name, mutate, groups, chance)
            if case is not None and made < size:
                made += 1
                yield case


def _case(name: str, mutate: Any, groups: list[list[dict[str, Any]]], chance: random.Random) -> Case | None:
    """Some seeds have nothing that a mutation changes: others are tried."""
    for _ in range(40):
        body = deepcopy(chance.choice(chance.choice(groups)))
        if mutate(body, chance):
            return Case(name, body)
    return None


SEEDS = Path(__file__).parent / "seeds.ndjson"


def _mapped() -> list[dict[str, Any]]:
    """What the mappings made when the seeds were kept: a corpus that changes with every new face could not be compared."""
    return [json.loads(line) for line in SEEDS.read_text(encoding="utf-8").splitlines()]


def distinct() -> Iterator[str]:
    """One resource of each shape the mappings make now: those with the same elements and codes tell nothing new."""
    from tests.conformance.produced import by_mappings


    seen: set[str] = set()
    for _, content in by_mappings():
        body = json.loads(content)
        shape = json.dumps([body["resourceType"], sorted(body), body.get("code"), body.get("category")])
        if shape not in seen:
            seen.add(shape)
            yield json.dumps(body, ensure_ascii=False)


def vitals() -> Iterator[dict[str, Any]]:
    """A valid resource of each vital sign of R4, and a blood pressure."""
    for profile, (code, unit) in VITALS.items():
        yield _vital(profile, code) | {"valueQuantity": _quantity(72, unit)}
    parts = [{"code": _loinc(code), "valueQuantity": _quantity(value, "mm[Hg]")} for code, value in (("8480-6", 128), ("8462-4", 82))]
    yield _vital("bp", "85354-9") | {"component": parts}


def _vital(profile: str, code: str) -> dict[str, Any]:
    category = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}
    return {
        "resourceType": "Observation", "id": profile, "meta": {"profile": [PROFILE + profile]}, "status": "final", "category": [category],
        "code": _loinc(code), "subject": {"reference": "Patient/1"}, "effectiveDateTime": "2024-05-01T08:00:00+08:00",
    }  # fmt: skip


def _loinc(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


if __name__ == "__main__":
    SEEDS.write_text("\n".join(distinct()) + "\n", encoding="utf-8")
