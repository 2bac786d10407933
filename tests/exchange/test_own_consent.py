"""A resident's own Consent over FHIR, in their own sign-in: given, changed, refused when it is not theirs or not valid."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import orjson

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


def wrongs(consent: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Element to a Consent that is wrong there, by R4's required bindings and cardinalities."""
    provision = consent["provision"]
    inner = provision | {"provision": [{"type": "deny"}, {"type": "maybe"}]}
    named = {"reference": {"reference": "Observation/1"}}
    return {
        "Consent.status": consent | {"status": "activ"},
        "Consent.scope": {key: value for key, value in consent.items() if key != "scope"},
        "Consent.category": consent | {"category": []},
        "Consent.provision.type": consent | {"provision": provision | {"type": "perhaps"}},
        "Consent.provision.provision[1].type": consent | {"provision": inner},
        "Consent.provision.data[0].meaning": consent | {"provision": provision | {"data": [named | {"meaning": "all"}]}},
        "Consent.provision.actor[0].role": consent | {"provision": provision | {"actor": [{"reference": {"reference": "Organization/1"}}]}},
        "Consent.verification[0].verified": consent | {"verification": [{"verificationDate": "2026-01-01"}]},
        "Consent.identifier[0].use": consent | {"identifier": [{"value": "1", "use": "best"}]},
        "Consent.contained[0].gender": consent | {"contained": [{"resourceType": "Patient", "id": "p", "gender": "f"}]},
    }


def broken_invariants(consent: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Element to a Consent that breaks one of R4's invariants there."""
    provision = consent["provision"]
    ended = {"start": "2026-05-02", "end": "2026-05-01"}
    url, both = "https://example.org/note", {"valueString": "x", "extension": [{"url": "https://example.org/inner", "valueString": "y"}]}
    moments = {"start": "2026-05-02T08:00:00+08:00", "end": "2026-05-01T23:59:59Z"}
    performer = [{"reference": "Patient/1"}, {"reference": "#nobody"}]
    scoped = {key: value for key, value in consent.items() if key != "patient"}
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope"}
    return {
        "Consent": {key: value for key, value in consent.items() if key != "policyRule"},
        "Consent.provision.period": consent | {"provision": provision | {"period": ended}},
        "Consent.provision.period unclear": consent | {"provision": provision | {"period": {"start": "2026-05-10", "end": "2026-05"}}},
        "Consent.provision.provision[0].dataPeriod": consent | {"provision": provision | {"provision": [{"type": "deny", "dataPeriod": moments}]}},
        "Consent.performer[1].reference": consent | {"performer": performer},
        "Consent.organization[0].reference": consent | {"organization": [{"reference": "#"}]},
        "Consent.extension[0]": consent | {"extension": [{"url": url} | both]},
        "Consent.provision.modifierExtension[0]": consent | {"provision": provision | {"modifierExtension": [{"url": url}]}},
        "Consent.dateTime.extension[0]": consent | {"dateTime": "2026-01-01", "_dateTime": {"extension": [{"url": url}]}},
    } | {f"Consent {code}": scoped | {"scope": {"coding": [scope | {"code": code}]}} for code in ("patient-privacy", "research", "adr", "treatment")}


def kept_invariants(consent: dict[str, Any]) -> list[dict[str, Any]]:
    """Consents at the edge of the same invariants."""
    provision, url = consent["provision"], "https://example.org/note"
    organization = {"resourceType": "Organization", "id": "here", "name": "H", "partOf": {"reference": "#"}}
    policy = {key: value for key, value in consent.items() if key != "policyRule"} | {"policy": [{"uri": "https://example.org/policy"}]}
    return [
        policy,
        consent | {"provision": provision | {"period": {"start": "2026-05-01", "end": "2026-05-01"}}},
        consent | {"provision": provision | {"period": {"start": "0001-01-01", "end": "9999-12-31T23:59:59-14:00"}}},
        consent | {"contained": [organization], "organization": [{"reference": "#here"}]},
        consent | {"extension": [{"url": url, "valueString": "x"}, {"url": url, "extension": [{"url": "inner", "valueBoolean": False}]}]},
    ]


def without_value(consent: dict[str, Any], element: str) -> dict[str, Any]:
    """The Consent with an extension where the element's value was."""
    extension = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
    return {key: value for key, value in consent.items() if key != element} | {f"_{element}": extension}


def nested(consent: dict[str, Any], levels: int) -> bytes:
    """The Consent with provisions inside provisions, as JSON."""
    opened, closed = b'{"type":"permit","provision":[' * levels, b"]}" * levels
    return orjson.dumps(consent | {"provision": {"type": "deny"}}).replace(b'{"type":"deny"}', opened + b'{"type":"deny"}' + closed)


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


def test_a_consent_with_a_code_that_r4_does_not_know_is_refused_at_its_element(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident = await city.party("Hospital", "hospital"), await city.resident()
            browser, csrf = await signed_in(city, resident)
            headers = {"X-CSRF-Token": csrf, "Origin": BASE}
            consent = a_consent(resident, hospital.reference)
            kept = (await browser.post("/fhir/Consent", json=consent, headers=headers)).json()
            for element, broken in [*wrongs(consent).items(), ("Consent.status", without_value(consent, "status"))]:
                for answer in (
                    await browser.post("/fhir/Consent", json=broken, headers=headers),
                    await browser.put(f"/fhir/Consent/{kept['id']}", json=broken, headers=headers),
                ):
                    outcome = answer.json()
                    assert (answer.status_code, outcome["resourceType"], outcome["issue"][0]["expression"]) == (422, "OperationOutcome", [element])
            own = (await browser.get("/fhir/Consent", params={"patient": str(resident)})).json()
            assert [entry["resource"]["meta"]["versionId"] for entry in own["entry"]] == ["1"]
            await browser.aclose()

    asyncio.run(work())


def test_a_consent_that_breaks_an_invariant_is_refused_at_its_element(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident = await city.party("Hospital", "hospital"), await city.resident()
            browser, csrf = await signed_in(city, resident)
            headers = {"X-CSRF-Token": csrf, "Origin": BASE}
            consent = a_consent(resident, hospital.reference)
            for place, broken in broken_invariants(consent).items():
                answer = await browser.post("/fhir/Consent", json=broken, headers=headers)
                assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (422, place.split()[:1])
            for valid in kept_invariants(consent):
                answer = await browser.post("/fhir/Consent", json=valid, headers=headers)
                assert answer.status_code == 201, answer.text
            await browser.aclose()

    asyncio.run(work())


def test_a_body_that_is_huge_deep_or_no_consent_is_refused_before_it_is_read(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident = await city.party("Hospital", "hospital"), await city.resident()
            browser, csrf = await signed_in(city, resident)
            headers = {"X-CSRF-Token": csrf, "Origin": BASE}
            consent = a_consent(resident, hospital.reference)
            twice = orjson.dumps(consent).replace(b'"status":"active"', b'"status":"active","status":"inactive"')
            for body, status in (
                (orjson.dumps(consent | {"language": "x" * 2**20}), 413), (nested(consent, 40), 413), (nested(consent, 50_000 // 15), 413),
                (b"[" * 100_000, 413), (twice, 400), (b"{", 400), (b"", 400), (b"[]", 400), (b'"x"', 400), (b'{"resourceType":"Patient"}', 400),
                (nested(consent, 10), 201),
            ):  # fmt: skip
                answer = await browser.post("/fhir/Consent", content=body, headers=headers | {"Content-Type": "application/fhir+json"})
                assert (answer.status_code, status == 201 or answer.json()["resourceType"]) == (status, status == 201 or "OperationOutcome")
            asked = await city.http.post("/fhir/Observation/_search", content=b"code=" + b"1," * 2**16, headers=await city.bearer(hospital))
            assert (asked.status_code, asked.json()["resourceType"]) == (413, "OperationOutcome")
            many = await city.http.post("/fhir/Observation/_search", content=b"code=1&" * 300, headers=await city.bearer(hospital))
            assert many.status_code == 400
            await browser.aclose()

    asyncio.run(work())


def test_a_resident_asks_over_fhir_what_a_receiver_may_see(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident = await city.party("Hospital", "hospital"), await city.resident()
            browser, csrf = await signed_in(city, resident)
            asked, headers = {"recipient": hospital.reference, "purpose": "TREAT"}, {"X-CSRF-Token": csrf, "Origin": BASE}

            async def decisions() -> dict[str, str]:
                answer = await browser.get("/fhir/Consent/$explain", params=asked, headers={"Accept-Language": "en"})
                assert answer.status_code == 200, answer.text
                classes = [parameter["part"] for parameter in answer.json()["parameter"] if parameter["name"] == "class"]
                parts = [{part["name"]: part.get("valueCode") or part.get("valueString") for part in found} for found in classes]
                assert all("see" in part["text"] for part in parts)
                return {part["code"]: part["decision"] for part in parts}

            assert set((await decisions()).values()) == {"deny"}
            made = await browser.post("/fhir/Consent", json=a_consent(resident, hospital.reference), headers=headers)
            assert (await decisions())["activity"] == "permit"
            ended = await browser.put(f"/fhir/Consent/{made.json()['id']}", json=made.json() | {"status": "inactive"}, headers=headers)
            assert ended.status_code == 200
            assert set((await decisions()).values()) == {"deny"}
            for wrong in ({"purpose": "TREAT"}, asked | {"recipient": "Organization/x"}, asked | {"at": "2026-01-01"}):
                assert (await browser.get("/fhir/Consent/$explain", params=wrong)).status_code == 400
            token = await city.bearer(hospital)
            assert (await city.http.get("/fhir/Consent/$explain", params=asked, headers=token)).status_code in (401, 403)
            definition = (await city.http.get("/fhir/OperationDefinition/consent-explain")).json()
            assert {parameter["name"] for parameter in definition["parameter"] if parameter["use"] == "in"} == set(asked)
            await browser.aclose()

    asyncio.run(work())
