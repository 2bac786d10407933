"""The town of the leak matrix: one hub, two hospitals and two clouds that may and may not see, and pairs of residents alike but for what is hidden.

`denied` and `allowed` are the same kinds of reader: each an OAuth client, a doctor at the pages and a cloud that takes deliveries.
What the hub pushes out is caught by `Deliveries`, the transport of a receiver that takes everything.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import msgspec
from asyncpg import Record as Row

from adapters import kinehub_json
from hub.access import accounts
from hub.delivery import notices, worker
from hub.delivery.resting import Resting
from hub.store import assists
from hub.store.ids import bucket_of
from hub.store.parties import Party
from hub.store.residents import save_consent
from schemas.classes import SYSTEM
from schemas.records import KINDS
from schemas.standard import OF_RESIDENTS
from tests.builders import BASE, City, a_city, a_session
from tests.planted import Plants, worded
from tests.web.town import PASSWORD, token

T = TypeVar("T")
Json = dict[str, Any]

BASE_ROWS = [
    a_session("2026-05-01T08:00:00+08:00", sport="walking", hr_avg=101),
    a_session("2026-05-04T08:00:00+08:00", minutes=30, sport="cycling", hr_avg=111),
]
"""What every resident of a pair has, and whoever has any consent may see."""


CURVES = {
    "heart-rate": {"interval_s": 1, "values": [117, 133, 149] * 40},
    "latitude": {"interval_s": 1, "values": [31.2304719] * 120},
    "longitude": {"interval_s": 1, "values": [121.4737137] * 120},
}


class Deliveries(httpx.AsyncBaseTransport):
    """A receiver without memory of its own: what was pushed, with the host it went to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(404)
        self.sent.append((f"{request.url.host}{request.url.path}", str(request.headers.raw).encode() + await request.aread()))
        return httpx.Response(200, json={"resourceType": "Bundle", "type": "transaction-response"})


class Reader(msgspec.Struct):
    """Somebody who asks: by a client's token, at the pages of a doctor and of staff at a desk, and by taking deliveries."""

    hospital: Party
    cloud: Party
    browser: httpx.AsyncClient
    desk: httpx.AsyncClient

    @property
    def host(self) -> str:
        return str(httpx.URL(self.cloud.deliver_to or "").host)

    @property
    def parties(self) -> tuple[tuple[Party, str], ...]:
        return (self.hospital, "TREAT"), (self.cloud, "PUBHLTH")


class Case(msgspec.Struct):
    """One attack, arranged: `hidden` has what `denied` may not see, `absent` really has not.

    ids, twins: what to aim at, as Type/id, of the hidden and of the absent one; without `twins` such ids never were
    values: hidden figures to search by; link: a page link taken earlier; headers: sent along
    alike: whether both are told the same (a later version has another number); allowed: whom the allowed reader sees instead
    """

    hidden: UUID
    absent: UUID
    plants: Plants
    ids: list[str] = []
    twins: list[str] = []
    values: tuple[str, ...] = ()
    link: str = ""
    headers: dict[str, str] = {}
    alike: bool = True
    allowed: UUID | None = None
    allowed_ids: list[str] = []


class Leaks(msgspec.Struct):
    """The hub and who uses it."""

    city: City
    center: Party
    gym: Party
    denied: Reader
    allowed: Reader
    deliveries: Deliveries
    order: int = 10
    receipts: dict[UUID, list[str]] = {}

    async def resident(self, **more: Any) -> UUID:
        """Residents are told apart by their numbers alone."""
        self.order += 1
        return await self.city.resident("沈知遥", self.order, **more)

    async def pair(self, **more: Any) -> tuple[UUID, UUID]:
        """Two residents with the same base."""
        made = await self.resident(**more), await self.resident(**more)
        for one in made:
            await self.send(self.center, BASE_ROWS, one)
        return made

    async def send(self, party: Party, rows: list[Json], resident: UUID) -> None:
        answer = await self.city.upload(party, {"records": rows}, resident=resident)
        assert answer.status_code in (200, 201), answer.text
        self.receipts.setdefault(resident, []).append(answer.json()["receipt_id"])

    async def plant(self, resident: UUID, plants: Plants, kinds: Iterable[str] = OF_RESIDENTS, party: Party | None = None) -> None:
        """One record of each kind, every text of it a marker, and a session with an odd figure."""
        await self.send(party or self.center, [*rows_of(plants, kinds)], resident)

    async def agree(self, resident: UUID, reader: Reader, *nested: Json, only: Json | None = None, **elements: Any) -> list[UUID]:
        """A Consent each for the reader's hospital and cloud. `only` narrows what is permitted, `nested` are exceptions."""
        made = []
        for party, purpose in reader.parties:
            provision = {
                "type": "permit",
                "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": party.reference}}],
                "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": purpose}],
                **({"provision": list(nested)} if nested else {}),
                **(only if only is not None else {"class": classes("*")}),
            }
            made.append(await self.consent(resident, provision, **elements))
        return made

    async def consent(self, resident: UUID, provision: Json, **elements: Any) -> UUID:
        body = {
            "status": "active", "patient": {"reference": f"Patient/{resident}"}, "dateTime": "2026-01-01T00:00:00+08:00",
            "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
            "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}], "provision": provision, **elements,
        }  # fmt: skip
        return UUID(await save_consent(self.city.hub, resident, lambda _: body, actor=f"Patient/{resident}", action="consent-grant"))

    async def helped(self, resident: UUID, plants: Plants) -> UUID:
        """A decision that staff of the centre recorded for a resident, with a scan that is a marker."""
        case, marker, hub = uuid4(), plants.text("scan"), self.city.hub
        async with hub.database.connection() as connection:
            staff = await connection.fetchval("SELECT id FROM accounts WHERE party = $1", self.center.number)
            found = (await hub.vault.subjects(connection, [resident])).get(resident)
            if found is None:
                return case
            choice = assists.Choice("grant", self.gym.id, "TREAT", 1, until=datetime.now(UTC).date())
            scan = assists.Paper("1-00000000", "application/pdf", f"%PDF- {marker}".encode())
            await connection.execute(
                "INSERT INTO assists (bucket, id, resident, party, account, channel, checked, state, expires, choice, paper, witness, decided) "
                "VALUES ($1, $2, $3, $4, $5, 'desk', 'id-card', 'waiting', now() + interval '1 day', $6, $7, $5, now())",
                bucket_of(resident), case, resident, self.center.number, staff,
                found.seal("assists", msgspec.json.encode(choice), case.bytes, b"choice"),
                found.seal("assists", msgspec.msgpack.encode(scan), case.bytes, b"paper"),
            )  # fmt: skip
        return case

    async def withdraw(self, resident: UUID, consents: Iterable[UUID]) -> None:
        for consent in consents:
            await self.city.withdraw(resident, consent)

    async def deliver(self) -> None:
        """Send all that is owed now."""
        async with httpx.AsyncClient(transport=self.deliveries) as http:
            resting = Resting()
            while await worker.deliver_one(self.city.hub, http, {}, resting) or await notices.send_one(self.city.hub, http, resting):
                pass

    async def rows(self, statement: str, *values: Any) -> list[Row]:
        async with self.city.hub.database.connection() as connection:
            return list(await connection.fetch(statement, *values))

    async def shown(self, resident: UUID, plants: Plants | None = None) -> list[str]:
        """References of what the allowed reader gets of a resident, newest first; with `plants` only of what holds a marker."""
        found = await self.city.get(self.allowed.hospital, f"Patient/{resident}/$everything", _count=1000)
        assert found.status_code == 200, found.text
        resources = [entry["resource"] for entry in found.json()["entry"]]
        told = [one for one in resources if plants is None or plants.scanner().found(json.dumps(one, ensure_ascii=False).encode())]
        return [f"{one['resourceType']}/{one['id']}" for one in told]


def rows_of(plants: Plants, kinds: Iterable[str]) -> Iterator[Json]:
    wanted = set(kinds)
    for row in json.loads(kinehub_json.sample):
        if row["record"]["kind"] in wanted:
            record = worded(KINDS[row["record"]["kind"]], row["record"], plants)
            if record["kind"] == "session":  # what pages and tables show of it
                record["sport"] = "badminton"
                plants.keep("羽毛球")
                yield {"record": record, "series": CURVES}
                continue
            yield {"record": record}


def classes(*codes: str) -> list[Json]:
    """Data classes of a provision; `*` is every ordinary one."""
    from schemas.classes import CODES

    listed = [code for code in CODES if code not in ("biometric", "identity")] if codes == ("*",) else list(codes)
    return [{"system": SYSTEM, "code": code} for code in listed]


async def _reader(stack: AsyncExitStack, city: City, name: str) -> Reader:
    hospital = await city.party(f"{name} hospital", "hospital", purposes=("TREAT", "BTG"), notify_to=f"https://{name}.example/consents")
    cloud = await city.party(f"{name} cloud", "city-cloud", deliver_to=f"https://{name}.example/fhir")
    async with city.hub.database.connection() as connection:
        await accounts.add(connection, city.hub.keyring, login=name, name="李医生", role="doctor", password=PASSWORD, party=hospital.number)
        await accounts.add(connection, city.hub.keyring, login=f"{name} desk", name="周老师", role="staff", password=PASSWORD, party=hospital.number)
    return Reader(hospital, cloud, await _signed_in(stack, city, name), await _signed_in(stack, city, f"{name} desk"))


async def _signed_in(stack: AsyncExitStack, city: City, login: str) -> httpx.AsyncClient:
    browser = await stack.enter_async_context(httpx.AsyncClient(transport=city.http._transport, base_url=BASE, timeout=60))
    page = await browser.get("/sign-in")
    answer = await browser.post("/sign-in", data={"csrf": token(page.text), "login": login, "password": PASSWORD, "next": ""})
    assert answer.status_code == 303, answer.text
    return browser


class Stage:
    """A loop that keeps the hub open between tests."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.leaks = self.run(self._open(database_url, folder))

    async def _open(self, database_url: str, folder: Path) -> Leaks:
        city = await self.stack.enter_async_context(a_city(database_url, folder))
        center, gym = await city.party("Center", "fitness-center"), await city.party("Gym B", "fitness-center")
        async with city.hub.database.connection() as connection:
            await accounts.add(connection, city.hub.keyring, login="center desk", name="陈老师", role="staff", password=PASSWORD, party=center.number)
        return Leaks(city, center, gym, await _reader(self.stack, city, "denied"), await _reader(self.stack, city, "allowed"), Deliveries(), receipts={})

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()


def a_moment_ago() -> str:
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() - 1, UTC).isoformat(timespec="milliseconds")
