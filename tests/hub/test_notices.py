"""Receivers are told that a Consent which names them was given, changed or withdrawn, until they confirm; the resident sees who has not."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from joserfc import jws
from joserfc.jwk import KeySet

from hub.access import accounts
from hub.delivery import notices, worker
from hub.delivery.resting import Resting
from hub.store import erasure, grants, residents
from tests.builders import BASE, City, a_city, a_session
from tests.web.town import PASSWORD, token


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


class Receiver(httpx.AsyncBaseTransport):
    """Somebody else's endpoint: what it was told, and the status it answers with."""

    def __init__(self) -> None:
        self.told: list[tuple[str, httpx.Headers, bytes]] = []
        self.status = 200

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.told.append((str(request.url), request.headers, await request.aread()))
        return httpx.Response(self.status)

    def changes(self) -> list[str]:
        return [json.loads(body)["change"] for _, _, body in self.told]


async def send(city: City, receiver: Receiver, *, again: bool = False) -> None:
    if again:  # as time would: the next attempt is due
        async with city.hub.database.connection() as connection:
            await connection.execute("UPDATE consent_notices SET next_at = now()")
    async with httpx.AsyncClient(transport=receiver) as http:
        while await notices.send_one(city.hub, http, Resting()):
            pass


async def a_notified_hospital(city: City) -> Any:
    return await city.party("市第二医院", "hospital", notify_to="https://hospital.example/consents")


def test_a_receiver_is_told_signed_of_a_grant_and_its_withdrawal_in_order(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident, receiver = await a_notified_hospital(city), await city.resident(), Receiver()
            center = await city.party("Center", "fitness-center")
            await city.upload(center, a_session(note="膝盖不舒服"), resident=resident)
            consent = await city.grant(resident, hospital, "activity")
            await city.withdraw(resident, consent)
            await send(city, receiver)
            assert receiver.changes() == ["granted", "withdrawn"]
            url, headers, body = receiver.told[1]
            assert url == "https://hospital.example/consents"
            told = json.loads(body)
            assert told.pop("at")
            assert told == {
                "event": "consent-changed", "change": "withdrawn", "patient": f"Patient/{resident}", "consent": f"Consent/{consent}", "version": 2,
                "recipient": hospital.reference, "issuer": BASE,
            }  # fmt: skip
            keys = KeySet.import_key_set((await city.http.get("/oauth/jwks")).json())
            head, _, signature = headers["X-KineHub-Signature"].partition("..")
            assert jws.deserialize_compact(f"{head}..{signature}", keys, algorithms=["ES256"], payload=body).payload == body
            assert len({headers["Idempotency-Key"] for _, headers, _ in receiver.told}) == 2
            await send(city, receiver)
            assert len(receiver.told) == 2

    run(work())


def test_withdrawal_holds_at_once_while_the_receiver_is_down_and_the_resident_sees_that_it_has_not_confirmed(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident, receiver = await a_notified_hospital(city), await city.resident(), Receiver()
            center = await city.party("Center", "fitness-center")
            await city.upload(center, a_session(), resident=resident)
            consent = await city.grant(resident, hospital, "activity")
            await send(city, receiver)
            receiver.status = 503
            assert await city.shown(hospital, resident)
            await city.withdraw(resident, consent)
            assert not await city.shown(hospital, resident)
            await send(city, receiver)
            page = await grants_page(city, resident)
            assert "还没有确认：市第二医院" in page
            receiver.status = 204
            await send(city, receiver, again=True)
            page = await grants_page(city, resident)
            assert "还没有确认" not in page
            receipt = await grants_page(city, resident, f"/{consent}")
            assert "已经确认：市第二医院" in receipt
            assert receiver.changes() == ["granted", "withdrawn", "withdrawn"]

    run(work())


async def grants_page(city: City, resident: Any, path: str = "") -> str:
    async with city.hub.database.connection() as connection:
        if not await connection.fetchval("SELECT 1 FROM accounts WHERE resident = $1", resident):
            await accounts.add(connection, city.hub.keyring, login="wang", name="王秀英", role="resident", password=PASSWORD, resident=resident)
    async with httpx.AsyncClient(transport=city.http._transport, base_url=BASE) as browser:
        page = await browser.get("/sign-in")
        await browser.post("/sign-in", data={"csrf": token(page.text), "login": "wang", "password": PASSWORD, "next": ""})
        return (await browser.get(f"/resident/grants{path}")).text


def test_a_later_change_is_told_after_the_one_before_it_was_confirmed(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident, receiver = await a_notified_hospital(city), await city.resident(), Receiver()
            await city.withdraw(resident, await city.grant(resident, hospital, "activity"))
            receiver.status = 500
            await send(city, receiver)
            assert receiver.changes() == ["granted"]
            receiver.status = 200
            await send(city, receiver, again=True)
            assert receiver.changes() == ["granted", "granted", "withdrawn"]

    run(work())


def test_who_does_not_answer_holds_up_nobody_else(hub_url: str, tmp_path: Path) -> None:
    class Silent(Receiver):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await super().handle_async_request(request)
            if request.url.host == "hospital.example":
                raise httpx.ReadTimeout("it never answers")
            return answer

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident, receiver = await a_notified_hospital(city), await city.resident(), Silent()
            clinic = await city.party("社区卫生服务中心", "community-clinic", notify_to="https://clinic.example/consents")
            for _ in range(3):
                await city.grant(resident, hospital, "activity")
            await city.grant(resident, clinic, "activity")
            async with httpx.AsyncClient(transport=receiver) as http:
                resting = Resting()
                while await notices.send_one(city.hub, http, resting):
                    pass
            assert [url for url, _, _ in receiver.told] == ["https://hospital.example/consents", "https://clinic.example/consents"]

    run(work())


def test_a_cloud_that_does_not_answer_holds_up_no_other(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            clouds = [await city.party(name, "city-cloud", deliver_to=f"https://{name}.example/fhir") for name in ("silent", "other")]
            center, asked = await city.party("Center", "fitness-center"), list[str]()
            for order in (2, 3, 4):
                resident = await city.resident(order=order)
                for cloud in clouds:
                    await city.grant(resident, cloud, "activity", purpose="PUBHLTH")
                await city.upload(center, a_session(), resident=resident)

            async def answer(request: httpx.Request) -> httpx.Response:
                asked.append(f"{request.method} {request.url.host}")
                if request.url.host == "silent.example":
                    raise httpx.ReadTimeout("it never answers")
                return httpx.Response(404 if request.method == "GET" else 200)

            async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
                resting, tokens = Resting(), worker.Tokens()
                while await worker.deliver_one(city.hub, http, tokens, resting):
                    pass
            assert asked.count("GET silent.example") == 1
            assert asked.count("POST other.example") == 3

    run(work())


def test_a_receiver_that_is_slow_to_give_a_token_gains_no_time_after_a_withdrawal(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            cloud = await city.party("City cloud", "city-cloud", deliver_to="https://cloud.example/fhir", token_url="https://cloud.example/token")
            center, resident, asked = await city.party("Center", "fitness-center"), await city.resident(), list[str]()
            consent = await city.grant(resident, cloud, "activity", purpose="PUBHLTH")
            await city.upload(center, a_session(), resident=resident)

            async def answer(request: httpx.Request) -> httpx.Response:
                asked.append(request.url.path)
                if request.url.path == "/token":
                    await city.withdraw(resident, consent)
                return httpx.Response(200, json={"access_token": "t", "expires_in": 300})

            async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
                while await worker.deliver_one(city.hub, http, {}, Resting()):
                    pass
            assert asked == ["/token"]
            async with city.hub.database.connection() as connection:
                assert {row["status"] for row in await worker.listing(connection) if row["what"] == "record"} == {"suppressed"}

    run(work())


def test_a_packed_answer_is_not_unpacked(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            cloud = await city.party("City cloud", "city-cloud", deliver_to="https://cloud.example/fhir", token_url="https://cloud.example/token")
            resident = await city.resident()
            await city.grant(resident, cloud, "activity", purpose="PUBHLTH")
            await city.upload(await city.party("Center", "fitness-center"), a_session(), resident=resident)
            bomb, headers = gzip.compress(bytes(2**20)), {"Content-Encoding": "gzip"}
            async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=bomb, headers=headers))) as http:
                resting = Resting()
                while await worker.deliver_one(city.hub, http, {}, resting):
                    pass
            async with city.hub.database.connection() as connection:
                rows = [row for row in await worker.listing(connection) if row["status"] == "owed"]
            assert {row["reason"] for row in rows if row["attempts"]} == {"its answer is packed"}

    run(work())


def test_only_those_who_are_named_and_asked_to_be_told_are(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident, receiver = await a_notified_hospital(city), await city.resident(), Receiver()
            other = await city.party("Other", "hospital", notify_to="https://other.example/consents")
            silent = await city.party("Silent", "hospital")
            await city.grant(resident, hospital, "activity")
            await city.grant(resident, silent, "activity")
            await send(city, receiver)
            assert [url for url, _, _ in receiver.told] == ["https://hospital.example/consents"]
            everybody = {"status": "active", "patient": {"reference": f"Patient/{resident}"}, "provision": {"type": "deny"}}
            await residents.save_consent(city.hub, resident, lambda _: everybody, actor="test", action="consent-grant")
            await send(city, receiver)
            assert [url for url, _, _ in receiver.told[1:]] == ["https://hospital.example/consents"]
            permit = everybody | {"provision": {"type": "permit"}}
            await residents.save_consent(city.hub, resident, lambda _: permit, actor="test", action="consent-grant")
            await send(city, receiver)
            assert {url for url, _, _ in receiver.told[2:]} == {"https://hospital.example/consents", other.notify_to}

    run(work())


def test_who_never_met_a_resident_is_not_told_what_they_refuse(hub_url: str, tmp_path: Path) -> None:
    """That there is such a resident, that they pause, hide a record or switch off a source. Who saw or sent anything has copies, and is told."""

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            resident, receiver = await city.resident(), Receiver()
            names = ("stranger", "saw", "sent")
            stranger, saw, sent = [await city.party(name, "hospital", notify_to=f"https://{name}.example/consents") for name in names]
            ids = (await city.upload(sent, a_session(), resident=resident)).json()["records"][0]["resources"]
            consent = await city.grant(resident, saw, "activity")
            assert await city.shown(saw, resident)
            assert not await city.shown(stranger, resident)
            await city.withdraw(resident, consent)
            await send(city, receiver)
            receiver.told.clear()
            for more in ({}, {"source": sent}, {"instances": ids[:1]}):
                await city.withdraw(resident, UUID(await grants.refuse(city.hub, resident, actor="test", **more)))
            await send(city, receiver)
            told = [httpx.URL(url).host.partition(".")[0] for url, _, _ in receiver.told]
            assert {name: told.count(name) for name in names} == {"stranger": 0, "saw": 6, "sent": 6}

    run(work())


def test_a_receiver_that_a_changed_consent_no_longer_names_is_told(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident, receiver = await a_notified_hospital(city), await city.resident(), Receiver()
            consent = await city.grant(resident, hospital, "activity")
            await send(city, receiver)
            actor = [{"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": "Organization/somebody-else"}}]
            body = {"status": "active", "patient": {"reference": f"Patient/{resident}"}, "provision": {"type": "permit", "actor": actor}}
            await residents.save_consent(city.hub, resident, lambda _: body, actor="test", consent_id=consent, action="consent-change")
            await send(city, receiver)
            assert receiver.changes() == ["granted", "changed"]

    run(work())


def test_a_pause_is_told_as_a_refusal_and_its_end_as_no_withdrawal(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident, receiver = await a_notified_hospital(city), await city.resident(), Receiver()
            await city.upload(hospital, a_session(), resident=resident)
            refusal = await grants.refuse(city.hub, resident, actor="test")
            await city.withdraw(resident, UUID(refusal))
            await send(city, receiver)
            assert receiver.changes() == ["refused", "refusal-withdrawn"]

    run(work())


def test_nothing_is_owed_of_an_erased_resident(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident, receiver = await a_notified_hospital(city), await city.resident(), Receiver()
            await city.grant(resident, hospital, "activity")
            await erasure.erase(city.hub, resident, actor="test")
            await send(city, receiver)
            assert not receiver.told

    run(work())


def test_receivers_of_what_was_still_agreed_to_are_told_of_an_erasure(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, resident, receiver = await a_notified_hospital(city), await city.resident(), Receiver()
            clinic = await city.party("社区卫生服务中心", "community-clinic", notify_to="https://clinic.example/consents")
            kept = await city.grant(resident, hospital, "activity")
            stopped = await city.grant(resident, clinic, "activity")
            await city.withdraw(resident, stopped)
            await send(city, receiver)
            receiver.told.clear()
            await erasure.erase(city.hub, resident, actor="test")
            await send(city, receiver)
            assert [json.loads(body) | {"at": None} for _, _, body in receiver.told] == [{
                "event": "consent-changed", "change": "erased", "patient": f"Patient/{resident}", "consent": f"Consent/{kept}", "version": 2,
                "recipient": hospital.reference, "at": None, "issuer": BASE,
            }]  # fmt: skip

    run(work())
