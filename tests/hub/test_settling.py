"""A waiting row is settled for nobody whose ID number it does not state."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.builders import a_city, a_session, an_id_number


def test_a_row_that_states_another_id_number_is_not_settled_for_a_resident(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("中心", "fitness-center")
            resident = await city.resident(order=2)
            receipt = (await city.upload(center, a_session() | {"who": {"id_number": an_id_number(3)}})).json()
            path, headers = f"/intake/receipts/{receipt['receipt_id']}", await city.bearer(center, "intake.write")
            settled = f"{path}/pending/{receipt['pending'][0]['row']}"
            refused = await city.http.post(settled, json={"resident": str(resident)}, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "other-person")
            assert await city.shown(center, resident) == set()
            assert (await city.http.get(path, headers=headers)).json()["pending"]
            named = await city.resident("李建国", order=3)
            assert (await city.http.post(settled, json={"resident": str(named)}, headers=headers)).status_code == 200
            assert await city.shown(center, named) != set()

    asyncio.run(body())
