"""A resident's own Consent over FHIR, in their own sign-in: given, changed, refused when it is not theirs or not valid."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx

from hub.access import accounts
from tests.builders import BASE, City, a_city, a_session

PASSWORD = "a long enough phrase"


async def signed_in(city: City, resident: Any) -> tuple[httpx.AsyncClient, str]:
    """A browser's client of the resident, and its CSRF token."""
    async with city.hub.database.connection() as connection:
        await accounts.add(connection, city.hub.keyring, login="wang", name="王秀英", role="resident", resident=resident, password=PASSWORD)
    browser = await browsing(city, "wang")
    return browser, token_in((await browser.get("/resident")).text)


async def browsing(city: City, login: str) -> httpx.AsyncClient:
    """A browser's client that has signed in."""
    browser = httpx.AsyncClient(transport=city.http._transport, base_url=BASE)
    form = {"login": login, "password": PASSWORD, "next": "", "csrf": token_in((await browser.get("/sign-in")).text)}
    answer = await browser.post("/sign-in", data=form, headers={"Origin": BASE})
    assert answer.status_code == 303, answer.text[:300]
    return browser


def token_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


def a_consent(resident: Any, receiver: str) -> dict[str, Any]:
    return {
        "resourceType": "Consent", "status": "active", "patient": {"reference": f"Patient/{resident}"},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
        "provision": {
            "type": "permit", "period": {"start": "2026-01-01", "end": "2099-12-31"},
            "actor": [{
                "role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "PRCP"}]},
                "reference": {"reference": receiver},
            }],
            "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}],
        },
    }  # fmt: skip


def test_a_resident_gives_and_stops_a_consent_over_fhir(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital = await city.party("Center", "fitness-center"), await city.party("Hospital", "hospital")
            resident = await city.resident()
            await city.upload(center, a_session(), resident=resident)
            browser, csrf = await signed_in(city, resident)
            headers = {"X-CSRF-Token": csrf, "Origin": BASE}
            consent = a_consent(resident, hospital.reference)
            assert (await browser.post("/fhir/Consent", json=consent)).status_code == 403
            made = await browser.post("/fhir/Consent", json=consent, headers=headers)
            assert made.status_code == 201, made.text
            assert await city.shown(hospital, resident)
            stopped = made.json() | {"status": "inactive"}
            changed = await browser.put(f"/fhir/Consent/{made.json()['id']}", json=stopped, headers=headers)
            assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
            assert await city.shown(hospital, resident) == set()
            own = (await browser.get("/fhir/Consent", params={"patient": str(resident)})).json()
            assert [entry["resource"]["status"] for entry in own["entry"]] == ["inactive"]
            await browser.aclose()

    asyncio.run(work())


def test_a_consent_for_another_person_by_a_party_or_against_fhir_is_refused(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital = await city.party("Hospital", "hospital")
            one, other = await city.resident("甲", 2), await city.resident("乙", 3)
            browser, csrf = await signed_in(city, one)
            headers = {"X-CSRF-Token": csrf, "Origin": BASE}
            assert (await browser.post("/fhir/Consent", json=a_consent(other, hospital.reference), headers=headers)).status_code == 400
            assert (await browser.get("/fhir/Observation", params={"patient": str(other)})).json()["total"] == 0
            broken = a_consent(one, hospital.reference) | {"scope": "everything"}
            assert (await browser.post("/fhir/Consent", json=broken, headers=headers)).status_code == 422
            party = await city.http.post("/fhir/Consent", json=a_consent(one, hospital.reference), headers=await city.bearer(hospital))
            assert party.status_code == 403
            async with city.hub.database.connection() as connection:
                assert await connection.fetchval("SELECT count(*) FROM records WHERE kind = 21") == 0
            await browser.aclose()

    asyncio.run(work())
