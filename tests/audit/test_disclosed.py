"""An audit entry says which fields left the hub: of what was answered, not of what was asked, and to the resident alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hub.audit import disclosed
from hub.store import grants, residents
from hub.web import fields
from hub.web.locales import LANGUAGE
from mappings.face import Subject, examples, face
from schemas.records import VenueOccupancy
from tests.builders import City, a_city, a_pressure
from tests.exchange.test_audit_events import events, signed_in

ABOUT = Subject(
    record_id="0190a000-0000-7000-8000-000000000001", patient="Patient/0190a000-0000-7000-8000-000000000002", party="Organization/x", party_name="X",
    adapter="kinehub-json", adapter_version="1", original_hash="0" * 64, recorded="2026-05-01T00:00:00Z", zone="Asia/Shanghai",
)  # fmt: skip
DENY = {"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}]}


def told(event: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["type"], one["valueString"]) for entity in event.get("entity", []) for one in entity.get("detail", []) if one["type"] != "entry"]


def named(event: dict[str, Any]) -> set[str]:
    return {text for type_, text in told(event) if type_ == "field"}


async def measured(city: City) -> tuple[Any, UUID, str, str]:
    """A resident whose pressure and pulse a hospital may see; the ids of both."""
    center, hospital = await city.party("C", "fitness-center"), await city.party("H", "hospital")
    resident = await city.resident()
    pulse = {"kind": "vital", "measure": "heart-rate", "start": "2026-05-03T09:00:00+08:00", "quantity": {"measure": "heart-rate", "value": 71, "unit": "/min"}}
    records = [a_pressure()["record"], pulse]
    for record in records:
        assert (await city.upload(center, {"record": record}, resident=resident)).status_code == 201
    await city.grant(resident, hospital, "health-check")
    pressure, beats = [await city.shown(hospital, resident, code=code) for code in ("85354-9", "8867-4")]
    return hospital, resident, pressure.pop(), beats.pop()


def test_an_entry_names_the_fields_that_were_answered_and_no_others(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident, pressure, pulse = await measured(city)
            await signed_in(city, resident)

            async def after(path: str, **parameters: Any) -> dict[str, Any]:
                await city.get(hospital, path, **parameters)
                return events(await city.http.get("/fhir/AuditEvent", params={"_count": 1, "agent": f"Organization/{hospital.id}"}))[0]

            both = {"blood-pressure", "systolic", "diastolic"}
            assert named(await after(f"Observation/{pressure}")) == both
            assert named(await after(f"Observation/{pulse}")) == {"heart-rate"}
            assert named(await after("Observation", patient=str(resident))) == {*both, "heart-rate"}
            assert named(await after("Observation", patient=str(resident), code="8867-4")) == {"heart-rate"}
            bare = await after(f"Observation/{pulse}", _elements="status")
            assert (told(bare), bare["outcome"]) == ([("shown", "Observation 1")], "0")
            assert named(await after("Observation", patient=str(resident), _elements="id,status")) == set()
            counted = await after("Observation", patient=str(resident), _summary="count")
            assert (told(counted), counted["outcome"]) == ([], "0")
            assert named(await after(f"Observation/{pressure}/_history/1")) == both
            missing = await after(f"Observation/{pressure}/_history/7")
            assert (told(missing), missing["outcome"]) == ([], "4")
            everything = await after(f"Patient/{resident}/$everything", _type="Observation", _count=1)
            assert named(everything) in (both, {"heart-rate"})
            assert ("shown", "Observation 1") in told(everything)

    asyncio.run(work())


def test_a_part_that_was_removed_is_not_among_them_and_only_the_resident_reads_which_were(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident, pressure, _ = await measured(city)
            consent = (await grants.listing(city.hub, resident))[0]
            body = consent | {"meta": {"profile": consent["meta"]["profile"]}, "provision": consent["provision"] | {"provision": [DENY]}}
            await residents.save_consent(city.hub, resident, lambda _: body, actor="test", consent_id=UUID(consent["id"]), action="consent-change")
            await city.get(hospital, f"Observation/{pressure}")
            await city.get(hospital, f"Observation/{pressure}", _summary="data")
            theirs = events(await city.get(hospital, "AuditEvent", patient=str(resident), action="R"))
            assert len(theirs) == 2
            assert not any("detail" in entity for event in theirs for entity in event["entity"]), "neither fields nor places in the chain"
            await signed_in(city, resident)
            for event in events(await city.http.get("/fhir/AuditEvent", params={"_count": 2, "agent": f"Organization/{hospital.id}", "action": "R"})):
                assert told(event) == [("shown", "Observation 1"), ("field", "blood-pressure"), ("field", "diastolic"), ("partly-withheld", "1")]

    asyncio.run(work())


def test_no_field_stands_in_the_database_and_entries_of_one_resource_are_of_one_length(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, _, pressure, pulse = await measured(city)
            for one in (pressure, pulse):
                await city.get(hospital, f"Observation/{one}")
            async with city.hub.database.connection() as connection:
                rows = await connection.fetch("SELECT a::text AS line, length(detail) AS size FROM audit a WHERE action = 'read Observation'")
            assert len({row["size"] for row in rows}) == 1
            assert not any(name in row["line"] for row in rows for name in ("heart-rate", "systolic", "Observation 1", b"systolic".hex()))

    asyncio.run(work())


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_field_that_can_be_disclosed_has_its_words(language: str) -> None:
    of_residents = [example for example in examples() if not isinstance(example.record, VenueOccupancy)]
    made = [resource for example in of_residents for resource in face(example.record, ABOUT)]
    patient = b'{"resourceType":"Patient","name":1,"gender":1,"birthDate":1,"telecom":1,"address":1,"active":1}'
    detail = disclosed.resources([("Patient", patient), *((one.type, one.json) for one in made)])
    names = [*detail["fields"], *disclosed.records(example.record for example in of_residents)["fields"]]
    token = LANGUAGE.set(language)
    try:
        bare = [name for name in names if fields.told([name])[0] in (name, name.partition(".")[2])]
        assert bare == [name for name in bare if language == "en"]
        assert not any(text.isascii() for name in names for text in fields.told([name]) if language == "zh-CN" and name not in ("met", "bmi", "rpe"))
        said = fields.told(["heart-rate", "systolic", "diastolic", "blood-pressure"])
    finally:
        LANGUAGE.reset(token)
    english = ["Blood pressure (Systolic blood pressure, Diastolic blood pressure)", "Heart rate"]
    assert said == (["血压（收缩压、舒张压）", "心率"] if language == "zh-CN" else english)
