"""A resident's page of one session: its heart rate, and who may see where it was."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.builders import a_city, a_session
from tests.exchange.test_own_consent import signed_in


def _minutes(*means: int | None) -> list[int | None]:
    """Heart rate at 1 Hz, a minute a value, up and down by 2 around it."""
    return [None if mean is None else mean + (second % 2) * 4 - 2 for mean in means for second in range(60)]


SERIES = {
    "heart_rate": {"interval_s": 1, "values": _minutes(100, 120, None, 140)},
    "power": {"interval_s": 1, "values": [150, 160]},
    "latitude": {"interval_s": 1, "values": [30.51, 30.52]},
    "longitude": {"interval_s": 1, "values": [120.11, 120.12]},
}


def test_a_session_shows_its_heart_rate_minute_by_minute_and_who_may_see_the_route(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital = await city.party("殷行中心", "fitness-center"), await city.party("市第二医院", "hospital")
            resident, neighbour = await city.resident(), await city.resident("李建国", 3)
            stored = [
                (await city.upload(center, a_session() | {"series": SERIES}, resident=resident)).json(),
                (await city.upload(center, a_session("2026-04-01T08:00:00+08:00"), resident=resident)).json(),
                (await city.upload(center, a_session() | {"series": SERIES}, resident=neighbour)).json(),
            ]
            full, bare, foreign = (receipt["records"][0]["record_id"] for receipt in stored)
            consent = await city.grant(resident, hospital, "activity")
            browser, _ = await signed_in(city, resident)
            assert f"/resident/records/{full}" in (await browser.get("/resident/records")).text
            page = (await browser.get(f"/resident/records/{full}")).text
            assert "平均 120，最高 142，最低 98 次/分" in page
            table = re.findall(r'<th scope="row">([^<]+)</th><td class="n">([^<]+)</td>', page)
            assert table == [("上午 8:00", "100"), ("上午 8:01", "120"), ("上午 8:02", "没有读数"), ("上午 8:03", "140")]
            assert len(re.findall(r'<polyline class="line"', page)) == 2, "a line on each side of the minute without readings"
            assert "功率曲线" in page
            assert "120.11" not in page
            assert re.findall(r"<li><div><strong>([^<]+)", page) == ["殷行中心"]
            await city.grant(resident, hospital, "activity,location")
            await city.withdraw(resident, consent)
            assert re.findall(r"<li><div><strong>([^<]+)", (await browser.get(f"/resident/records/{full}")).text) == ["市第二医院", "殷行中心"]
            english = (await browser.get(f"/resident/records/{full}?lang=en")).text
            assert "Mean 120, highest 142, lowest 98 /min." in english
            assert "Who may see this route now:" in english
            nothing = (await browser.get(f"/resident/records/{bare}?lang=zh-CN")).text
            assert "没有存心率曲线" in nothing
            assert "没有存路线" in nothing
            assert (await browser.get(f"/resident/records/{foreign}")).status_code == 404
            await browser.aclose()

    asyncio.run(work())
