"""The audit over FHIR: a resident sees all that was done about them, a party its own accesses and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from hub.access import accounts
from tests.builders import BASE, City, a_city
from tests.hub.test_main_job import filled

BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
PASSWORD = "a long enough password"


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def lived(city: City) -> tuple[Any, Any, UUID, list[str]]:
    """A resident whom a hospital searched before and after a consent, and read once; the ids of what it saw."""
    center, hospital, resident = await filled(city)
    await city.shown(hospital, resident)
    await city.grant(resident, hospital, "activity")
    seen = sorted(await city.shown(hospital, resident))
    await city.get(hospital, f"Observation/{seen[0]}")
    await city.get(hospital, f"Observation/{uuid4()}-1")
    return center, hospital, resident, seen


async def signed_in(city: City, resident: UUID) -> None:
    async with city.hub.database.connection() as connection:
        await accounts.add(connection, city.hub.keyring, login="wang", name="王秀英", role="resident", password=PASSWORD, resident=resident)
    page = (await city.http.get("/sign-in")).text
    token = page.partition('name="csrf" value="')[2].partition('"')[0]
    form = {"login": "wang", "password": PASSWORD, "next": "", "csrf": token}
    answer = await city.http.post("/sign-in", data=form, headers={"Origin": BASE})
    assert answer.status_code == 303, answer.text


def events(page: Any) -> list[dict[str, Any]]:
    assert page.status_code == 200, page.text
    return [entry["resource"] for entry in page.json().get("entry", [])]


def patients(event: dict[str, Any]) -> list[str]:
    return [one["what"]["reference"] for one in event.get("entity", []) if one["type"]["code"] == "1"]


def test_a_party_sees_its_own_accesses_and_no_patient_of_a_refusal(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital, resident, seen = await lived(city)
            found = events(await city.get(hospital, "AuditEvent"))
            told = [(one["subtype"][0]["code"], one["outcome"], patients(one)) for one in found]
            me = f"Patient/{resident}"
            assert told == [("read", "4", []), ("read", "0", [me]), ("search-type", "0", [me]), ("search-type", "4", [])]
            profiles = [one["meta"].get("profile") for one in found]
            assert profiles == [None, [f"{BALP}PatientRead"], [f"{BALP}PatientQuery"], None]
            assert not any("policy" in agent for one in found for agent in one["agent"])
            named = events(await city.get(hospital, "AuditEvent", patient=str(resident), type="rest"))
            assert [one["subtype"][0]["code"] for one in named] == ["read", "search-type"]
            assert events(await city.get(hospital, "AuditEvent", entity=me, date="gt2020-01-01", subtype="read"))[0]["id"] == found[1]["id"]
            assert [events(await city.get(hospital, "AuditEvent", date=far)) for far in ("0001", "lt0001", "sa9998", "eb0002")] == [[]] * 4
            assert seen[0] not in str(found)
            theirs = events(await city.get(center, "AuditEvent"))
            assert theirs == []
            assert (await city.get(center, f"AuditEvent/{found[1]['id']}")).status_code == 404
            own = await city.get(hospital, f"AuditEvent/{found[1]['id']}")
            assert own.json() == found[1]

    run(work())


def test_a_refusal_tells_nothing_of_whether_the_resident_exists(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident = await filled(city)
            for asked in (resident, uuid4()):
                await city.get(hospital, "Observation", patient=str(asked))
            found = events(await city.get(hospital, "AuditEvent"))
            assert len(found) == 2
            for one in found:
                for name in ("id", "recorded", "meta"):
                    del one[name]
            assert found[0] == found[1]
            assert events(await city.get(hospital, "AuditEvent", patient=str(resident))) == []

    run(work())


def test_a_resident_sees_everyone_and_under_which_consent_and_nobody_elses(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident, _ = await lived(city)
            neighbour = await city.resident("李建国", 3)
            await city.get(hospital, "Observation", patient=str(neighbour))
            of_neighbour = events(await city.get(hospital, "AuditEvent"))[0]["id"]
            await signed_in(city, resident)
            found = events(await city.http.get("/fhir/AuditEvent", params={"_count": 100}))
            assert {patient for one in found for patient in patients(one)} == {f"Patient/{resident}"}
            by_hospital = [one for one in found if any(agent["who"].get("reference") == f"Organization/{hospital.id}" for agent in one["agent"])]
            assert any("Consent/" in policy for one in by_hospital for agent in one["agent"] for policy in agent.get("policy", []))
            assert {one["outcome"] for one in by_hospital} == {"0", "4"}
            narrowed = events(await city.http.get("/fhir/AuditEvent", params={"agent": f"Organization/{hospital.id}", "action": "R", "outcome": "0"}))
            assert [one["subtype"][0]["code"] for one in narrowed] == ["read"]
            assert (await city.http.get(f"/fhir/AuditEvent/{of_neighbour}")).status_code == 404
            assert events(await city.http.get("/fhir/AuditEvent", params={"patient": str(neighbour)})) == []

    run(work())


def test_what_claims_a_profile_of_balp_keeps_its_rules(hub_url: str, tmp_path: Path) -> None:
    """The rules of input/fsh/PatientRead.fsh and PatientQuery.fsh of ITI.BasicAudit 1.1.4."""

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident, _ = await lived(city)
            found = events(await city.get(hospital, "AuditEvent"))
            event = await city.get(hospital, f"AuditEvent/{found[0]['id']}")
            assert event.status_code == 200
            found = events(await city.get(hospital, "AuditEvent"))
            await signed_in(city, resident)
            found += events(await city.http.get("/fhir/AuditEvent"))
        claims = [(one, one["meta"]["profile"][0].removeprefix(BALP)) for one in found if "profile" in one["meta"]]
        assert {claim for _, claim in claims} == {"PatientRead", "PatientQuery", "Read", "Query"}
        for one, claim in claims:
            keeps_balp(one, claim)

    run(work())


def keeps_balp(event: dict[str, Any], claim: str) -> None:
    is_read = claim.endswith("Read")
    assert (event["type"]["code"], event["action"], event["outcome"]) == ("rest", "R" if is_read else "E", "0")
    assert [one["code"] for one in event["subtype"]] == ["read" if is_read else "search-type"]
    agents = {one["type"]["coding"][0]["code"]: one for one in event["agent"]}
    assert len(agents) == len(event["agent"])
    assert {"110152", "110153"} <= agents.keys() <= {"110152", "110153", "IRCP"}
    assert all("who" in one and "media" not in one for one in agents.values())
    assert all(("network" in one) == (kind != "IRCP") for kind, one in agents.items())
    hub = agents["110153" if is_read else "110152"]
    assert hub["who"] == event["source"]["observer"]
    assert [one["requestor"] for one in event["agent"]].count(True) == 1
    entities = [(one["type"]["code"], one["role"]["code"]) for one in event["entity"]]
    assert entities == [("1", "1")] * claim.startswith("Patient") + [("2", "4" if is_read else "24")]
    subject = event["entity"][-1]
    assert "what" in subject if is_read else "_query" in subject and not {"what", "lifecycle", "detail", "name"} & subject.keys()


def test_pages_give_every_entry_once_though_new_ones_come(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident = await filled(city)
            for _ in range(7):
                await city.get(hospital, "Observation", patient=str(resident))
            wanted = [one["id"] for one in events(await city.get(hospital, "AuditEvent", _count=100))]
            page, ids = await city.get(hospital, "AuditEvent", _count=3, type="rest"), []
            while True:
                ids += [one["id"] for one in events(page)]
                following = [link["url"] for link in page.json()["link"] if link["relation"] == "next"]
                if not following:
                    break
                page = await city.http.get(following[0], headers=await city.bearer(hospital))
            assert ids[-7:] == wanted
            assert len(ids) == len(set(ids)) == 8  # the first search over the audit is in it too
            counted = (await city.get(hospital, "AuditEvent", _summary="count", subtype="search-type")).json()["total"]
            assert counted >= 8
            assert (await city.get(hospital, "AuditEvent", _sort="date")).status_code == 400

    run(work())


def test_an_id_tells_neither_how_many_entries_there_are_nor_whose_come_between(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            ring = city.hub.keyring
            ids = [ring.entry_id(3, seq) for seq in range(1, 200)]
            assert len(set(ids)) == 199
            assert [ring.entry_number(id_) for id_ in ids] == [(3, seq) for seq in range(1, 200)]
            assert ring.entry_number("00" * 16) is None
            assert ring.entry_number("no id") is None

    run(work())
