"""The main job over HTTP: upload, grant, read, withdraw, erase; what consent hides does not exist."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from hub.audit.verify import verify
from hub.store import erasure, grants
from tests.builders import City, a_city, a_pressure, a_session, an_id_number


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def hidden(response: Any) -> tuple[int, bytes, list[tuple[str, str]]]:
    """What an answer tells: status, body, headers but date and request id."""
    headers = sorted((name, text) for name, text in response.headers.items() if name not in ("date", "x-request-id"))
    return response.status_code, response.content, headers


async def filled(city: City) -> tuple[Any, Any, UUID]:
    center = await city.party("Center", "fitness-center")
    hospital = await city.party("Hospital", "hospital")
    resident = await city.resident(members=[(center, "YH-1")])
    rows = [a_session() | {"who": {"member_number": "YH-1"}}, a_session("2026-05-03T08:00:00+08:00") | {"who": {"member_number": "YH-1"}}]
    answer = await city.upload(center, {"records": [*rows, a_pressure() | {"who": {"member_number": "YH-1"}}]})
    assert answer.status_code == 201, answer.text
    return center, hospital, resident


def test_a_grant_shows_exactly_its_classes_and_a_withdrawal_hides_them_at_once(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital, resident = await filled(city)
            assert await city.shown(hospital, resident) == set()
            consent = await city.grant(resident, hospital, "activity")
            activity = await city.shown(hospital, resident)
            everything = await city.shown(center, resident)
            assert activity < everything
            assert await city.shown(hospital, resident, category="vital-signs") == set()
            await city.withdraw(resident, consent)
            assert await city.shown(hospital, resident) == set()
            for id_ in everything:
                unknown = hidden(await city.get(hospital, f"Observation/{uuid4()}-1"))
                assert hidden(await city.get(hospital, f"Observation/{id_}")) == unknown
                assert hidden(await city.get(hospital, f"Observation/{id_}/_history")) == unknown
                assert hidden(await city.get(hospital, f"Observation/{id_}/_history/1")) == unknown

    run(work())


def test_a_grant_reaches_no_further_than_its_data_dates(hub_url: str, tmp_path: Path) -> None:
    from datetime import date

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident = await filled(city)
            await city.grant(resident, hospital, "all", data_from=date(2026, 5, 2), data_until=date(2026, 5, 31))
            found = (await city.get(hospital, "Observation", patient=str(resident), _count=100)).json()
            starts = {(e["resource"].get("effectivePeriod") or {}).get("start", e["resource"].get("effectiveDateTime", ""))[:10] for e in found["entry"]}
            assert starts == {"2026-05-02", "2026-05-03"}

    run(work())


def test_another_purpose_and_another_hospital_see_nothing(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident = await filled(city)
            other = await city.party("Other", "hospital")
            insurer = await city.party("Insurer", "insurer")
            await city.grant(resident, hospital)
            await city.grant(resident, insurer, purpose="TREAT")
            assert await city.shown(hospital, resident)
            assert await city.shown(other, resident) == set()
            assert await city.shown(insurer, resident) == set()

    run(work())


def test_a_purpose_outside_the_token_is_refused(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident = await filled(city)
            headers = await city.bearer(hospital) | {"X-Purpose-Of-Use": "HPAYMT"}
            answer = await city.http.get("/fhir/Observation", params={"patient": str(resident)}, headers=headers)
            assert answer.status_code == 403

    run(work())


def test_paging_shows_each_resource_once_and_a_cursor_works_for_nobody_else(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital, resident = await filled(city)
            await city.grant(resident, hospital, "all")
            for order in ({}, {"_sort": "date"}, {"_sort": "-date"}):
                seen: list[str] = []
                answer = await city.get(hospital, "Observation", patient=str(resident), _count=3, **order)
                while True:
                    bundle = answer.json()
                    seen += [entry["resource"]["id"] for entry in bundle["entry"]]
                    following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
                    if not following:
                        break
                    stolen = await city.http.get(following[0], headers=await city.bearer(center))
                    assert stolen.status_code == 400
                    answer = await city.http.get(following[0], headers=await city.bearer(hospital))
                assert len(seen) == len(set(seen)) == len(await city.shown(hospital, resident))

    run(work())


def test_fifty_parallel_uploads_of_one_file_make_one_record(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            resident = await city.resident()
            answers = await asyncio.gather(*(city.upload(center, a_session(), resident=resident) for _ in range(50)))
            assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
            records = {answer.json()["records"][0]["record_id"] for answer in answers}
            assert len(records) == 1
            async with city.hub.database.connection() as connection:
                assert await connection.fetchval("SELECT count(*) FROM records WHERE kind = 1") == 1

    run(work())


def test_a_correction_becomes_a_new_version_and_the_old_one_stays_readable(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            resident = await city.resident()
            first = (await city.upload(center, a_session(), resident=resident)).json()
            second = (await city.upload(center, a_session(hr_avg=125), resident=resident)).json()
            assert second["status"] == "updated"
            assert second["records"][0]["record_id"] == first["records"][0]["record_id"]
            versions = {}
            for reference in first["records"][0]["resources"]:
                bundle = (await city.get(center, f"{reference}/_history")).json()
                versions[reference] = bundle["total"]
            assert sorted(versions.values())[-1] == 2
            assert 1 in versions.values()

    run(work())


def test_an_idempotency_key_answers_the_same_and_refuses_other_content(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            resident = await city.resident()
            key = {"Idempotency-Key": "k-1"}
            first = await city.upload(center, a_session(), resident=resident, headers=key)
            again = await city.upload(center, a_session(), resident=resident, headers=key)
            other = await city.upload(center, a_session(hr_avg=99), resident=resident, headers=key)
            assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
            assert again.json()["receipt_id"] == first.json()["receipt_id"]

    run(work())


def test_rows_of_nobody_known_wait_and_can_be_settled(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            resident = await city.resident()
            answer = await city.upload(center, {"records": [a_session() | {"who": {"member_number": "NEW-1"}}]})
            receipt = answer.json()
            assert (answer.status_code, receipt["status"], receipt["pending"][0]["reason"]) == (207, "pending", "unknown")
            path = f"/intake/receipts/{receipt['receipt_id']}/pending/{receipt['pending'][0]['row']}"
            headers = await city.bearer(center, "intake.write")
            settled = await city.http.post(path, json={"resident": str(resident)}, headers=headers)
            assert settled.status_code == 200
            assert (len(settled.json()["records"]), settled.json()["pending"], settled.json()["status"]) == (1, [], "stored")

    run(work())


def test_a_file_naming_another_person_is_refused(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            one = await city.resident("甲", 2)
            await city.resident("乙", 3)
            answer = await city.upload(center, a_session() | {"who": {"id_number": an_id_number(3)}}, resident=one)
            assert (answer.status_code, answer.json()["code"]) == (403, "other-person")
            answer = await city.upload(center, a_session() | {"who": {"id_number": an_id_number(9)}}, resident=one)
            assert answer.status_code == 403

    run(work())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"end": "2026-05-01T07:00:00+08:00"}, "end-before-start"),
        ({"start": "1989-12-31T00:00:00Z", "end": "1990-01-01T00:00:00Z"}, "date-too-early"),
        ({"start": "2090-01-01T00:00:00Z", "end": "2090-01-01T01:00:00Z"}, "date-in-future"),
        ({"hr_avg": 1045}, "out-of-range"),
        ({"laps": [{"distance_m": 400}] * 5001}, "list-too-long"),
        ({"title": "长" * 20_001}, "text-too-long"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_stored(hub_url: str, tmp_path: Path, change: dict[str, Any], code: str) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            resident = await city.resident()
            answer = await city.upload(center, {"record": a_session()["record"] | change}, resident=resident)
            assert (answer.status_code, answer.json()["code"]) == (422, code)
            assert answer.headers["content-type"] == "application/problem+json"
            async with city.hub.database.connection() as connection:
                assert await connection.fetchval("SELECT count(*) FROM records WHERE kind = 1") == 0

    run(work())


UNUSABLE = [(b"", "auto", 422), (b"\0\1\2garbage", "auto", 415), (b"x", "nothing", 415), (b"{", "kinehub-json", 422)]


@pytest.mark.parametrize(("body", "format_", "status"), UNUSABLE)
def test_unusable_files_are_refused_with_a_reason(hub_url: str, tmp_path: Path, body: bytes, format_: str, status: int) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            answer = await city.upload(center, body, resident=await city.resident(), format_=format_)
            assert answer.status_code == status
            assert answer.json()["title"]

    run(work())


def test_an_unknown_search_parameter_is_an_error_unless_leniency_is_asked(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident = await filled(city)
            strict = await city.get(hospital, "Observation", patient=str(resident), nonsense="1")
            assert strict.status_code == 400
            assert strict.json()["resourceType"] == "OperationOutcome"
            headers = await city.bearer(hospital) | {"Prefer": "handling=lenient"}
            lenient = await city.http.get("/fhir/Observation", params={"patient": str(resident), "nonsense": "1"}, headers=headers)
            assert lenient.status_code == 200
            assert (await city.get(hospital, "Observation", code="8867-4")).status_code == 400

    run(work())


def test_a_patient_is_found_by_identifier_in_a_post_and_never_in_a_url(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident = await filled(city)
            system = "urn:oid:2.16.156.10011.1.3"
            asked = {"identifier": f"{system}|{an_id_number(2)}"}
            headers = await city.bearer(hospital)
            before = (await city.http.post("/fhir/Patient/_search", data=asked, headers=headers)).json()
            unknown = (await city.http.post("/fhir/Patient/_search", data={"identifier": f"{system}|{an_id_number(77)}"}, headers=headers)).json()
            assert before == unknown
            await city.grant(resident, hospital, "identity")
            found = (await city.http.post("/fhir/Patient/_search", data=asked, headers=headers)).json()
            assert [entry["resource"]["id"] for entry in found["entry"]] == [str(resident)]
            assert an_id_number(2) not in str(found["link"])
            assert (await city.http.get("/fhir/Patient", params=asked, headers=headers)).status_code == 400

    run(work())


def test_provenance_is_found_by_its_target_and_goes_along_as_a_reverse_include(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident = await filled(city)
            await city.grant(resident, hospital)
            one = sorted(await city.shown(hospital, resident))[0]
            found = (await city.get(hospital, "Provenance", target=f"Observation/{one}")).json()
            assert [entry["resource"]["resourceType"] for entry in found["entry"]] == ["Provenance"]
            both = (await city.get(hospital, "Observation", _id=one, _revinclude="Provenance:target")).json()
            assert sorted((entry["resource"]["resourceType"], entry["search"]["mode"]) for entry in both["entry"]) == [
                ("Observation", "match"),
                ("Provenance", "include"),
            ]

    run(work())


def test_the_interface_describes_itself_to_anyone(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            page = await city.http.get("/docs")
            assert page.status_code == 200
            assert "/intake/{format_}" in page.text
            assert (await city.http.get("/fhir/metadata")).json()["fhirVersion"] == "4.0.1"
            assert (await city.http.get("/fhir/.well-known/smart-configuration")).json()["token_endpoint"].endswith("/oauth/token")
            assert (await city.http.get("/healthz")).json() == {"status": "up"}
            assert (await city.http.get("/readyz")).json() == {"status": "ready"}
            assert "kinehub_requests_total" in (await city.http.get("/metrics")).text

    run(work())


def test_everything_holds_what_searches_show(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident = await filled(city)
            assert (await city.get(hospital, f"Patient/{resident}/$everything")).status_code == 404
            await city.grant(resident, hospital, "all")
            found = (await city.get(hospital, f"Patient/{resident}/$everything")).json()
            types = {entry["resource"]["resourceType"] for entry in found["entry"]}
            assert types == {"Patient", "Observation", "Provenance"}
            observations = {entry["resource"]["id"] for entry in found["entry"] if entry["resource"]["resourceType"] == "Observation"}
            assert observations == await city.shown(hospital, resident)

    run(work())


def test_every_look_is_listed_to_the_resident_with_its_consent_and_the_trail_is_intact(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident = await filled(city)
            consent = await city.grant(resident, hospital)
            await city.shown(hospital, resident)
            last = (await grants.looks(city.hub, resident))[0]
            assert (last["party"], last["purpose"], last["rule"], last["outcome"]) == ("Hospital", "TREAT", f"Consent/{consent}", "shown")
            assert last["detail"]["shown"]["Observation"] > 0
            assert {"moderate-minutes", "hr-mean"} & set(last["detail"]["fields"])
            await city.grant(resident, hospital, "identity")
            await city.get(hospital, f"Patient/{resident}")
            assert {"Patient.name", "Patient.identifier"} <= set((await grants.looks(city.hub, resident))[0]["detail"]["fields"])
            async with city.hub.database.connection() as connection:
                assert (await verify(connection, city.hub.trail.heads)).intact

    run(work())


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE audit SET outcome = 'tampered' WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 3",
        "DELETE FROM audit WHERE seq >= (SELECT max(seq) - 1 FROM audit)",
        "UPDATE audit SET seq = CASE seq WHEN 2 THEN -3 WHEN 3 THEN -2 END WHERE seq IN (2, 3); UPDATE audit SET seq = -seq WHERE seq < 0",
    ],
)
def test_a_damaged_trail_is_found(hub_url: str, tmp_path: Path, damage: str) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            _, hospital, resident = await filled(city)
            await city.shown(hospital, resident)
            await city.shown(hospital, resident)
        async with a_city(hub_url, tmp_path) as city, city.hub.database.connection() as connection:
            assert (await verify(connection, city.hub.trail.heads)).intact
            await connection.execute(damage)
            found = await verify(connection, city.hub.trail.heads)
            assert not found.intact
            assert found.problem

    run(work())


def test_what_is_erased_is_gone_for_everyone_and_others_stay(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital, resident = await filled(city)
            other = await city.resident("乙", 3)
            await city.upload(center, a_session(), resident=other)
            await city.grant(resident, hospital)
            await city.grant(other, hospital)
            ids = await city.shown(hospital, resident)
            await erasure.erase(city.hub, resident, actor="test")
            assert await city.shown(hospital, resident) == set()
            assert (await city.get(hospital, f"Observation/{ids.pop()}")).status_code == 404
            assert await city.shown(hospital, other)

    run(work())


@pytest.mark.parametrize("suite", ["international", "guomi"])
def test_both_cipher_suites_carry_the_main_job(hub_url: str, tmp_path: Path, suite: str) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path, suite) as city:
            _, hospital, resident = await filled(city)
            await city.grant(resident, hospital)
            assert await city.shown(hospital, resident)

    run(work())


def test_an_upload_over_the_limit_is_refused_whether_it_says_its_length_or_not(hub_url: str, tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(65):
            yield bytes(2**20)

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            headers = await city.bearer(center, "intake.write")
            url = f"/intake/auto?resident={resident}"
            stated = await city.http.post(url, content=b"{}", headers=headers | {"Content-Length": str(65 * 2**20)})
            unstated = await city.http.post(url, content=parts(), headers=headers)
            for answer in (stated, unstated):
                assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (413, "too-large", "Split it.")

    run(work())
