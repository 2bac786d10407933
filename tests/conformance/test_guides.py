"""Foreign guides that our resources claim, where somebody has them: `make conformance PACKAGES="guide.tgz folder"`.

Their profiles must have snapshots, or parents that are given too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import packed
from tests.conformance.judged import Finding, judged
from tests.conformance.produced import by_mappings

GUIDES = [Path(one).resolve() for one in os.environ.get("GUIDES", "").split()]
PA = "http://hl7.org/fhir/us/physical-activity/StructureDefinition/"
pytestmark = pytest.mark.skipif(not GUIDES, reason="no guide of others is given (PACKAGES=...); our restatement of its rules is checked all the same")


def definitions(guide: Path) -> Iterator[dict[str, Any]]:
    if guide.is_dir():
        yield from (json.loads(path.read_bytes()) for path in sorted(guide.rglob("*.json")))
    else:
        yield from packed.resources(guide)


@pytest.fixture(scope="module")
def claiming() -> list[tuple[str, bytes]]:
    """Every resource of the mappings that claims a profile of the guides."""
    urls = {one["url"] for guide in GUIDES for one in definitions(guide) if one.get("resourceType") == "StructureDefinition"}
    return [(source, body) for source, body in by_mappings() if urls & set(json.loads(body)["meta"]["profile"])]


def without_category(body: bytes) -> bytes:
    """What the Physical Activity IG must refuse: all its profiles but that of a Task want its own category."""
    said = json.loads(body)
    return json.dumps({name: value for name, value in said.items() if name != "category"}).encode()


def test_what_claims_a_profile_of_a_guide_fits_it(claiming: list[tuple[str, bytes]], tmp_path: Path) -> None:
    refused = [without_category(body) for _, body in claiming if PA.encode() in body and b'"category"' in body]
    assert claiming, "nothing claims a profile of these guides"
    found: list[Finding] = list(judged(claiming, GUIDES, tmp_path, refused))
    assert [one for one in found if one.severity in ("error", "fatal")] == []
