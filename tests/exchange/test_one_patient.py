"""A search by ids of several residents: what is another's and hidden answers as what nobody has, to the byte."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hub.store.ids import bucket_of
from schemas.resident import HEALTH_CARD_SYSTEM, ID_NUMBER_SYSTEM, MEMBER_SYSTEM
from tests.builders import City, a_city, a_session, an_id_number

NEIGHBOURS = ("{type}?_id={known},{id}", "{type}?_id={id},{known}", "Provenance?target={type}/{id},Observation/{known}", "Observation?has-member={id},{known}")


async def _sessions(city: City, same_bucket: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, UUID, str, str]:
    """A hospital that sees the activity of the first of two residents; an id of each one's session."""
    center, hospital = await city.party("中心", "fitness-center"), await city.party("医院", "hospital")
    first = await city.resident("王秀英", 2)
    if same_bucket:
        from hub.store import residents

        new = residents.new_resident_id
        monkeypatch.setattr(residents, "new_resident_id", lambda: next(id_ for id_ in iter(new, None) if bucket_of(id_) == bucket_of(first)))
    second = await city.resident("李建国", 3)
    assert same_bucket is (bucket_of(first) == bucket_of(second))
    await city.grant(first, hospital, "activity")
    known, hidden = [
        (await city.upload(center, a_session(), resident=one)).json()["records"][0]["resources"][1].partition("/")[2] for one in (first, second)
    ]
    return hospital, second, known, hidden


def _unknown(id_: str) -> str:
    """An id as it might be, of nobody, in the same bucket."""
    return str(UUID(int=UUID(id_[:36]).int ^ 0x555)) + id_[36:]


@pytest.mark.parametrize("same_bucket", [False, True])
def test_an_id_of_a_hidden_resident_beside_a_visible_one_answers_as_an_unknown_id(
    hub_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_bucket: bool
) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, second, known, hidden = await _sessions(city, same_bucket, monkeypatch)
            headers = await city.bearer(hospital)
            for query in NEIGHBOURS:
                for type_, id_ in (("Observation", hidden), ("Patient", str(second))):
                    asked, unknown = (query.format(type=type_, id=one, known=known) for one in (id_, _unknown(id_)))
                    seen, never = await city.http.get(f"/fhir/{asked}", headers=headers), await city.http.get(f"/fhir/{unknown}", headers=headers)
                    assert seen.status_code == never.status_code, asked
                    assert seen.text.replace(id_, "") == never.text.replace(_unknown(id_), ""), asked
            if same_bucket:
                found = await city.get(hospital, "Observation", _id=f"{hidden},{known}")
                assert [entry["resource"]["id"] for entry in found.json()["entry"]] == [known]

    asyncio.run(body())


def test_ids_of_two_visible_residents_are_refused(hub_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, second, known, other = await _sessions(city, True, monkeypatch)
            await city.grant(second, hospital, "activity")
            assert (await city.get(hospital, "Observation", _id=f"{known},{other}")).status_code == 400

    asyncio.run(body())


NUMBER = an_id_number(2)
IN_URLS = (
    f"Patient?identifier={ID_NUMBER_SYSTEM}|{NUMBER}", f"Patient?identifier={MEMBER_SYSTEM}|1,{ID_NUMBER_SYSTEM}|{NUMBER}", f"Patient?identifier={NUMBER}",
    f"Patient?identifier=|{NUMBER}", f"Patient?_id={{id}}&identifier:not={ID_NUMBER_SYSTEM}|{NUMBER}",
    f"Observation?patient={{id}}&patient:identifier={NUMBER}",
    f"Observation?patient={{id}}&subject:Patient.identifier:not={ID_NUMBER_SYSTEM}|{NUMBER}", f"Provenance?patient={{id}}&target.subject.identifier={NUMBER}",
    f"Patient?_id={{id}}&_has:Observation:patient:patient.identifier={NUMBER}", f"Patient?_id={{id}}&identifier:not={HEALTH_CARD_SYSTEM}|A1",
    f"Practitioner?identifier={ID_NUMBER_SYSTEM}|{NUMBER}", f"AuditEvent?entity:identifier={NUMBER}",
)  # fmt: skip
"""A number of a person in every place that a search has for one."""


def test_no_number_of_a_person_stands_in_a_url(hub_url: str, tmp_path: Path) -> None:
    """Refused in the address of a search; taken in a form, and in no link of its answer."""

    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident = await city.party("医院", "hospital"), await city.resident()
            await city.grant(resident, hospital, "activity,identity")
            headers = await city.bearer(hospital)
            for query in IN_URLS:
                type_, _, form = query.format(id=resident).partition("?")
                refused = await city.http.get(f"/fhir/{type_}?{form}", headers=headers)
                assert (refused.status_code, "never go into a URL" in refused.text) == (400, True), query
                said = headers | {"Content-Type": "application/x-www-form-urlencoded"}
                found = await city.http.post(f"/fhir/{type_}/_search", content=form, headers=said)
                assert found.status_code == 200, (query, found.text)
                assert not [link for link in found.json()["link"] if NUMBER in link["url"] or "A1" in link["url"]], query

    asyncio.run(body())


def test_the_pages_of_a_search_by_a_number_are_turned_without_it(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital = await city.party("中心", "fitness-center"), await city.party("医院", "hospital")
            resident = await city.resident()
            for day in (1, 2, 3):
                await city.upload(center, a_session(f"2026-05-0{day}T08:00:00+08:00"), resident=resident)
            headers = await city.bearer(hospital)
            form = {"patient.identifier": f"{ID_NUMBER_SYSTEM}|{NUMBER}", "_count": "2"}
            hidden = (await city.http.post("/fhir/Observation/_search", data=form, headers=headers)).text
            assert str(resident) not in hidden
            await city.grant(resident, hospital, "activity,identity")
            page = (await city.http.post("/fhir/Observation/_search", data=form, headers=headers)).json()
            turned = [entry["resource"]["id"] for entry in page["entry"]]
            while url := next((link["url"] for link in page["link"] if link["relation"] == "next"), None):
                assert NUMBER not in url
                page = (await city.http.get(url, headers=headers)).json()
                turned += [entry["resource"]["id"] for entry in page["entry"]]
            assert len(turned) == len(set(turned))
            assert set(turned) == await city.shown(hospital, resident)

    asyncio.run(body())
