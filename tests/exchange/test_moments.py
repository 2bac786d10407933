"""Moments at the edge of the calendar, without an offset, and row numbers beyond any file: refused, or another page, never a defect."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

from tests.builders import a_city, a_session
from tests.exchange.test_own_consent import a_consent, signed_in

FIRST, LAST = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"


def test_everything_takes_moments_with_an_offset_and_pages_on_with_them(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital = await city.party("中心", "fitness-center"), await city.party("医院", "hospital")
            resident = await city.resident()
            await city.grant(resident, hospital, "activity")
            await city.upload(center, a_session(), resident=resident)
            path = f"Patient/{resident}/$everything"
            for name in ("start", "end", "_since"):
                assert (await city.get(hospital, path, **{name: "2026-05-01T00:00:00"})).status_code == 400
            first = (await city.get(hospital, path, start="2026-05-01T07:00:00+08:00", _since="2026-01-01", _count=1)).json()
            following = next(link["url"] for link in first["link"] if link["relation"] == "next")
            second = await city.http.get(following, headers=await city.bearer(hospital))
            assert second.status_code == 200
            assert first["entry"][0]["fullUrl"] != second.json()["entry"][0]["fullUrl"]
            assert (await city.get(hospital, path, _since="2026-05-01T00:00:00+08:00")).json()["total"] == first["total"]
            assert (await city.get(hospital, path, _since="2126-05-01")).status_code == 404

    asyncio.run(body())


def test_a_row_number_beyond_any_file_is_not_there(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("中心", "fitness-center"), await city.resident()
            headers = await city.bearer(center, "intake.write")
            for row in ("0", "-1", "2147483648", "9" * 30):
                answer = await city.http.post(f"/intake/receipts/{uuid4()}/pending/{row}", json={"resident": str(resident)}, headers=headers)
                assert answer.status_code == 404, row

    asyncio.run(body())


def test_a_consent_that_says_little_or_too_much_leaves_the_residents_pages_standing(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident = await city.party("医院", "hospital"), await city.resident()
            browser, csrf = await signed_in(city, resident)
            for moment in (FIRST, LAST):
                consent = a_consent(resident, hospital.reference) | {"dateTime": moment}
                assert (await browser.post("/fhir/Consent", json=consent, headers={"X-CSRF-Token": csrf})).status_code == 201
                assert (await browser.get("/resident/looks", params={"before": moment})).status_code == 400
                assert (await browser.get("/resident/records", params={"before": f"{moment}~{resident}"})).status_code == 400
            nameless = a_consent(resident, hospital.reference)
            nameless["provision"]["purpose"] = [{"display": "a purpose without a code"}]
            assert (await browser.post("/fhir/Consent", json=nameless, headers={"X-CSRF-Token": csrf})).status_code == 201
            for page in ("/resident", "/resident/grants"):
                assert (await browser.get(page)).status_code == 200

    asyncio.run(body())
