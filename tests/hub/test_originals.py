"""The bytes that came in are kept once per person and file, and every record made of them says which they were."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from adapters.base import adapter
from tests.builders import City, a_city, a_session


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def _kept(city: City) -> tuple[int, int, int]:
    """Originals kept, records that point at one, records in all."""
    async with city.hub.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM originals) AS originals, count(original) AS pointing, count(*) AS records FROM records WHERE kind < 20"
        )
        lost = await connection.fetchval(
            "SELECT count(*) FROM records r WHERE original IS NOT NULL AND NOT EXISTS "
            "(SELECT FROM originals o WHERE o.bucket = r.bucket AND o.id = r.original AND o.resident = r.resident)"
        )
    assert lost == 0
    return row["originals"], row["pointing"], row["records"]


@pytest.mark.parametrize("format_", ["fit", "tcx", "gpx", "hl7v2", "open-mhealth"])
def test_provenance_names_the_hash_of_the_file(hub_url: str, tmp_path: Path, format_: str) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            resident = await city.resident()
            body = adapter(format_).sample
            receipt = (await city.upload(center, body, resident=resident, format_=format_)).json()
            assert receipt["status"] == "stored", receipt
            found = set()
            for record in receipt["records"]:
                provenance = (await city.get(center, f"Provenance/{record['record_id']}-0")).json()
                found.add(provenance["entity"][0]["what"]["identifier"]["value"])
            assert format_ in ("hl7v2", "open-mhealth") or found == {hashlib.sha256(body).hexdigest()}
            originals, pointing, records = await _kept(city)
            assert pointing == records == len(receipt["records"])
            assert originals == len(found)

    run(work())


def test_a_file_whose_first_record_is_known_is_kept_with_the_next(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            resident = await city.resident()
            message = adapter("hl7v2").sample
            one, other = a_session(), a_session("2026-05-03T08:00:00+08:00")
            assert (await city.upload(center, one, resident=resident)).status_code == 201
            assert (await city.upload(center, message, resident=resident, format_="hl7v2")).status_code == 201
            before = await _kept(city)
            assert (await city.upload(center, {"records": [one, other]}, resident=resident)).status_code == 201
            after = await _kept(city)
            assert after[0] == before[0] + 1
            assert after[1] == after[2] == before[2] + 1

    run(work())


def test_a_file_of_several_people_keeps_nobodys_row_under_anothers_key(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            residents = [await city.resident(name, order, members=[(center, f"YH-{order}")]) for name, order in (("王秀英", 2), ("李国强", 3))]
            rows = [a_session() | {"who": {"member_number": f"YH-{order}"}} for order in (2, 3)]
            receipt = (await city.upload(center, {"records": rows})).json()
            hashes = set()
            for record, row in zip(receipt["records"], rows, strict=True):
                provenance = (await city.get(center, f"Provenance/{record['record_id']}-0")).json()
                value = provenance["entity"][0]["what"]["identifier"]["value"]
                hashes.add(value)
                assert value != hashlib.sha256(json.dumps({"records": rows}).encode()).hexdigest()
                assert record["resident_id"] == str(residents[rows.index(row)])
            assert len(hashes) == 2
            assert await _kept(city) == (2, 2, 2)

    run(work())
