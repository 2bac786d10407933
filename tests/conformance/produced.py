"""Everything the hub can say in FHIR, for a validator that nobody here wrote: made by the mappings, and asked of a real hub."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec

from adapters.base import AdapterError, Context, adapters, detect
from hub.demo.__main__ import City, furnish
from hub.exchange.reading import KINDS_OF_TYPE
from mappings.face import examples, face
from mappings.resident import patient
from schemas.errors import InvalidRecord
from schemas.measures import MEASURES, Measure
from schemas.moments import Moment
from schemas.records import Decoded, Quantity, VitalSign
from schemas.resident import MemberNumber, Resident
from tests.builders import an_id_number
from tests.exchange.test_own_consent import PASSWORD, token_in
from tests.mappings import kept
from tests.mappings.r4_oracle import RECORD_ID, SUBJECT
from tests.process import Running
from tests.shared import SAMPLES

CONTEXT = Context(received_at=datetime(2026, 6, 1, tzinfo=UTC), zone="Asia/Shanghai")
KNOWING = msgspec.structs.replace(
    SUBJECT, named={("Practitioner", "李医生"): ("Practitioner/1", "李医生"), ("Organization", "东湖健身中心"): ("Organization/1", "东湖健身中心")}
)
"""With the directory's entries for the names that the examples of orders and referrals have: what refers claims more."""
STAFF, SITES = "https://gym.example/staff", "https://gym.example/sites"


def by_mappings() -> Iterator[tuple[str, bytes]]:
    """(where it comes from, resource) of every example, every adapter's sample and every shared sample, straight from the mappings."""
    for example in examples():
        yield from ((example.says, one.json) for one in face(example.record, SUBJECT))
        yield from ((f"{example.says}, of whom the directory knows", one.json) for one in face(example.record, KNOWING))
    for measure in MEASURES.values():
        yield from ((f"a measured {measure.key}", one.json) for one in face(measured(measure), SUBJECT))
    for adapter in adapters():
        yield from _faces(f"sample of {adapter.id}", adapter.sample, f"sample{adapter.extensions[0]}")
    for path in sorted(SAMPLES.iterdir()) if SAMPLES.exists() else ():
        yield from _faces(path.name, path.read_bytes(), path.name)
    for path in kept.files():
        yield from ((f"golden {path.stem}", json.dumps(one).encode()) for one in json.loads(path.read_bytes())["face"])
    yield "a full resident", patient(a_full_resident(), RECORD_ID).json
    yield "a resident of whom nothing is known", patient(Resident(), RECORD_ID).json


def _faces(source: str, content: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    try:
        for row in detect(content[:4096], name).decode(io.BytesIO(content), CONTEXT):
            if isinstance(row, Decoded):
                yield from ((source, one.json) for one in face(row.record, SUBJECT))
    except (AdapterError, InvalidRecord):
        return  # what the hub refuses is not said


def measured(measure: Measure) -> VitalSign:
    """One reading of a measure; a panel's has no value of its own."""
    value = Quantity(measure.key, 21.5, measure.unit) if measure.unit else None
    return VitalSign(start=Moment(at=CONTEXT.received_at, offset_minutes=480), measure=measure.key, quantity=value)


def a_full_resident() -> Resident:
    """A resident of whom everything is known."""
    numbers = [MemberNumber(party="0190b000-0000-7000-8000-000000000001", number="A-1")]
    return Resident(
        name="王秀英", id_number=an_id_number(), health_card="ABC123", phone="19900000002", gender="female", gender_code="2", birth_date="1955-04-17",
        area="310110", zone="Asia/Shanghai", member_numbers=numbers,
    )  # fmt: skip


def over_http(hub: Running) -> Iterator[tuple[str, bytes]]:
    """(path, body) of every kind of answer of a hub with a resident who has a bit of everything."""
    resident = fill(hub)
    headers = hub.bearer("hospital", "system/*.rs")
    yield from _anonymous(hub.http)
    yield from _own(hub, resident)
    yield "/fhir/MeasureReport", hub.http.get("/fhir/MeasureReport", headers=hub.bearer("center", "system/*.rs")).raise_for_status().content
    for path in _asked(resident):
        following: str | None = path
        while following:
            answer = hub.http.get(following, headers=headers)
            assert answer.status_code == 200, f"{path}: {answer.text}"
            yield path, answer.content
            yield from _coarser(hub, answer.content, headers)
            following = _next(answer.json())


def _coarser(hub: Running, page: bytes, headers: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """The samples on a page, each a point a minute."""
    for entry in json.loads(page).get("entry", ()):
        if "valueSampledData" in entry["resource"]:
            path = f"/fhir/Observation/{entry['resource']['id']}/$sampled?period=60000"
            yield path, hub.http.get(path, headers=headers).raise_for_status().content


def _asked(resident: str) -> list[str]:
    types = ("Organization", "Location", "Practitioner", "PractitionerRole", "HealthcareService", "DeviceDefinition", "MeasureReport")
    within = sorted(set(KINDS_OF_TYPE) - {"Patient"})
    return [
        f"/fhir/Patient/{resident}/$everything",
        f"/fhir/Patient?_id={resident}&_summary=true",
        f"/fhir/Observation?patient={resident}&code=PAPanel&_revinclude=Observation:derived-from&_revinclude=Provenance:target&_include=Observation:device",
        f"/fhir/Observation?patient={resident}&_summary=count",
        "/fhir/AuditEvent",
        "/fhir/AuditEvent?type=rest",
        *(f"/fhir/{type_}" for type_ in types),
        *(f"/fhir/{type_}?patient={resident}" for type_ in within if type_ not in ("Linkage", "Provenance")),
    ]


def _own(hub: Running, resident: str) -> Iterator[tuple[str, bytes]]:
    """What the resident reads of their own: consents, who may see what, and everything."""
    secret = hub.folder / "password"
    secret.write_text(PASSWORD)
    hub.cli("user", "add", "wang", "--name", "王秀英", "--role", "resident", "--resident", resident, "--password-file", str(secret))
    receiver = f"recipient=Organization/{hub.parties['hospital']['party_id']}&purpose=TREAT"
    with httpx.Client(base_url=hub.url, timeout=60) as browser:
        form = {"login": "wang", "password": PASSWORD, "next": "", "csrf": token_in(browser.get("/sign-in").text)}
        assert browser.post("/sign-in", data=form, headers={"Origin": hub.url}).status_code == 303
        yield "/fhir/AuditEvent", browser.get("/fhir/AuditEvent?_count=100").raise_for_status().content
        for path in (f"/fhir/Consent?patient={resident}", f"/fhir/Consent/$explain?{receiver}", f"/fhir/Patient/{resident}/$everything?_type=Consent,Linkage"):
            yield path, browser.get(path).raise_for_status().content


def _anonymous(http: httpx.Client) -> Iterator[tuple[str, bytes]]:
    statement = http.get("/fhir/metadata")
    yield "/fhir/metadata", statement.content
    ours = [one["definition"] for type_ in statement.json()["rest"][0]["resource"] for one in type_.get("operation", ())]
    for path in [f"/fhir/OperationDefinition/{url.rpartition('/')[2]}" for url in ours if url.startswith("https://kinehub.org/")]:
        yield path, http.get(path).raise_for_status().content
    yield "a refusal", http.get("/fhir/Patient").content
    for path in _published(http):
        yield path, http.get(path).raise_for_status().content


def _published(http: httpx.Client) -> list[str]:
    """Every published code system, value set and map, every expansion, and a call of each other operation."""
    systolic = "system=https://kinehub.org/fhir/CodeSystem/measure&code=systolic"
    ids = [entry["resource"]["id"] for entry in http.get("/fhir/ValueSet").json()["entry"]]
    return [
        "/fhir/metadata?mode=terminology",
        *(f"/fhir/{type_}" for type_ in ("CodeSystem", "ValueSet", "ConceptMap", "Measure")),
        *(f"/fhir/ValueSet/{id_}/$expand?includeDesignations=true&offset=0" for id_ in ids),
        f"/fhir/CodeSystem/$lookup?{systolic}",
        "/fhir/CodeSystem/sex/$subsumes?codeA=0&codeB=9",
        f"/fhir/ValueSet/measure/$validate-code?{systolic}&display=pulse",
        f"/fhir/ConceptMap/$translate?{systolic}",
    ]


def _next(bundle: dict[str, Any]) -> str | None:
    return next((link["url"] for link in bundle.get("link", ()) if link.get("relation") == "next"), None)


def fill(hub: Running) -> str:
    """A resident with a file of each format from three parties, one workout told twice, consents given and withdrawn; a directory."""
    hub.add_party("hospital", "市第二医院", "hospital")
    hub.add_party("center", "殷行社区运动健康中心", "fitness-center", "--may-register")
    hub.add_party("wearable", "手环云", "wearable-cloud")
    furnish(hub)
    _directory(hub)
    resident = hub.resident("王秀英", 2)
    for adapter in adapters():
        _send(hub, "center" if adapter.id == "kinehub-json" else "wearable", adapter.id, adapter.sample, resident)
    again = {"kind": "session", "sport": "running", "start": "2026-05-03T07:00:00+08:00", "end": "2026-05-03T07:02:00+08:00", "elapsed_s": 120, "hr_avg": 120}
    visit = {"kind": "check-in", "start": "2026-05-03T06:55:00+08:00", "end": "2026-05-03T07:30:00+08:00", "venue": "二楼"}
    hub.upload("center", {"records": [{"record": again | {"coach": "周敏"}}, {"record": visit}]}, resident)
    for path in sorted(SAMPLES.iterdir()) if SAMPLES.exists() else ():
        _send(hub, "wearable", "auto", path.read_bytes(), resident)
    hub.grant(resident, "hospital")
    withdrawn = hub.grant(resident, "wearable", classes="activity,health-check")
    hub.cli("consent", "withdraw", "--resident", resident, withdrawn)
    return resident


def _send(hub: Running, sender: str, format_: str, content: bytes, resident: str) -> None:
    """What cannot be used is refused with a problem, which is another test's matter."""
    answer = hub.http.post(f"/intake/{format_}", params={"resident": resident}, content=content, headers=hub.bearer(sender, "intake.write"))
    assert answer.status_code < 500, answer.text


def _directory(hub: City) -> None:
    def entry(type_: str, number: str, **more: Any) -> str:
        return hub.add_entry("center", {"resourceType": type_, "identifier": [{"system": STAFF, "value": number}], **more})

    coach = entry("Practitioner", "C-1", name=[{"text": "李明"}], telecom=[{"system": "phone", "value": "19900000001"}])
    place = hub.add_entry("center", {"resourceType": "Location", "identifier": [{"system": SITES, "value": "V-1"}], "name": "泳池"})
    entry("PractitionerRole", "R-1", practitioner={"reference": coach}, location=[{"reference": place}], code=[{"text": "运动指导员"}])
    entry("HealthcareService", "S-1", name="慢病运动课", location=[{"reference": place}])
    entry("DeviceDefinition", "D-1", modelNumber="T60")
