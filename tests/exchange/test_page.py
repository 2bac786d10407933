"""The quick page, newest first, against the whole compartment: nothing is lost, doubled or shown after a withdrawal."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg

from hub.store.residents import save_consent
from hub.store.vault import SystemPermit
from tests.builders import City, a_city, a_pressure, a_session
from tests.databases import CLIENTS_ENDED


async def pages(city: City, party: Any, **query: Any) -> list[list[str]]:
    """Ids page by page, along the links to the next."""
    found, answer = [], (await city.get(party, "Observation", **query)).json()
    while True:
        found.append([entry["resource"]["id"] for entry in answer.get("entry", [])])
        link = next((link["url"] for link in answer["link"] if link["relation"] == "next"), None)
        if link is None:
            return found
        answer = (await city.http.get(link, headers=await city.bearer(party))).json()


async def a_mixed_history(city: City, center: Any, resident: Any) -> None:
    rows = [a_pressure(f"2026-04-{day:02d}T09:00:00+08:00", systolic=120 + day) for day in range(1, 25)]
    rows += [a_session(f"2026-04-{day:02d}T18:00:00+08:00") for day in range(1, 25, 5)]
    await city.upload(center, {"records": rows}, resident=resident)


def test_pages_of_rich_and_poor_records_show_each_resource_once(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital, resident = await city.party("Center", "fitness-center"), await city.party("Hospital", "hospital"), await city.resident()
            await a_mixed_history(city, center, resident)
            await city.grant(resident, hospital, "all")
            everything = await city.shown(hospital, resident)
            assert len(everything) > 24
            for count in (1, 7, 10, len(everything), 1000):
                found = await pages(city, hospital, patient=str(resident), _count=count)
                assert all(len(page) == count for page in found[:-1])
                ids = [one for page in found for one in page]
                assert len(ids) == len(set(ids))
                assert set(ids) == everything

    asyncio.run(work())


def test_a_page_shows_only_the_classes_that_were_granted(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital, resident = await city.party("Center", "fitness-center"), await city.party("Hospital", "hospital"), await city.resident()
            await a_mixed_history(city, center, resident)
            await city.grant(resident, hospital, "activity")
            quick = [one for page in await pages(city, hospital, patient=str(resident), _count=3) for one in page]
            assert set(quick) == await city.shown(hospital, resident)
            answer = await city.get(hospital, "Observation", patient=str(resident), _count=50)
            assert b"8480-6" not in answer.content
            assert {entry["resource"]["id"] for entry in answer.json()["entry"]} == set(quick)

    asyncio.run(work())


def test_a_withdrawal_between_two_pages_leaves_nothing_for_the_second(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital, resident = await city.party("Center", "fitness-center"), await city.party("Hospital", "hospital"), await city.resident()
            await a_mixed_history(city, center, resident)
            consent = await city.grant(resident, hospital, "all")
            first = (await city.get(hospital, "Observation", patient=str(resident), _count=5)).json()
            following = next(link["url"] for link in first["link"] if link["relation"] == "next")
            await city.withdraw(resident, consent)
            second = (await city.http.get(following, headers=await city.bearer(hospital))).json()
            assert "entry" not in second

    asyncio.run(work())


def test_a_resident_who_does_not_exist_answers_as_one_who_has_not_agreed(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital, resident = await city.party("Center", "fitness-center"), await city.party("Hospital", "hospital"), await city.resident()
            await a_mixed_history(city, center, resident)
            nobody = "00000000-0000-8000-8000-000000000000"
            for more in ({}, {"_total": "accurate"}, {"_summary": "count"}, {"code": "8867-4"}):
                hidden, unknown = [await city.get(hospital, "Observation", patient=str(who), **more) for who in (resident, nobody)]
                assert hidden.content.replace(str(resident).encode(), b"?") == unknown.content.replace(nobody.encode(), b"?")

    asyncio.run(work())


def test_a_connection_that_the_server_closed_is_replaced(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital, resident = await city.party("Center", "fitness-center"), await city.party("Hospital", "hospital"), await city.resident()
            await a_mixed_history(city, center, resident)
            await city.grant(resident, hospital, "all")
            before = await city.shown(hospital, resident)
            other = await asyncpg.connect(hub_url)
            await other.execute(CLIENTS_ENDED)
            await other.close()
            assert await city.shown(hospital, resident) == before

    asyncio.run(work())


def test_what_is_denied_is_not_even_referred_to(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital, resident = await city.party("Center", "fitness-center"), await city.party("Hospital", "hospital"), await city.resident()
            await city.upload(center, a_session(steps=5200, energy_kcal=240), resident=resident)
            consent = await city.grant(resident, hospital, "all")
            before = (await city.get(hospital, f"Patient/{resident}/$everything")).json()["entry"]
            (steps,) = [entry["resource"]["id"] for entry in before if '"55423-8"' in json.dumps(entry["resource"].get("code"))]
            async with city.hub.database.connection() as connection:
                _, (granted,) = await city.hub.vault.policy(connection, resident, SystemPermit("test"))
            body = {key: value for key, value in granted.items() if key != "meta"}
            body["provision"] = body["provision"] | {"provision": [{"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "55423-8"}]}]}]}
            assert sum(steps in json.dumps(entry["resource"]) for entry in before) > 1
            await save_consent(city.hub, resident, lambda _: body, actor="test", consent_id=consent, action="consent-change")
            for path in (f"Patient/{resident}/$everything", f"Observation?patient={resident}"):
                answer = await city.get(hospital, path)
                assert answer.json()["entry"]
                assert steps.encode() not in answer.content

    asyncio.run(work())
