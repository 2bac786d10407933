"""What is refused whatever the data says: scopes that name no patient, conditional writes, tampering with labels and subjects, listening."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from hub.access import accounts
from hub.access.keys import fetch_token
from schemas.errors import KineHubError
from tests.builders import BASE, a_session, an_id_number
from tests.leaks.attacks import no_consent
from tests.leaks.exits import Answer, told
from tests.leaks.town import Case, Stage, classes
from tests.planted import Plants
from tests.web.town import PASSWORD, token


@pytest.fixture(scope="module")
def case(stage: Stage) -> Case:
    return stage.run(no_consent(stage.leaks))


def alike(*answers: httpx.Response) -> bool:
    """Whether the answers tell the same and refuse."""
    lines = told([Answer("", one.status_code, tuple(one.headers.multi_items()), one.content) for one in answers])
    assert all(400 <= one.status_code < 500 for one in answers), [(one.status_code, one.text[:200]) for one in answers]
    return len({str((status, headers)) for status, headers, _ in lines}) == 1


@pytest.mark.parametrize("scope", ["patient/*.rs", "user/*.rs", "patient/Observation.r system/Observation.r", "launch/patient"])
def test_a_client_gets_no_token_for_a_patient_it_does_not_name(stage: Stage, case: Case, scope: str) -> None:
    """A11."""
    leaks = stage.leaks

    async def asked() -> tuple[str, httpx.Response]:
        party = leaks.denied.hospital
        given = await fetch_token(leaks.city.http, f"{BASE}/oauth/token", party.client_id, leaks.city.keys[party.id], scope)
        bearer = {"Authorization": f"Bearer {given.access_token}"}
        return given.scope, await leaks.city.http.get("/fhir/Observation", params={"patient": str(case.hidden)}, headers=bearer)

    try:
        granted, answer = stage.run(asked())
    except KineHubError as refused:
        granted, answer = str(refused.code), None
    assert "patient/" not in granted
    assert "user/" not in granted
    assert answer is None or answer.status_code == 403 or not answer.json().get("entry")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_conditional_write_tells_nothing_of_a_hidden_match(stage: Stage, case: Case, method: str) -> None:
    """A19: the same refusal whether something matches or not."""
    leaks = stage.leaks

    async def tried(resident: str, id_: str) -> httpx.Response:
        bearer = await leaks.city.bearer(leaks.denied.hospital)
        path = "/fhir/Observation" if method == "POST" else f"/fhir/{id_}"
        body = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": f"Patient/{resident}"}}
        headers = bearer | {"If-None-Exist": f"subject=Patient/{resident}", "If-Match": 'W/"1"', "Content-Type": "application/fhir+json"}
        return await leaks.city.http.request(method, path, content=json.dumps(body), headers=headers)

    there, nowhere = stage.run(tried(str(case.hidden), case.ids[0])), stage.run(tried(str(case.absent), f"Observation/{case.absent}-1"))
    assert alike(there, nowhere)


def test_an_uploader_cannot_lower_a_label_nor_write_for_another(stage: Stage, case: Case) -> None:
    """A29: labels that a source sends count for nothing, and a subject is not changed by what is sent again."""
    leaks, plants = stage.leaks, Plants()

    async def tried() -> tuple[httpx.Response, httpx.Response]:
        resident = await leaks.resident()
        only = {"class": classes("attendance")}
        await leaks.agree(resident, leaks.denied, only=only)
        observation: dict[str, Any] = {
            "resourceType": "Observation", "id": "own-1", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "meta": {"security": classes("attendance")}, "subject": {"reference": f"Patient/{resident}"}, "effectiveDateTime": "2026-05-03T08:00:00+08:00",
            "valueQuantity": {"value": 71, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}, "note": [{"text": plants.words()}],
        }  # fmt: skip
        lowered = await leaks.city.upload(leaks.center, observation, resident=resident, format_="fhir-r4")
        assert not await leaks.city.shown(leaks.denied.hospital, resident)
        person = {"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": an_id_number(998, "19570319")}]}
        bundle = {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": person}, {"resource": observation | {"subject": {"reference": "Patient/p"}}}],
        }
        return lowered, await leaks.city.upload(leaks.center, bundle, resident=case.absent, format_="fhir-r4")

    lowered, elsewhere = stage.run(tried())
    assert lowered.status_code == 201, lowered.text
    assert elsewhere.status_code in (403, 422), elsewhere.text


def test_a_resident_cannot_write_a_consent_for_another(stage: Stage, case: Case) -> None:
    """A29: neither by the body's patient nor by the id of somebody else's Consent."""
    leaks = stage.leaks

    async def tried() -> list[httpx.Response]:
        me, other = await leaks.resident(), await leaks.resident()
        (theirs, _) = await leaks.agree(other, leaks.denied)
        async with leaks.city.hub.database.connection() as connection:
            await accounts.add(connection, leaks.city.hub.keyring, login=f"me{leaks.order}", name="沈", role="resident", password=PASSWORD, resident=me)
        async with httpx.AsyncClient(transport=leaks.city.http._transport, base_url=BASE) as browser:
            page = await browser.get("/sign-in")
            await browser.post("/sign-in", data={"csrf": token(page.text), "login": f"me{leaks.order}", "password": PASSWORD, "next": ""})
            csrf = token((await browser.get("/account")).text)
            headers = {"X-CSRF-Token": csrf, "Origin": BASE}
            read = (await browser.get(f"/fhir/Consent/{theirs}")).status_code
            assert read == 404
            body = {
                "resourceType": "Consent", "status": "active", "scope": {"coding": [{"code": "patient-privacy"}]},
                "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}], "policyRule": {"text": "x"}, "provision": {"type": "permit"},
            }  # fmt: skip
            return [
                await browser.post("/fhir/Consent", json=body | {"patient": {"reference": f"Patient/{other}"}}, headers=headers),
                await browser.put(f"/fhir/Consent/{theirs}", json=body | {"id": str(theirs), "patient": {"reference": f"Patient/{me}"}}, headers=headers),
                await browser.put(f"/fhir/Consent/{theirs}", json=body | {"id": str(theirs), "patient": {"reference": f"Patient/{other}"}}, headers=headers),
            ]

    for answer in stage.run(tried()):
        assert 400 <= answer.status_code < 500, answer.text


def test_a_receipt_hides_what_the_resident_denies_its_sender(stage: Stage) -> None:
    """An uploader reads back its own rows until the resident says no."""
    leaks, plants = stage.leaks, Plants()

    async def work() -> tuple[bytes, bytes]:
        resident = await leaks.resident()
        await leaks.send(leaks.gym, [a_session(note=plants.words(), title=plants.words())], resident)
        (receipt,) = leaks.receipts[resident]
        headers = await leaks.city.bearer(leaks.gym, "intake.write")
        before = (await leaks.city.http.get(f"/intake/receipts/{receipt}", headers=headers)).json()
        actor = [{"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": leaks.gym.reference}}]
        await leaks.consent(resident, {"type": "deny", "actor": actor})
        after = (await leaks.city.http.get(f"/intake/receipts/{receipt}", headers=headers)).json()
        return before["records"], after["records"]

    before, after = stage.run(work())
    assert before
    assert not after
