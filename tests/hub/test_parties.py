"""What a hub must know of its parties: where residents reach them, what lets records go abroad, and whom a breach at one of them touches."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hub.cli import cli
from hub.settings import load
from hub.store import parties
from schemas.errors import BadRequest
from tests.builders import BASE, a_city, a_session, an_id_number
from tests.exchange.test_own_consent import a_consent, signed_in


def test_whatever_a_resident_wrote_a_party_abroad_sees_nothing_without_a_basis(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("中心", "fitness-center")
            home = await city.party("滨江健身馆", "fitness-center", country="CN")
            shut = await city.party("Watch Cloud", "wearable-cloud", country="US")
            with_basis = await city.party("Clinic Overseas", "wearable-cloud", country="SG", transfer_basis="标准合同备案 2026-0001")
            resident = await city.resident()
            await city.upload(center, a_session(), resident=resident)
            await city.upload(shut, a_session("2026-05-09T08:00:00+08:00"), resident=resident)
            browser, csrf = await signed_in(city, resident)
            everybody = {key: value for key, value in a_consent(resident, shut.reference).items() if key != "provision"}
            answer = await browser.post("/fhir/Consent", json=everybody, headers={"X-CSRF-Token": csrf, "Origin": BASE})
            assert answer.status_code == 201, answer.text
            seen = await city.shown(home, resident)
            assert seen == await city.shown(with_basis, resident) != set()
            assert await city.shown(shut, resident) == set(), "not even what it sent itself leaves the country again"
            assert (await city.get(shut, f"Observation/{next(iter(seen))}")).status_code == 404
            await browser.aclose()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"country": "US"}, "transfer_basis"),
        ({"country": "US", "kind": "city-cloud", "deliver_to": "https://cloud.example/fhir"}, "transfer_basis"),
        ({"country": "CN", "transfer_basis": "x"}, "transfer_basis"),
        ({"transfer_basis": "x"}, "transfer_basis"),
        ({"country": "usa"}, "country"),
        ({"country": "cn"}, "country"),
    ],
)
def test_a_party_abroad_that_is_to_receive_needs_what_lets_records_go_there(hub_url: str, tmp_path: Path, more: dict[str, str], field: str) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            with pytest.raises(BadRequest) as refused:
                await city.party("Clinic", **{"kind": "hospital"} | more)
            assert refused.value.field == field
            async with city.hub.database.connection() as connection:
                assert await parties.everyone(connection) == []

    asyncio.run(body())


def test_where_a_party_is_reached_is_in_the_directory_with_every_change(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital = await city.party("市第二医院", "hospital", contact="privacy@hospital.example", country="CN")
            first = (await city.get(hospital, hospital.reference)).json()
            async with city.hub.database.connection() as connection:
                await parties.reach(connection, hospital.id, "021-00000001")
            second = (await city.get(hospital, hospital.reference)).json()
            assert first["telecom"] == [{"system": "email", "value": "privacy@hospital.example"}]
            assert first["address"] == [{"country": "CN"}]
            assert second["telecom"] == [{"system": "phone", "value": "021-00000001"}]
            assert (first["meta"]["versionId"], second["meta"]["versionId"]) == ("1", "2")
            history = (await city.get(hospital, f"{hospital.reference}/_history")).json()
            assert [entry["resource"]["telecom"] for entry in history["entry"]] == [second["telecom"], first["telecom"]]

    asyncio.run(body())


def test_after_a_breach_the_residents_whom_a_party_saw_are_listed(hub_url: str, tmp_path: Path) -> None:
    start = datetime.now(UTC)

    def affected(party: Any, since: datetime, until: datetime, *more: str) -> Any:
        times = ["--since", since.isoformat(), "--until", until.isoformat()]
        line = ["--data-dir", str(tmp_path), "--database-url", hub_url, "--json", "audit", "affected", "--party", str(party.id), *times, *more]
        done = CliRunner(env={"KINEHUB_KEYRING": str(load(tmp_path).keyring)}).invoke(cli, line)
        assert done.exit_code in (0, 2), done.exception
        return json.loads(done.stdout) if done.exit_code == 0 else done.stderr

    async def body() -> tuple[Any, Any, list[Any]]:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital = await city.party("中心", "fitness-center"), await city.party("医院", "hospital")
            residents = [await city.resident(name, number) for number, name in enumerate(("王秀英", "李建国", "周平"), start=2)]
            for resident in residents:
                await city.upload(center, a_session(), resident=resident)
            for resident in residents[:2]:
                await city.grant(resident, hospital)
            for resident in (residents[0], residents[0], *residents):
                await city.get(hospital, "Observation", patient=str(resident))
            return center, hospital, residents

    center, hospital, residents = asyncio.run(body())
    now = datetime.now(UTC) + timedelta(minutes=1)
    found = affected(hospital, start, now)
    assert [(one["resident"], one["times"], one["purposes"]) for one in found] == [(str(residents[0]), 3, ["TREAT"]), (str(residents[1]), 1, ["TREAT"])]
    assert affected(hospital, start, now, "--actor", "Device/other") == []
    assert affected(hospital, start - timedelta(days=1), start) == affected(center, start, now) == []
    assert "lies before" in affected(hospital, now, start)


def test_an_upload_registers_whom_nobody_knows_where_the_party_may(hub_url: str, tmp_path: Path) -> None:
    def row(order: int, start: str, **who: object) -> dict[str, Any]:
        return a_session(start) | {"who": {"name": f"新人{order}", "id_number": an_id_number(order), **who}}

    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            kiosk, gym = await city.party("小屋", "kiosk", may_register=True), await city.party("健身馆", "fitness-center")
            first = row(41, "2026-05-01T08:00:00+08:00", member_number="M-41", gender="female", birth_date="1955-04-17")
            refused = await city.upload(gym, {"records": [first]})
            assert (refused.status_code, refused.json()["pending"][0]["reason"]) == (207, "unknown")
            rows = [first, row(41, "2026-05-02T08:00:00+08:00"), row(42, "2026-05-03T08:00:00+08:00", id_number=None, phone="19900000042"),
                    row(43, "2026-05-04T08:00:00+08:00", phone="not a phone")]  # fmt: skip
            taken = await city.upload(kiosk, {"records": rows})
            assert taken.status_code == 207, taken.text
            made = {record["resident_id"] for record in taken.json()["records"]}
            assert (len(taken.json()["records"]), len(made)) == (2, 1), "two rows of one person"
            assert [one["row"] for one in taken.json()["pending"]] == [3, 4], "no number, and a phone that is none"
            known = (await city.upload(kiosk, {"records": [a_session("2026-05-05T08:00:00+08:00") | {"who": {"member_number": "M-41"}}]})).json()
            assert {record["resident_id"] for record in known["records"]} == made
            (resident,) = made
            person = (await city.http.get(f"/fhir/Patient/{resident}", headers=await city.bearer(kiosk))).json()
            assert (person["gender"], person["birthDate"]) == ("female", "1955-04-17")
            assert (await city.get(gym, f"Patient/{resident}")).status_code == 404
            async with city.hub.database.connection() as connection:
                registered = await connection.fetch("SELECT actor, resident FROM audit WHERE action = 'register'")
            assert [(one["actor"], str(one["resident"])) for one in registered] == [(kiosk.reference, resident)]

    asyncio.run(body())


def test_one_member_number_of_two_people_makes_neither_the_other(hub_url: str, tmp_path: Path) -> None:
    """A party that may register could make somebody's ID number a second one of its own resident, to whom all their records would go."""

    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            kiosk, gym = await city.party("小屋", "kiosk", may_register=True), await city.party("健身馆", "fitness-center")
            rows = [a_session(f"2026-05-0{day}T08:00:00+08:00") | {"who": {"member_number": "M-7", "name": "王秀英", "id_number": an_id_number(order)}}
                    for day, order in ((1, 51), (2, 52))]  # fmt: skip
            taken = await city.upload(kiosk, {"records": rows})
            assert (taken.status_code, [one["row"] for one in taken.json()["pending"]]) == (207, [2])
            (one,) = taken.json()["records"]
            theirs = await city.upload(gym, a_session() | {"who": {"id_number": an_id_number(52)}})
            assert (theirs.status_code, theirs.json()["pending"][0]["reason"]) == (207, "unknown")
            person = json.dumps({"name": "李建国", "id_number": an_id_number(52), "member_numbers": [{"party": str(kiosk.id), "number": "M-7"}]})
            command = ["--data-dir", str(tmp_path), "--database-url", hub_url, "resident", "add", "--from", "-"]
            operator = CliRunner(env={"KINEHUB_KEYRING": str(load(tmp_path).keyring)})
            refused = await asyncio.to_thread(operator.invoke, cli, command, person)
            assert "belong to different residents" in str(refused.exception), refused.output
            known = await city.get(kiosk, f"Patient/{one['resident_id']}")
            assert known.json()["name"][0]["text"] == "王秀英"

    asyncio.run(body())


def test_a_resident_who_was_known_without_an_id_number_gets_one(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            gym = await city.party("健身馆", "fitness-center")
            first = await city.resident(order=61, members=[(gym, "M-8")], id_number=None, phone=None)
            assert await city.resident(order=61, members=[(gym, "M-8")]) == first
            stored = await city.upload(gym, a_session() | {"who": {"id_number": an_id_number(61)}})
            assert [one["resident_id"] for one in stored.json()["records"]] == [str(first)]

    asyncio.run(body())
