"""A grant that names no days is told in the days of the resident."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from pathlib import Path

from hub.store import grants
from tests.builders import a_city


def test_a_year_ends_on_the_eve_of_the_day_it_began_where_the_resident_lives(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident = await city.party("医院", "hospital"), await city.resident()
            for zone, offset in (("Pacific/Kiritimati", 14), ("Pacific/Niue", -11), (None, 8)):  # one of them has another day than UTC at any hour
                async with city.hub.database.connection() as connection:
                    await connection.execute("UPDATE residents SET zone = $1 WHERE id = $2", zone, resident)
                await city.grant(resident, hospital)
                period = (await grants.listing(city.hub, resident))[-1]["provision"]["period"]
                start, end = datetime.fromisoformat(period["start"]), date.fromisoformat(period["end"])
                assert start.utcoffset() == timedelta(hours=offset)
                assert end + timedelta(days=1) == a_year_after(start.date())

    asyncio.run(body())


def a_year_after(day: date) -> date:
    return date(day.year + 1, day.month, day.day) if (day.month, day.day) != (2, 29) else date(day.year + 1, 2, 28)
