"""Builds the FHIR implementation guide: `schemas/fsh/` and what code makes, through SUSHI, packed as an npm-style package.

    python -m tests.conformance.guide            build/guide/package.tgz
    python -m tests.conformance.guide --write    and its compact form in schemas/package/

`make guide` first sees to what it needs: Node, SUSHI (tests/conformance/sushi), and R4 core as SUSHI reads it (build/core).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from consent.grant import consent_for, withdrawn
from hub.exchange.capability import capability_statement
from hub.exchange.routes import OPERATIONS, STATEMENT_DATE, TYPES
from hub.store.residents import CONSENT_PROFILE
from mappings.face import Subject, examples, face
from mappings.resident import organization, patient
from schemas import terminology
from schemas.classes import CODES
from schemas.records import STANDARD_VERSION
from schemas.resident import MemberNumber, Resident
from tests.conformance.packed import pack, write_compact

Content = dict[str, Any]

ROOT: Final = Path(__file__).parents[2]
CORE: Final = ROOT / "build" / "core"
IPS: Final = CORE / ".fhir" / "packages" / "hl7.fhir.uv.ips#2.0.0" / "package"
"""What some of our profiles are derived from, as `make sushi` puts it beside R4 core."""
GUIDE: Final = ROOT / "build" / "guide"
PACKAGE: Final = GUIDE / "package.tgz"
SAID: Final = GUIDE / "sushi.log"
COMMITTED: Final = ROOT / "schemas" / "package"
CANONICAL: Final = "https://kinehub.org/fhir"
_SUSHI: Final = Path(__file__).parent / "sushi" / "node_modules" / "fsh-sushi" / "dist" / "app.js"
_RESIDENT, _CENTRE, _HOSPITAL = (f"0190{letter}000-0000-7000-8000-000000000001" for letter in "cbd")
_GIVEN, _WITHDRAWN = "0190e000-0000-7000-8000-000000000001", "0190e000-0000-7000-8000-000000000002"
_AT = datetime(2026, 5, 1, 1, tzinfo=UTC)


class Party(NamedTuple):
    """What an Organization is made of."""

    name: str
    kind: str
    contact: str | None = None
    country: str | None = None


def example_resources() -> Iterator[Content]:
    """The face of every example of `mappings/fhir/`, each record under an id of its own; a resident, two parties and consents."""
    for number, example in enumerate(examples(), 1):
        yield from (json.loads(one.json) for one in face(example.record, _subject(number)))
    yield json.loads(patient(_resident(), _RESIDENT).json)
    yield {**organization(Party("东湖健身中心", "fitness-center")), "id": _CENTRE}
    yield {**organization(Party("市第二医院", "hospital")), "id": _HOSPITAL}
    yield from _consents()


def _subject(number: int) -> Subject:
    return Subject(
        record_id=f"0190a000-0000-7000-8000-{number:012}", patient=f"Patient/{_RESIDENT}", party=f"Organization/{_CENTRE}", party_name="东湖健身中心",
        adapter="kinehub-json", adapter_version="1.0.0", original_hash="ab" * 32, recorded="2026-05-01T01:00:00Z", zone="Asia/Shanghai",
    )  # fmt: skip


def _resident() -> Resident:
    numbers = [MemberNumber(party=_CENTRE, number="A-1")]
    return Resident(
        name="王秀英", health_card="ABC123", phone="19900000002", gender="female", gender_code="2", birth_date="1955-04-17", area="310110",
        zone="Asia/Shanghai", member_numbers=numbers,
    )  # fmt: skip


def _consents() -> Iterator[Content]:
    given = consent_for(
        resident=f"Patient/{_RESIDENT}", recipient=f"Organization/{_HOSPITAL}", purpose="TREAT", classes=CODES["activity"] | CODES["health-check"],
        recorded=_AT, consent_id=_GIVEN,
    )  # fmt: skip
    for one in (given, {**withdrawn(given, _AT.replace(month=6)), "id": _WITHDRAWN}):
        yield {**one, "meta": {"profile": [CONSENT_PROFILE]}}


def capability() -> Content:
    """What every hub of this version can do: its own statement, without what belongs to one installation."""
    own = capability_statement(CANONICAL, STANDARD_VERSION, TYPES, STATEMENT_DATE, OPERATIONS)
    (rest,) = own["rest"]
    security = {name: value for name, value in rest["security"].items() if name != "extension"}
    kept = {name: value for name, value in own.items() if name not in ("implementation", "software")}
    return {
        **kept, "url": f"{CANONICAL}/CapabilityStatement/kinehub", "kind": "requirements", "experimental": False,
        "description": "What a KineHub answers. 各接口的能力。", "rest": [{**rest, "security": security}],
    }  # fmt: skip


def _write(folder: Path, resources: Iterator[Content]) -> None:
    folder.mkdir(parents=True)
    for one in resources:
        (folder / f"{one['resourceType']}-{one['id']}.json").write_text(json.dumps(one, ensure_ascii=False))


def prepare() -> None:
    """`build/guide` as SUSHI wants a guide: our FSH, and beside it what code makes."""
    shutil.rmtree(GUIDE, ignore_errors=True)
    shutil.copytree(ROOT / "schemas" / "fsh", GUIDE)
    with (GUIDE / "sushi-config.yaml").open("a") as config:
        config.write(f"version: {STANDARD_VERSION}\n")
    _write(GUIDE / "input" / "vocabulary", iter(terminology.resources()))
    _write(GUIDE / "input" / "capabilities", iter([capability()]))
    _write(GUIDE / "input" / "examples", example_resources())


def run_sushi() -> None:
    """Every definition of the guide with its snapshot; what SUSHI says goes to `sushi.log`. Its home is where it finds R4 core and IPS."""
    done = subprocess.run(
        ["node", str(_SUSHI), "build", "--snapshot", str(GUIDE)], env={**os.environ, "HOME": str(CORE)}, capture_output=True, text=True, check=False
    )
    SAID.write_text(done.stdout + done.stderr)


def build() -> Path:
    """The package. What SUSHI found wrong is in its log and for the caller to judge."""
    prepare()
    run_sushi()
    inputs = sorted((GUIDE / "input").glob("[!f]*/*.json"))
    pack([*sorted((GUIDE / "fsh-generated" / "resources").glob("*.json")), *inputs], PACKAGE)
    return PACKAGE


if __name__ == "__main__":
    made = build()
    if "--write" in sys.argv:
        write_compact(made, IPS, COMMITTED)
