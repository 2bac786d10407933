"""A deletion that is asked is one act: the petition and the refusal that hides the record are both there, or neither is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

from hub.store import petitions
from schemas.errors import Conflict
from tests.builders import City, a_city, a_pressure

REFUSALS = "SELECT count(*) FROM audit WHERE resident = $1 AND action = 'consent-refuse'"


async def counted(city: City, resident: UUID) -> tuple[int, int]:
    async with city.hub.database.connection() as connection:
        asked = await connection.fetchval("SELECT count(*) FROM petitions WHERE resident = $1", resident)
        return asked, await connection.fetchval(REFUSALS, resident)


async def a_record(city: City) -> tuple[UUID, UUID]:
    center = await city.party("C", "fitness-center")
    resident = await city.resident()
    answer = await city.upload(center, a_pressure(), resident=resident)
    return resident, UUID(answer.json()["records"][0]["record_id"])


def test_two_who_ask_at_once_are_one_petition_and_one_refusal(hub_url: str, tmp_path: Path) -> None:
    """In two processes: both have looked, and wait for the resident's row, before either writes."""

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city, a_city(hub_url, tmp_path) as other:
            resident, record = await a_record(city)
            async with city.hub.database.connection() as holder:
                async with holder.transaction():
                    await holder.fetchrow("SELECT FROM residents WHERE id = $1 FOR UPDATE", resident)
                    asking = [asyncio.create_task(petitions.about_record(one.hub, resident, record, "deletion", "please")) for one in (city, other)]
                    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
                    while await holder.fetchval(waiting) < 2:
                        await holder.execute("SELECT pg_stat_clear_snapshot()")
                done: list[Any] = await asyncio.gather(*asking, return_exceptions=True)
            assert {type(one) for one in done} == {Conflict, petitions.Petition}
            assert await counted(city, resident) == (1, 1)

    asyncio.run(work())


def test_a_petition_that_cannot_be_written_hides_nothing(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            resident, record = await a_record(city)
            async with city.hub.database.connection() as connection:
                await connection.execute("ALTER TABLE petitions ADD CONSTRAINT none CHECK (kind <> 'deletion')")
            done = await asyncio.gather(petitions.about_record(city.hub, resident, record, "deletion", "please"), return_exceptions=True)
            assert isinstance(done[0], Exception)
            assert await counted(city, resident) == (0, 0)
            async with city.hub.database.connection() as connection:
                await connection.execute("ALTER TABLE petitions DROP CONSTRAINT none")
            await petitions.about_record(city.hub, resident, record, "deletion", "please")
            assert await counted(city, resident) == (1, 1)

    asyncio.run(work())
