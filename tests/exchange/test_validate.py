"""`$validate` over HTTP: findings by R4 and profiles, nothing kept, nothing repeated, and nothing said of what may not be read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hub.store.parties import Party
from tests.builders import City, a_city, a_session
from tests.exchange.test_own_consent import signed_in

HEART_RATE = "http://hl7.org/fhir/StructureDefinition/heartrate"
CATEGORY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}
SECRET = "王秀英139"


def a_pulse(**more: Any) -> dict[str, Any]:
    """A heart rate that is valid by R4 and by R4's profile; `None` leaves an element out."""
    body = {
        "resourceType": "Observation", "meta": {"profile": [HEART_RATE]}, "status": "final", "category": [CATEGORY],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2024-05-01T08:00:00+08:00",
        "valueQuantity": {"value": 72, "unit": "次/分", "system": "http://unitsofmeasure.org", "code": "/min"},
    }  # fmt: skip
    return {key: value for key, value in (body | more).items() if value is not None}


class Desk:
    """A hub with a hospital that may ask and a centre that has uploaded."""

    def __init__(self, city: City, hospital: Party, center: Party) -> None:
        self.city, self.hospital, self.center = city, hospital, center

    async def ask(self, path: str, body: Any, status: int = 200, **parameters: Any) -> list[dict[str, Any]]:
        """The issues of the answer."""
        sent = {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        answer = await self.city.http.post(f"/fhir/{path}", params=parameters, headers=await self.city.bearer(self.hospital), **sent)
        assert answer.status_code == status, answer.text
        assert answer.json()["resourceType"] == "OperationOutcome"
        return list(answer.json()["issue"])

    async def errors(self, path: str, body: Any, **parameters: Any) -> list[str]:
        """Paths of the errors."""
        return [one.get("expression", ["?"])[0] for one in await self.ask(path, body, **parameters) if one["severity"] == "error"]


AtDesk = Callable[[Callable[[Desk], Awaitable[None]]], None]


@pytest.fixture
def at_desk(hub_url: str, tmp_path: Path) -> AtDesk:
    def run(work: Callable[[Desk], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with a_city(hub_url, tmp_path) as city:
                await work(Desk(city, await city.party("Hospital", "hospital"), await city.party("Center", "fitness-center")))

        asyncio.run(inside())

    return run


def test_a_valid_resource_has_no_error_and_a_broken_one_names_its_elements(at_desk: AtDesk) -> None:
    async def work(desk: Desk) -> None:
        assert await desk.errors("Observation/$validate", a_pulse()) == []
        assert [one["severity"] for one in await desk.ask("Observation/$validate", a_pulse())] == ["warning"]
        broken = a_pulse(status=None, effectiveDateTime="2024-02-30", subject={"reference": "Organization/1"}, note=[])
        assert set(await desk.errors("Observation/$validate", broken)) == {
            "Observation.status", "Observation.effective.ofType(dateTime)", "Observation.subject.reference", "Observation.note",
        }  # fmt: skip
        (issue,) = await desk.ask("Observation/$validate", a_pulse(status="bogus"))
        assert (issue["code"], issue["expression"]) == ("code-invalid", ["Observation.status"])
        assert await desk.errors("Goal/$validate", {"resourceType": "Goal", "lifecycleStatus": "active"}) == ["Goal.description", "Goal.subject"]

    at_desk(work)


def test_a_resource_without_any_finding_says_so(at_desk: AtDesk) -> None:
    async def work(desk: Desk) -> None:
        (issue,) = await desk.ask("Basic/$validate", {
            "resourceType": "Basic", "code": {"text": "x"},
            "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
        })  # fmt: skip
        assert (issue["severity"], issue["code"]) == ("information", "informational")

    at_desk(work)


def test_profiles_are_judged_when_they_are_claimed_and_when_they_are_asked_for(at_desk: AtDesk) -> None:
    async def work(desk: Desk) -> None:
        plain = a_pulse(meta=None, effectiveDateTime=None)
        assert await desk.errors("Observation/$validate", plain) == []
        assert await desk.errors("Observation/$validate", a_pulse(effectiveDateTime=None)) == ["Observation.effective"]
        assert await desk.errors("Observation/$validate", plain, profile=HEART_RATE) == ["Observation.effective"]
        wrapped = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": plain}, {"name": "profile", "valueUri": HEART_RATE}]}
        assert await desk.errors("Observation/$validate", wrapped) == ["Observation.effective"]
        assert len(await desk.errors("Observation/$validate", plain, profile="https://example.org/nowhere")) == 1
        unit = {"value": 72, "unit": "bpm", "system": "http://unitsofmeasure.org", "code": "kg"}
        assert await desk.errors("Observation/$validate", a_pulse(valueQuantity=unit)) == ["Observation.value.ofType(Quantity).code"]

    at_desk(work)


def a_response(*items: dict[str, Any], url: str = "https://kinehub.org/fhir/Questionnaire/par-q-plus") -> dict[str, Any]:
    return {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": url, "item": list(items)}


def test_a_response_is_judged_by_the_questionnaire_of_ours_that_it_names(at_desk: AtDesk) -> None:
    yes, no = [{"valueBoolean": True}], [{"valueBoolean": False}]
    cases: list[tuple[list[dict[str, Any]], list[str]]] = [
        ([{"linkId": "1", "answer": yes}, {"linkId": "2"}, {"linkId": "7", "answer": no}], []),
        ([{"linkId": "8"}], ["item[0].linkId"]),
        ([{"linkId": "2"}, {"linkId": "1"}, {"linkId": "2"}], ["item[1]", "item[2]"]),
        ([{"linkId": "1", "text": "胸痛", "answer": yes}], ["item[0].text"]),
        ([{"linkId": "1", "answer": [*yes, *no]}], ["item[0].answer"]),
        ([{"linkId": "1", "answer": [{"valueInteger": 1}]}], ["item[0].answer[0].value"]),
        ([{"linkId": "1", "item": [{"linkId": "2"}]}, {"linkId": "2", "answer": [{"item": [{"linkId": "3"}]}]}], ["item[0].item", "item[1].answer[0].item"]),
    ]

    async def work(desk: Desk) -> None:
        for items, wrong in cases:
            assert await desk.errors("QuestionnaireResponse/$validate", a_response(*items)) == [f"QuestionnaireResponse.{path}" for path in wrong]
        foreign = a_response({"linkId": "8"}, url="https://example.org/Questionnaire/par-q-plus")
        assert await desk.errors("QuestionnaireResponse/$validate", foreign) == []

    at_desk(work)


def test_a_stored_resource_is_validated_only_for_who_may_read_it(at_desk: AtDesk) -> None:
    async def work(desk: Desk) -> None:
        resident = await desk.city.resident()
        await desk.city.upload(desk.center, a_session(), resident=resident)
        consent = await desk.city.grant(resident, desk.hospital)
        id_ = min(await desk.city.shown(desk.hospital, resident)).rpartition("/")[2]
        path = f"Observation/{id_}/$validate"
        assert await desk.errors(path, None) == []
        assert await desk.errors(path, a_pulse(id=id_)) == []
        assert await desk.errors(path, a_pulse(id="another")) == ["Observation.id"]
        await desk.city.withdraw(resident, consent)
        hidden = await desk.ask(path, a_pulse(id=id_), 404)
        assert hidden == await desk.ask(f"Observation/{uuid4()}-1/$validate", a_pulse(), 404)

    at_desk(work)


def test_a_mode_says_what_the_hub_would_take(at_desk: AtDesk) -> None:
    async def work(desk: Desk) -> None:
        codes = [one["code"] for one in await desk.ask("Observation/$validate", a_pulse(), mode="create")]
        assert "not-supported" in codes
        assert "not-supported" in [one["code"] for one in await desk.ask("Observation/$validate", None, mode="delete")]
        assert await desk.errors("Observation/$validate", a_pulse(), mode="profile", profile=HEART_RATE) == []
        for parameters in ({"mode": "perhaps"}, {"mode": "profile"}, {"foo": "1"}, {"mode": ["create", "update"]}):
            await desk.ask("Observation/$validate", a_pulse(), 400, **parameters)

    at_desk(work)


def test_what_is_no_body_no_type_or_no_caller_is_refused(at_desk: AtDesk) -> None:
    async def work(desk: Desk) -> None:
        for body, status in ((b"{", 400), (b"", 400), (b"[]", 400), (b'{"a":1,"a":2}', 400), (b"[" * 1000, 413), (b'"' + b"x" * 2**19 + b'"', 413)):
            await desk.ask("Observation/$validate", body, status)
        await desk.ask("Foo/$validate", a_pulse(), 404)
        assert await desk.errors("Patient/$validate", a_pulse()) == ["resourceType"]
        assert (await desk.city.http.post("/fhir/Observation/$validate", json=a_pulse())).status_code == 401

    at_desk(work)


def test_a_resident_validates_in_their_own_sign_in(at_desk: AtDesk) -> None:
    async def work(desk: Desk) -> None:
        browser, _ = await signed_in(desk.city, await desk.city.resident())
        answer = await browser.post("/fhir/Observation/$validate", json=a_pulse(status="bogus"))
        assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (200, ["Observation.status"])
        await browser.aclose()

    at_desk(work)


def test_nothing_is_kept_and_no_value_is_repeated(at_desk: AtDesk, caplog: pytest.LogCaptureFixture) -> None:
    async def work(desk: Desk) -> None:
        caplog.set_level(logging.DEBUG)
        everywhere: dict[str, Any] = {
            "resourceType": "Patient", "id": SECRET, "gender": SECRET, "birthDate": SECRET, SECRET: SECRET, "name": SECRET, "active": SECRET,
            "telecom": [{"system": SECRET, "value": {"x": SECRET}}], "identifier": [{"system": SECRET, "use": SECRET}], "photo": [{"data": SECRET}],
            "maritalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": SECRET}]},
            "managingOrganization": {"reference": SECRET}, "meta": {"profile": [f"http://example.org/{SECRET}"]}, "extension": [{"url": SECRET}],
        }  # fmt: skip
        answers = [str(await desk.ask("Patient/$validate", body)) for body in (everywhere, everywhere | {"resourceType": SECRET})]
        answers.append(str(await desk.ask("Patient/$validate", {"resourceType": "Patient", "meta": everywhere["meta"]})))
        assert not any(SECRET in answer for answer in answers)
        assert len(await desk.ask("Patient/$validate", everywhere)) > 10
        assert SECRET not in caplog.text
        async with desk.city.hub.database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM records") == 0

    at_desk(work)
