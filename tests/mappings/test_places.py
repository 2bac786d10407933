"""Where the page says that a field stands in FHIR, there the face has it."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from mappings.face import Example, Subject, examples, face
from mappings.places import left_out, places
from schemas.records import KINDS

SUBJECT = Subject(
    record_id="0190a000-0000-7000-8000-000000000001", patient="Patient/1", party="Organization/2", party_name="机构", adapter="test",
    adapter_version="1", original_hash=None, recorded="2026-05-01T00:00:00Z",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_a_place_or_is_left_out_with_its_reason(kind: str) -> None:
    fields = set(KINDS[kind].__struct_fields__)
    known = {name for name in places(kind) if "." not in name}
    assert known <= fields
    assert fields - known == set(left_out(kind)) - known
    for found in places(kind).values():
        assert all(re.match(r"^[A-Z][A-Za-z]+(\.|$)", place.path) for place in found)


def said(resource: dict[str, Any], path: str) -> bool:
    """Whether a resource has something at a path as the page writes it: `effective[x]`, `extension(name)`, nested names, any of a list."""
    parts: list[Any] = [resource]
    for step in path.split(".")[1:]:
        inner = [part for one in parts for part in (one if isinstance(one, list) else [one]) if isinstance(part, dict)]
        parts = [value for part in inner for value in _at(part, step)]
    return bool(parts)


def _at(part: dict[str, Any], step: str) -> list[Any]:
    if step.startswith("extension("):
        return [one for one in part.get("extension", ()) if one["url"].rpartition("/")[2].replace("bodySite", "body-site") == step[10:-1]]
    stem = step.removesuffix("[x]")
    return [value for name, value in part.items() if name.removeprefix("_") == stem or (stem != step and name.startswith(stem))]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.says)
def test_each_field_of_an_example_is_found_where_it_is_said_to_be(example: Example) -> None:
    kind = str(example.record.__struct_config__.tag)
    resources = [json.loads(one.json) for one in face(example.record, SUBJECT)]
    for name, value in msgspec.to_builtins(example.record).items():
        shown = places(kind).get(name)
        if not shown or name == "kind" or not value:
            continue
        hit = [place for place in shown if any(one["resourceType"] == place.path.partition(".")[0] and said(one, place.path) for one in resources)]
        assert hit, (name, shown)
