"""A town for the pages' tests: twelve weeks of one resident's exercise, a neighbour, and an account for every role."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
import uvicorn

from hub.access import accounts
from hub.app import application
from hub.exchange.entries import checked
from hub.quality import worker
from hub.settings import load
from hub.store import directory, migrate
from hub.store.parties import Party
from tests.builders import City, a_city, a_pressure, a_session
from tests.databases import a_database

PASSWORD = "a long enough password"
MINUTES = (55, 62, 75, 84, 80, 100, 112, 116, 121, 156, 139, 85)
CSV = """会员号,姓名,项目,开始时间,结束时间,时长(分钟),平均心率,距离
YH-4417,王秀英,康复操课,2026-05-02 09:00,2026-05-02 09:45,45,104,
YH-4417,王秀英,快走,2026-05-01 09:15,2026-05-01 08:30,,,
YH-4417,王秀英,快走,2026-04-29 08:00,2026-04-29 08:43,43,1045,3100
YH-0931,周平,功率自行车,2026-05-02 10:00,2026-05-02 10:30,30,110,
YH-4417,王秀英,功率自行车,2026-04-30 10:00,2026-04-30 10:30,30,110,0
,=cmd|' /C calc'!A1,健走,2026-05-02 10:00,2026-05-01 10:30,,,
"""


class Town(msgspec.Struct):
    """Who lives and works here."""

    city: City
    hospital: Party
    center: Party
    resident: UUID
    neighbour: UUID
    consent: UUID
    child: UUID
    elder: UUID
    """Whom staff help."""


def today() -> date:
    return (datetime.now(UTC) + timedelta(hours=8)).date()


def _at(day: date, clock: str) -> str:
    return f"{day.isoformat()}T{clock}:00+08:00"


def _session(day: date, clock: str, minutes: int, **more: Any) -> dict[str, Any]:
    return a_session(_at(day, clock), minutes, **more) | {"who": {"member_number": "YH-4417"}}


def _weeks(last: date) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the centre, the kiosk and the wrist band for the weeks up to `last`."""
    center, kiosk, band = [], [], []
    monday = last - timedelta(days=last.weekday())
    for number, minutes in enumerate(MINUTES):
        start = monday - timedelta(weeks=len(MINUTES) - 1 - number)
        share = minutes // 3
        days = [start, start + timedelta(days=2), start + timedelta(days=4)]
        if number == len(MINUTES) - 1:
            days = [monday] * 3
        sports = ("rehabilitation_exercise", "strength_training" if number > 5 else "cycling")
        center += [_session(day, clock, share, sport=sport, hr_avg=100 + number) for day, clock, sport in zip(days, ("07:00", "08:30"), sports, strict=False)]
        band.append(_session(days[2], "09:40", minutes - 2 * share, sport="walking", hr_avg=97, samples=600, modality="sensed"))
        kiosk.append(a_pressure(_at(days[0], "06:20"), 140 - number, 84 - number // 2) | {"who": {"member_number": "YH-4417"}})
        resting = {"measure": "resting-heart-rate", "value": 74 - number // 2, "unit": "/min"}
        record = {"kind": "vital", "measure": "resting-heart-rate", "start": _at(days[0], "06:00"), "quantity": resting}
        band.append({"who": {"member_number": "YH-4417"}, "record": record})
    band.append(_session(monday - timedelta(days=7), "07:02", MINUTES[-2] // 3, sport="training", samples=10))
    center.append(_session(monday - timedelta(days=4), "16:00", 40, sport="tai_chi", modality="self-reported"))
    return center, kiosk, band


def _test(day: date, stand: float, grip: float, **more: Any) -> dict[str, Any]:
    items = [{"measure": "sit-to-stand-30s", "value": stand, "unit": "{count}"}, {"measure": "grip-strength", "value": grip, "unit": "kg"}]
    return {"who": {"member_number": "YH-4417"}, "record": {"kind": "fitness-test", "start": _at(day, "06:30"), "items": items} | more}


async def fill(city: City) -> Town:
    """Make the town over HTTP, with a grant to the hospital."""
    hospital = await city.party("市第二医院", "hospital", purposes=("TREAT", "BTG"))
    center = await city.party("殷行社区运动健康中心", "fitness-center")
    kiosk = await city.party("街道智慧健康小屋", "kiosk")
    band = await city.party("手环云", "wearable-cloud")
    for name, kind in (("市健康云", "city-cloud"), ("平安健康保险", "insurer"), ("社区卫生服务中心", "community-clinic")):
        await city.party(name, kind)
    members = [(party, "YH-4417") for party in (center, kiosk, band)]
    resident = await city.resident("王秀英", 2, members, birth_date=date(1955, 4, 17), health_card="A12344417")
    neighbour = await city.resident("李建国", 3, [(center, "YH-0002")])
    last = today()
    for party, rows in zip((center, kiosk, band), _weeks(last), strict=True):
        tests = [_test(last - timedelta(days=20), 14, 22.1, grade="良好"), _test(last - timedelta(days=75), 11, 21.4)] if party is kiosk else []
        answer = await city.upload(party, {"records": rows + tests})
        assert answer.status_code == 201, answer.text
    answer = await city.upload(
        center, {"records": [a_session(_at(last - timedelta(days=1), "07:00"), 41, sport="badminton") | {"who": {"member_number": "YH-0002"}}]}
    )
    assert answer.status_code == 201, answer.text
    await _counted(city, center, last)
    child = await city.resident("王小明", 4, birth_date=date(last.year - 10, 1, 5))
    answer = await city.upload(center, a_session(_at(last - timedelta(days=1), "16:00"), 30, sport="basketball"), resident=child)
    assert answer.status_code == 201, answer.text
    elder = await city.resident("赵德明", 9)
    answer = await city.upload(center, a_session(_at(last - timedelta(days=1), "08:00"), 52, sport="table_tennis"), resident=elder)
    assert answer.status_code == 201, answer.text
    consent = await city.grant(resident, hospital, "activity,health-check,fitness-test,identity")
    await _accounts(city, hospital, center, {"wang": resident, "li": neighbour, "xiaoming": child, "zhao": elder})
    return Town(city, hospital, center, resident, neighbour, consent, child, elder)


async def _counted(city: City, center: Party, day: date) -> None:
    """A venue of the centre, and how full it is today."""
    venue = {"resourceType": "Location", "identifier": [{"system": "https://gym.example/sites", "value": "2F"}], "name": "二楼器械区"}
    async with city.hub.database.connection() as connection:
        await directory.put(connection, city.hub.keyring, center.number, checked(venue, center.reference))
    rows = [
        {"kind": "venue-occupancy", "venue": "2F", "start": _at(day, f"{hour:02}:00"), "end": _at(day, f"{hour + 1:02}:00"), "present": present,
         "peak": present + 6, "mean": present + 1.5, "visits": 2 * present, "capacity": 60, "counting": "gate"}
        for hour, present in ((0, 4), (1, 38), (2, 57))
    ]  # fmt: skip
    answer = await city.upload(center, [{"record": row} for row in rows])
    assert answer.status_code == 201, answer.text


async def _accounts(city: City, hospital: Party, center: Party, residents: dict[str, UUID]) -> None:
    async def add(login: str, name: str, role: str, **more: Any) -> None:
        async with city.hub.database.connection() as connection:
            await accounts.add(connection, city.hub.keyring, login=login, name=name, role=role, password=PASSWORD, **more)

    for login, name in {"wang": "王秀英", "li": "李建国", "xiaoming": "王小明", "zhao": "赵德明"}.items():
        await add(login, name, "resident", resident=residents[login])
    await add("doctor", "李医生", "doctor", party=hospital.number)
    await add("doctor2", "周医生", "doctor", party=hospital.number)
    await add("staff", "陈老师", "staff", party=center.number)
    await add("colleague", "王老师", "staff", party=center.number)
    await add("lead", "赵主任", "staff", party=center.number, lead=True)
    await add("front", "小周", "staff", party=hospital.number)
    await add("front2", "小吴", "staff", party=hospital.number)
    await add("admin", "管理员", "admin")
    await add("city", "街道办", "city", area="310110")


def token(page: str) -> str:
    """The CSRF token in a page."""
    return page.partition('name="csrf" value="')[2].partition('"')[0]


@contextmanager
def served(database_url: str, folder: Path) -> Iterator[tuple[str, Town]]:
    """The town behind a real server, for browsers; its address and who lives there. The town's own client is closed."""

    async def make() -> Town:
        async with a_city(database_url, folder) as city:
            return await fill(city)

    town = asyncio.run(make())
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://localhost:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(application(load(folder, base_url=url), database_url), log_level="error"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        httpx.get(f"{url}/readyz", timeout=60).raise_for_status()  # waits: the socket listens already
        yield url, town
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="session")
def town_url(postgres_dsn: str) -> Iterator[str]:
    """A migrated database of the town's own."""
    with a_database(postgres_dsn, "town") as url:
        migrate.upgrade(url)
        yield url


async def _run(dsn: str, statement: str, *values: Any) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()


class Place(msgspec.Struct):
    """The served town: where it is, who lives there, its database and folder."""

    url: str
    town: Town
    database: str
    folder: Path

    def judge(self) -> list[dict[str, Any]]:
        """Have the quality worker judge what came in, in a process of its own; nothing where Great Expectations is not installed."""
        return worker.judge_apart(load(self.folder), self.database, worker.Wanted()) if worker.installed() else []

    def rows(self, statement: str, *values: Any) -> list[Any]:
        with ThreadPoolExecutor(1) as beside:  # a browser's tests have a loop of their own in this thread
            return beside.submit(asyncio.run, _run(self.database, statement, *values)).result()

    @contextmanager
    def browse(self, login: str | None = None) -> Iterator[Visitor]:
        """A client of its own cookies, signed in."""
        with Visitor(base_url=self.url, timeout=30) as visitor:
            if login:
                visitor.sign_in(login)
            yield visitor


class Visitor(httpx.Client):
    """A browser without a script: it remembers cookies and the CSRF token of the page that it shows."""

    csrf = ""

    def get(self, *args: Any, **kwargs: Any) -> httpx.Response:
        answer = super().get(*args, **kwargs)
        self.csrf = (re.findall(r'name="csrf" value="([^"]+)"', answer.text) or [self.csrf])[0]
        return answer

    def sign_in(self, login: str, *, again: bool = False) -> None:
        page = self.get("/sign-in?again=1" if again else "/sign-in").text
        answer = super().post("/sign-in", data={"csrf": token(page), "login": login, "password": PASSWORD, "next": ""})
        assert answer.status_code == 303, answer.text
        self.get("/account")

    def send_form(self, path: str, **fields: str) -> httpx.Response:
        answer = self.post(path, data={"csrf": self.csrf} | fields)
        if path.endswith(("/act", "/self")):  # the token is another one for each person that a session acts for
            self.get("/account")
        return answer

    def show(self, path: str) -> str:
        """The page at `path`, which must be there."""
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])
        return answer.text

    def upload(self, content: bytes, name: str = "sessions.csv") -> httpx.Response:
        return self.post("/center/preview", data={"csrf": self.csrf}, files={"file": (name, content)})


@pytest.fixture(scope="session")
def place(town_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The town behind a real server, one for the session: a test changes nothing that another leans on."""
    folder = tmp_path_factory.mktemp("town")
    with served(town_url, folder) as (url, town):
        yield Place(url, town, town_url, folder)
