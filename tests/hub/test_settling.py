"""A waiting row is settled once, and for nobody whose ID number it does not state."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

from openpyxl import Workbook

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


def test_a_member_number_that_was_given_to_the_next_person_does_not_make_them_the_last(hub_url: str, tmp_path: Path) -> None:
    """Whose ID number nobody has is nobody whom we know, whatever other number of theirs is known."""

    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("中心", "fitness-center", may_register=True)
            before = await city.resident(order=2, members=[(center, "A1")], health_card="H1")
            for number in ({"member_number": "A1"}, {"health_card": "H1"}, {"source_id": "A1"}):
                waits = await city.upload(center, a_session() | {"who": {"id_number": an_id_number(3), "name": "李建国", **number}})
                assert (waits.status_code, waits.json()["pending"]) == (207, [{"row": 1, "reason": "identifiers-disagree"}])
            assert await city.shown(center, before) == set()
            own = await city.upload(center, a_session() | {"who": {"id_number": an_id_number(2), "member_number": "A1"}})
            assert [one["resident_id"] for one in own.json()["records"]] == [str(before)]

    asyncio.run(body())


def test_who_is_known_without_an_id_number_is_known_by_their_member_number(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("中心", "fitness-center")
            member, other = await city.resident(order=2, members=[(center, "A1")], id_number=None), await city.resident(order=4)
            row = a_session() | {"who": {"id_number": an_id_number(3), "member_number": "A1"}}
            taken = (await city.upload(center, row)).json()
            assert [one["resident_id"] for one in taken["records"]] == [str(member)]
            again = await city.upload(center, a_session("2026-05-09T08:00:00+08:00") | {"who": row["who"]}, resident=member)
            assert again.status_code == 201
            wrong = await city.upload(center, a_session() | {"who": {"id_number": an_id_number(4), "member_number": "A1"}})
            assert wrong.json()["pending"] == [{"row": 1, "reason": "identifiers-disagree"}]
            assert (await city.upload(center, a_session() | {"who": {"id_number": an_id_number(4)}}, resident=member)).status_code == 403
            assert await city.shown(center, other) == set()
            two = [a_session(f"2026-05-1{order}T08:00:00+08:00") | {"who": {"id_number": an_id_number(order), "member_number": "A1"}} for order in (3, 5)]
            assert [one["row"] for one in (await city.upload(center, {"records": two})).json()["pending"]] == [1, 2], "people who share a number"

    asyncio.run(body())


def test_a_row_that_many_settle_at_once_is_stored_for_one_resident(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("中心", "fitness-center")
            residents = [await city.resident(name, order=order) for order, name in enumerate(("李建国", "王秀英", "陈美"), 2)]
            receipt = (await city.upload(center, a_session() | {"who": {"member_number": "nobody's"}})).json()
            path, headers = f"/intake/receipts/{receipt['receipt_id']}", await city.bearer(center, "intake.write")
            settled = f"{path}/pending/{receipt['pending'][0]['row']}"
            answers = await asyncio.gather(*(city.http.post(settled, json={"resident": str(one)}, headers=headers) for one in residents * 4))
            assert sorted(answer.status_code for answer in answers) == [200] + [404] * 11
            now = (await city.http.get(path, headers=headers)).json()
            assert (now["status"], len(now["records"]), now["pending"]) == ("stored", 1, [])
            seen = [await city.shown(center, one) for one in residents]
            assert len([ids for ids in seen if ids]) == 1

    asyncio.run(body())


def test_rows_of_several_sheets_that_wait_under_one_number_are_settled_one_by_one(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("中心", "fitness-center", zone="Asia/Shanghai")
            resident = await city.resident()
            receipt = (await city.upload(center, a_workbook(), format_="table")).json()
            assert [row["cell"] for row in receipt["pending"]] == ["一月!A2", "二月!A2", "二月!A3"]
            assert len({row["row"] for row in receipt["pending"]}) == 3
            path, headers = f"/intake/receipts/{receipt['receipt_id']}", await city.bearer(center, "intake.write")
            for number, waits in enumerate(receipt["pending"], 1):
                settled = await city.http.post(f"{path}/pending/{waits['row']}", json={"resident": str(resident)}, headers=headers)
                assert settled.json()["pending"] == receipt["pending"][number:]
                assert settled.json()["records"][-1]["start"][:10] == f"2026-0{1 if number == 1 else 2}-0{number}"

    asyncio.run(body())


def a_workbook() -> bytes:
    """Sessions of nobody known, on two sheets that count their rows each from 1."""
    book, out = Workbook(), io.BytesIO()
    book.remove(book.worksheets[0])
    for name, days in (("一月", ["2026-01-01"]), ("二月", ["2026-02-02", "2026-02-03"])):
        sheet = book.create_sheet(name)
        sheet.append(["会员号", "项目", "开始时间", "结束时间"])
        for day in days:
            sheet.append(["nobody's", "快走", f"{day} 09:00", f"{day} 09:30"])
    book.save(out)
    return out.getvalue()
