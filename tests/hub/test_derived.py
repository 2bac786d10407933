"""What a record was made of is not told by it either: a derived record is hidden with its sources, and labelled as they are, whenever they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from hub.store import grants, residents
from hub.store.parties import Party
from hub.store.relabel import relabel
from schemas.labels import RULES, compiled
from tests.builders import City, a_city

Json = dict[str, Any]
AT = "2026-05-03T09:00:00+08:00"


class Clinic(NamedTuple):
    """A resident, the clinic that writes of them, and a hospital that may see all that is not sensitive."""

    city: City
    source: Party
    hospital: Party
    resident: UUID
    consent: UUID

    async def send(self, *rows: Json) -> None:
        answer = await self.city.upload(self.source, {"records": [{"record": row} for row in rows]}, resident=self.resident)
        assert answer.status_code in (200, 201), answer.text

    async def sees(self, type_: str = "DiagnosticReport") -> set[str]:
        return await self.city.shown(self.hospital, self.resident, type_)

    async def deny(self, **rule: Any) -> None:
        (consent,) = [one for one in await grants.listing(self.city.hub, self.resident) if one["id"] == str(self.consent)]
        body = consent | {"meta": {"profile": consent["meta"]["profile"]}, "provision": consent["provision"] | {"provision": [{"type": "deny"} | rule]}}
        await residents.save_consent(self.city.hub, self.resident, lambda _: body, actor="test", consent_id=self.consent, action="consent-change")

    async def labels(self) -> set[str]:
        """Labels of the report as its own source reads it back."""
        found = (await self.city.get(self.source, "DiagnosticReport", patient=str(self.resident))).json()["entry"]
        return {coding["code"] for entry in found for coding in entry["resource"]["meta"]["security"]}


InClinic = Callable[[Callable[[Clinic], Awaitable[None]]], None]


@pytest.fixture
def in_clinic(hub_url: str, tmp_path: Path) -> InClinic:
    def run(work: Callable[[Clinic], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with a_city(hub_url, tmp_path) as city:
                source, hospital = await city.party("C", "community-clinic"), await city.party("H", "hospital")
                resident = await city.resident()
                await work(Clinic(city, source, hospital, resident, await city.grant(resident, hospital, "all")))

        asyncio.run(inside())

    return run


def a_pulse(id_: str = "IN-1") -> Json:
    return {"kind": "vital", "measure": "heart-rate", "start": AT, "source_record_id": id_, "quantity": {"measure": "heart-rate", "value": 71, "unit": "/min"}}


def a_diagnosis(name: str, id_: str = "IN-1") -> Json:
    return {"kind": "condition", "start": AT, "source_record_id": id_, "name": name}


def an_evaluation(*inputs: str, id_: str = "EV-1", **more: Any) -> Json:
    changes = [{"measure": "resting-heart-rate", "before": 74, "after": 68, "unit": "/min"}]
    told = {"formula": "f", "formula_version": "1", "inputs": list(inputs), "changes": changes}
    return {"kind": "effect-evaluation", "start": AT, "source_record_id": id_} | told | more


def coded(code: str) -> list[Json]:
    return [{"coding": [{"system": "http://loinc.org", "code": code}]}]


@pytest.mark.parametrize("order", ["source first", "derived first"])
def test_a_denial_of_a_source_by_class_or_code_hides_what_was_made_of_it(in_clinic: InClinic, order: str) -> None:
    async def work(clinic: Clinic) -> None:
        rows = [a_pulse(), an_evaluation("IN-1")]
        for row in rows if order == "source first" else reversed(rows):
            await clinic.send(row)
        assert await clinic.sees()
        await clinic.deny(code=coded("8867-4"))
        assert not await clinic.sees()
        assert not await clinic.sees("Observation")
        assert not await clinic.sees("Provenance")
        await clinic.deny(**{"class": [{"system": "https://kinehub.org/fhir/CodeSystem/data-class", "code": "health-check"}]})
        assert not await clinic.sees()
        await clinic.deny(**{"class": [{"system": "https://kinehub.org/fhir/CodeSystem/data-class", "code": "sleep"}]})
        assert await clinic.sees()

    in_clinic(work)


def test_a_report_has_the_highest_label_of_what_it_was_made_of(in_clinic: InClinic) -> None:
    async def work(clinic: Clinic) -> None:
        await clinic.send(a_diagnosis("焦虑障碍"), an_evaluation("IN-1"), an_evaluation("IN-9", id_="EV-2"))
        assert len(await clinic.sees()) == 1, "the one of which nothing is known"
        assert {"PSY", "R"} <= await clinic.labels()

    in_clinic(work)


def test_a_label_that_comes_later_comes_to_what_was_made_before(in_clinic: InClinic) -> None:
    """By new rules, and by a new version of the source; it goes with the version that corrects it."""

    async def work(clinic: Clinic) -> None:
        vault = clinic.city.hub.vault
        vault.rules = compiled(1, ())
        try:
            await clinic.send(a_diagnosis("焦虑障碍"), an_evaluation("IN-1"))
            assert await clinic.sees()
        finally:
            vault.rules = RULES
        assert not await clinic.sees(), "before anything was relabelled"
        await relabel(clinic.city.hub)
        assert not await clinic.sees()
        await clinic.send(a_diagnosis("高血压"))
        assert await clinic.sees()
        await clinic.send(a_diagnosis("焦虑障碍"))
        assert not await clinic.sees()

    in_clinic(work)


def test_chains_are_followed_and_circles_end(in_clinic: InClinic) -> None:
    async def work(clinic: Clinic) -> None:
        await clinic.send(an_evaluation("EV-2"), an_evaluation("EV-3", id_="EV-2"), an_evaluation("EV-1", "IN-1", "EV-3", id_="EV-3"))
        assert len(await clinic.sees()) == 3
        await clinic.send(a_pulse())
        assert len(await clinic.sees()) == 3
        await clinic.deny(code=coded("8867-4"))
        assert not await clinic.sees()
        await clinic.deny(code=coded("1-8"))
        await clinic.send(a_diagnosis("焦虑障碍", "IN-1"))
        assert not await clinic.sees()

    in_clinic(work)


def test_what_goes_back_further_than_is_followed_is_hidden(in_clinic: InClinic) -> None:
    async def work(clinic: Clinic) -> None:
        await clinic.send(*(an_evaluation(f"EV-{number + 1}", id_=f"EV-{number}") for number in range(10)), an_evaluation(id_="EV-10"))
        together = await clinic.sees()
        assert len(together) == 8, "the same in a page as one by one"
        every = await clinic.city.shown(clinic.source, clinic.resident, "DiagnosticReport")
        apart = {one for one in every if (await clinic.city.get(clinic.hospital, f"DiagnosticReport/{one}")).status_code == 200}
        assert (len(every), apart) == (8, together), "what its own source reads back is judged alike"

    in_clinic(work)


def test_a_plan_lends_its_label_and_another_source_nothing(in_clinic: InClinic) -> None:
    async def work(clinic: Clinic) -> None:
        plan = {"kind": "prescription", "start": AT, "source_record_id": "P-1", "status": "active", "title": "焦虑障碍运动处方", "exercises": [{"text": "走"}]}
        other = await clinic.city.party("Other", "community-clinic")
        answer = await clinic.city.upload(other, {"record": a_diagnosis("焦虑障碍")}, resident=clinic.resident)
        assert answer.status_code == 201
        await clinic.send(an_evaluation("IN-1", prescription="P-1"))
        assert await clinic.sees(), "ids mean what their own source means"
        await clinic.send(plan)
        assert not await clinic.sees()

    in_clinic(work)


def test_what_was_made_of_a_record_to_be_deleted_is_hidden_with_it(in_clinic: InClinic) -> None:
    async def work(clinic: Clinic) -> None:
        from hub.store import petitions

        await clinic.send(a_pulse(), an_evaluation("IN-1"))
        (pulse,) = await clinic.city.shown(clinic.hospital, clinic.resident, code="8867-4")
        await petitions.about_record(clinic.city.hub, clinic.resident, UUID(pulse[:36]), "deletion", "please")
        assert not await clinic.sees()
        report = (await clinic.city.get(clinic.source, "DiagnosticReport", patient=str(clinic.resident))).json()
        assert report["total"] == 0, "nobody else, its source included"

    in_clinic(work)
