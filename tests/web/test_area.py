"""Staff of a city, district, street or community: the organizations of their own area, and nobody's data."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest

from hub.access import accounts
from schemas.errors import BadRequest
from schemas.resident import area_covers
from tests.builders import City, a_city
from tests.web.town import PASSWORD, Place

NAMES = {"甲区医院": "310110", "甲区一街道小屋": "310110001", "甲区一街道一社区中心": "310110001001", "甲区二街道小屋": "310110002", "乙区医院": "310115"}
LEVELS = {
    "3101": set(NAMES), "310110": set(NAMES) - {"乙区医院"}, "310110001": {"甲区一街道小屋", "甲区一街道一社区中心"}, "310110001001": {"甲区一街道一社区中心"},
}  # fmt: skip


@pytest.fixture(scope="module")
def areas(place: Place) -> Iterator[Place]:
    """Organizations in two districts, and an account for each level."""

    made: list[UUID] = []

    async def work(city: City) -> None:
        for name, area in NAMES.items():
            await city.party(name, "hospital" if "医院" in name else "kiosk", area=area)
        async with city.hub.database.connection() as connection:
            for area in LEVELS:
                made.append(await accounts.add(connection, city.hub.keyring, login=f"area{area}", name=area, role="city", area=area, password=PASSWORD))
            with pytest.raises(BadRequest):
                await accounts.add(connection, city.hub.keyring, login="wrong", name="x", role="city", area="31011", password=PASSWORD)

    async def opened() -> None:
        async with a_city(place.database, place.folder) as city:
            await work(city)

    asyncio.run(opened())
    yield place
    place.rows("DELETE FROM accounts WHERE id = ANY($1)", made)
    place.rows("DELETE FROM directory WHERE party IN (SELECT number FROM parties WHERE area IS NOT NULL)")
    place.rows("DELETE FROM parties WHERE area IS NOT NULL")


@pytest.mark.parametrize(("area", "seen"), LEVELS.items())
def test_each_level_sees_the_organizations_of_its_own_area_alone(areas: Place, area: str, seen: set[str]) -> None:
    with areas.browse(f"area{area}") as visitor:
        page = visitor.show("/city")
        assert {name for name in NAMES if name in page} == seen
        assert "殷行社区运动健康中心" not in page, "it said no area"
        for path in ("/resident", "/hospital", "/center", "/fhir/Patient", f"/hospital/patients/{areas.town.resident}", "/admin"):
            assert visitor.get(path).status_code in (401, 403, 404), path


def test_few_emergencies_are_not_counted_out_to_who_knows_the_people(areas: Place) -> None:
    (party,) = areas.rows("SELECT number FROM parties WHERE name = '甲区医院'")
    insert = """INSERT INTO emergencies (bucket, id, resident, account, party, opened, expires)
    SELECT 1, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), $1, now(), now() FROM generate_series(1, $2)"""
    with areas.browse("area310110") as visitor:
        none = visitor.show("/city")
        areas.rows(insert, party["number"], 9)
        assert visitor.show("/city") == none, "one is not told from none"
        areas.rows(insert, party["number"], 1)
        assert '<td class="n">10</td>' in visitor.show("/city")
    with areas.browse("area310110001") as street:
        assert "甲区医院" not in street.show("/city")
    areas.rows("DELETE FROM emergencies WHERE party = $1", party["number"])


def test_a_division_lies_in_those_above_it() -> None:
    assert area_covers("3101", "310110001001")
    assert area_covers("310110", "310110")
    assert not area_covers("310110", "3101")
    assert not area_covers("310110", "310115001")
    assert not area_covers("3101", None)
