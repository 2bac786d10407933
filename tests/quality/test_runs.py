"""The quality worker over real uploads: what it finds, where that shows, and what it leaves alone. Real Great Expectations."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from hub.delivery.resting import Resting
from hub.quality import alerts, reports, scores, silence
from hub.quality.frames import FLAGGED, Frame, broken, figures
from hub.store import erasure
from hub.store.vault import Measured
from schemas.quality import rules_of
from tests.builders import City, a_city, a_session, an_id_number

pytest.importorskip("great_expectations", reason="great_expectations is not installed: pip install -e '.[quality]'")

from hub.quality import runs

SOON = timedelta(0)


def at(days: int, hour: int = 8) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).replace(hour=hour, minute=0, second=0, microsecond=0).isoformat()


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    """Sessions of 40 minutes on days of their own."""
    return [a_session(at(2 + number), 40, **more) for number in range(count)]


async def judged(city: City) -> list[runs.Run]:
    return await runs.judge_due(city.hub, quiet=SOON)


async def receipt_now(city: City, party: Any, receipt: dict[str, Any]) -> dict[str, Any]:
    answer = await city.http.get(f"/intake/receipts/{receipt['receipt_id']}", headers=await city.bearer(party, "intake.write"))
    return dict(answer.json())


def codes(record: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in record["warnings"]]


def tags(resources: Iterable[dict[str, Any]]) -> set[str]:
    return {tag["code"] for resource in resources for tag in resource["meta"].get("tag", ())}


def test_defects_of_a_batch_are_flagged_on_the_receipt_and_in_fhir_and_scored(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital = await city.party("中心", "fitness-center"), await city.party("医院", "hospital")
            resident = await city.resident(birth_date=datetime(1950, 1, 1, tzinfo=UTC).date())
            await city.grant(resident, hospital)
            good = rows(22, distance_m=5000, energy_kcal=300)
            bad = [
                a_session(at(60), 40, distance_m=90_000),
                a_session(at(61), 40, distance_m=5.2),
                a_session(at(62), 40, energy_kcal=9000),
                a_session(at(63), 40, hr_max=200),
                a_session(at(64), 40, timer_s=4000),
                a_session(at(65), 40, source_record_id="a"),
                a_session(at(65), 40, source_record_id="b"),
            ]
            receipt = (await city.upload(center, {"records": [*good, *bad]}, resident=resident)).json()
            before = (await city.get(hospital, "Observation", patient=str(resident), _count=1000)).json()
            assert "quality" not in receipt
            (run,) = await judged(city)
            assert (run.records, run.flagged, run.degraded) == (29, 7, False)
            assert run.score is not None
            assert 80 < run.score < 100
            assert await judged(city) == []
            now = await receipt_now(city, center, receipt)
            assert now["quality"] == {"run": str(run.id), "score": run.score, "report": f"/center/quality/{run.id}"}
            assert [codes(record) for record in now["records"]] == [[]] * 22 + [
                ["implausible"], ["unit-doubtful"], ["unit-doubtful"], ["implausible"], ["figures-disagree"], ["same-moment"], ["same-moment"],
            ]  # fmt: skip
            after = (await city.get(hospital, "Observation", patient=str(resident), _count=1000)).json()
            found = [entry["resource"] for entry in after["entry"]]
            assert tags(found) == {"implausible", "unit-doubtful", "figures-disagree", "same-moment"}
            assert tags(entry["resource"] for entry in before["entry"]) == set()
            tagged = (await city.get(hospital, "Observation", patient=str(resident), _tag="same-moment")).json()
            assert tagged["total"] == 2
            assert {r["id"]: r["meta"]["versionId"] for r in found} == {e["resource"]["id"]: e["resource"]["meta"]["versionId"] for e in before["entry"]}

    asyncio.run(body())


def test_what_is_found_goes_with_the_resident_and_a_settled_row_is_judged_anew(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("中心", "fitness-center")
            resident, other = await city.resident(order=2), await city.resident("李建国", order=3)
            await city.upload(center, a_session(at(3), distance_m=90_000), resident=resident)
            waiting = {"records": [a_session(at(4)) | {"who": {"member_number": "nobody"}}, a_session(at(5)) | {"who": {"id_number": an_id_number(3)}}]}
            receipt = (await city.upload(center, waiting)).json()
            (run,) = await judged(city)
            assert (run.receipts, run.records, run.flagged) == (2, 2, 1)
            path = f"/intake/receipts/{receipt['receipt_id']}/pending/{receipt['pending'][0]['row']}"
            settled = await city.http.post(path, json={"resident": str(other)}, headers=await city.bearer(center, "intake.write"))
            assert settled.status_code == 200
            (again,) = await judged(city)
            assert again.records == 2
            async with city.hub.database.connection() as connection:
                assert [row["resident"] for row in await connection.fetch("SELECT resident FROM quality_flags")] == [resident]
                noted = await connection.fetch("SELECT outcome, rule, party FROM audit WHERE action = 'quality' ORDER BY seq")
                assert [tuple(row) for row in noted] == [("2 records", "system:quality", center.number)] * 2
                await erasure.erase(city.hub, resident, actor="test")
                assert await connection.fetchval("SELECT count(*) FROM quality_flags") == 0

    asyncio.run(body())


def test_a_corrected_record_loses_its_flag_and_what_was_found_stays_on_file(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital = await city.party("中心", "fitness-center"), await city.party("医院", "hospital")
            resident = await city.resident()
            await city.grant(resident, hospital)
            receipt = (await city.upload(center, a_session(at(3), distance_m=90_000), resident=resident)).json()
            await judged(city)
            assert tags([(await city.get(hospital, f"Observation/{receipt['records'][0]['record_id']}-1")).json()]) == {"implausible"}
            await city.upload(center, a_session(at(3), distance_m=9000), resident=resident)
            await judged(city)
            panel = f"Observation/{receipt['records'][0]['record_id']}-1"
            assert tags([(await city.get(hospital, panel)).json()]) == set()
            async with city.hub.database.connection() as connection:
                assert [row["version"] for row in await connection.fetch("SELECT version FROM quality_flags")] == [1]

    asyncio.run(body())


def test_a_night_compares_a_source_with_its_own_past_and_degradation_is_told_once_signed_until_it_is_taken(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("中心", "fitness-center")
            resident = await city.resident()
            for days in (60, 30):
                hours = [a_session(at(1 + number % days, 1 + number // days), 20, hr_avg=118 + number % 7) for number in range(90)]
                await city.upload(center, {"records": hours}, resident=resident)
            await judged(city)
            async with city.hub.database.connection() as connection:
                await connection.execute("UPDATE quality_runs SET started = started - interval '5 days'")
                await alerts.register(connection, "https://hook.example/quality", center.number)
                await alerts.register(connection, "https://hub.example/quality", None)
                await alerts.register(connection, "https://other.example/quality", center.number + 1)
            shifted = [a_session(at(number, 22), 20, hr_avg=150) for number in range(2, 40)]
            await city.upload(center, {"records": shifted}, resident=resident)
            tomorrow = datetime.now(UTC) + timedelta(days=1)
            done = await runs.judge_due(city.hub, quiet=SOON, now=tomorrow)
            assert [(run.scope, run.records, run.degraded) for run in done] == [("batch", 38, False), ("source", 38, True)]
            assert await runs.judge_due(city.hub, quiet=SOON, now=tomorrow) == []
            answers = iter([503, 204, 204])
            calls: list[httpx.Request] = []

            def receive(request: httpx.Request) -> httpx.Response:
                calls.append(request)
                return httpx.Response(next(answers))

            async with httpx.AsyncClient(transport=httpx.MockTransport(receive)) as http, city.hub.database.connection() as connection:
                while await alerts.send_one(city.hub, http, Resting()):
                    await connection.execute("UPDATE quality_alerts SET next_at = now() WHERE status = 'owed'")
            assert sorted(call.url.host for call in calls) == ["hook.example", "hook.example", "hub.example"]
            key = (await city.http.get("/oauth/jwks")).json()["keys"][0]
            header, _, signature = calls[-1].headers["X-KineHub-Signature"].split(".")
            payload = base64.urlsafe_b64encode(calls[-1].content).rstrip(b"=").decode()
            jws.deserialize_compact(f"{header}.{payload}.{signature}", ECKey.import_key(key))
            told = json.loads(calls[-1].content)
            assert (told["event"], told["source"], told["scope"]) == ("quality-degraded", center.reference, "source")
            assert str(resident) not in calls[-1].content.decode()

    asyncio.run(body())


def test_refused_and_waiting_rows_lower_the_score_and_show_on_the_run(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("中心", "fitness-center")
            resident = await city.resident()
            await city.upload(center, {"records": rows(24)}, resident=resident)
            (clean,) = await judged(city)
            waits = [a_session(at(60 + number)) | {"who": {"member_number": "nobody"}} for number in range(4)]
            hers = [row | {"who": {"id_number": an_id_number(2)}} for row in (*rows(24, title="again"), a_session("1999-01-01T08:00:00+08:00"))]
            await city.upload(center, {"records": [*hers, *waits]})
            (spoilt,) = await judged(city)
            assert (clean.arrived, clean.refused, clean.waiting) == (24, 0, 0)
            assert (spoilt.arrived, spoilt.refused, spoilt.waiting) == (29, 1, 4)
            assert clean.score is not None
            assert spoilt.score is not None
            assert spoilt.score < clean.score
            async with city.hub.database.connection() as connection:
                _, report = await reports.read(connection, city.hub.keyring, center.number, spoilt.id)
            told = {one.rule: (one.success, one.failed, one.of) for one in report.results if one.kind == "intake"}
            assert told == {"rows-usable": (True, 1, 29), "rows-of-somebody": (False, 4, 29)}
            assert report.shares["intake"] == 24 / 29
            await city.upload(center, {"records": waits})
            (alone,) = await judged(city)  # no record was taken, and the source is judged by that
            assert (alone.records, alone.arrived, alone.score) == (0, 4, 0.0)

    asyncio.run(body())


@pytest.mark.parametrize("said", [{"birth_date": date(2008, 5, 2)}, {"id_number": an_id_number(2, "20080502")}], ids=["stated", "in the ID number"])
def test_age_is_that_of_the_records_day_where_the_resident_lives(hub_url: str, tmp_path: Path, said: dict[str, Any]) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("中心", "fitness-center")
            resident = await city.resident(**said)
            grips = [("2026-05-01T23:59:00+08:00", 58), ("2026-05-01T16:01:00Z", 58), ("2026-05-01T15:58:00Z", 54)]
            items = [(start, [{"measure": "grip-strength", "value": value, "unit": "kg"}]) for start, value in grips]
            tests = [{"record": {"kind": "fitness-test", "start": start, "items": item}} for start, item in items]
            receipt = (await city.upload(center, {"records": tests}, resident=resident)).json()
            await judged(city)
            now = await receipt_now(city, center, receipt)
            assert [codes(record) for record in now["records"]] == [["implausible"], [], []]  # 58 kg at 17, then the same on the eighteenth birthday

    asyncio.run(body())


def test_a_night_begins_at_two_on_the_partys_own_clock(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            east, west = await city.party("东", "fitness-center"), await city.party("西", "fitness-center")
            resident = await city.resident()
            async with city.hub.database.connection() as connection:
                await connection.execute("UPDATE parties SET zone = 'Asia/Urumqi' WHERE number = $1", west.number)
            for party in (east, west):
                await city.upload(party, {"records": rows(3)}, resident=resident)
            await judged(city)
            async with city.hub.database.connection() as connection:
                await connection.execute("UPDATE quality_runs SET started = '2026-05-01T12:00:00Z'")
            nights = []
            for hour in (17, 18, 19, 20, 21):
                done = await runs.judge_due(city.hub, quiet=SOON, now=datetime(2026, 5, 1, hour, tzinfo=UTC))
                nights += [(hour, run.party) for run in done if run.scope == "source"]
            assert nights == [(18, east.number), (20, west.number)]

    asyncio.run(body())


def test_a_source_that_falls_silent_is_told_once_and_again_only_after_it_sent(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, rare = await city.party("中心", "fitness-center"), await city.party("少", "fitness-center")
            resident = await city.resident()
            for number in range(6):
                await city.upload(center, a_session(at(20 + number)), resident=resident)
            await city.upload(rare, a_session(at(40)), resident=resident)
            await judged(city)
            now = datetime.now(UTC)
            async with city.hub.database.connection() as connection:
                await alerts.register(connection, "https://hook.example/quality", None)
                await connection.execute(
                    "WITH n AS (SELECT id, row_number() OVER (ORDER BY created DESC) - 1 AS k FROM receipts) "
                    "UPDATE receipts r SET created = $1::timestamptz - n.k * interval '2 days' FROM n WHERE n.id = r.id", now,
                )  # fmt: skip
            noted = [await silence.note(city.hub, now + timedelta(days=days)) for days in (2, 3, 5, 10, 20)]
            assert noted == [[], [], [center.number], [], []]
            calls: list[httpx.Request] = []

            def receive(request: httpx.Request) -> httpx.Response:
                calls.append(request)
                return httpx.Response(204)

            async with httpx.AsyncClient(transport=httpx.MockTransport(receive)) as http:
                while await alerts.send_one(city.hub, http, Resting()):
                    pass
            (told,) = [json.loads(call.content) for call in calls]
            assert (told["event"], told["source"], told["scope"], told["score"]) == ("source-silent", center.reference, "silence", None)
            async with city.hub.database.connection() as connection:
                assert (await reports.standing(connection))[center.number].scope == "silence"
                await connection.execute("UPDATE quality_runs SET started = started - interval '30 days'")
                await connection.execute("UPDATE receipts SET created = created - interval '30 days'")
            await city.upload(center, a_session(at(1)), resident=resident)
            await judged(city)
            async with city.hub.database.connection() as connection:
                assert (await reports.standing(connection))[center.number].scope != "silence"

    asyncio.run(body())


@pytest.mark.parametrize(("gaps", "quiet", "silent"), [((1,) * 6, 3.1, True), ((1,) * 6, 2.9, False), ((2,) * 5, 5.9, False), ((1,) * 3, 50, False)])
def test_three_usual_gaps_without_anything_are_silence(gaps: tuple[int, ...], quiet: float, *, silent: bool) -> None:
    days = [date(2026, 5, 1) + timedelta(days=sum(gaps[:number])) for number in range(len(gaps) + 1)]
    assert silence.too_long(days, timedelta(days=quiet)) is silent


def test_a_band_that_was_not_verified_marks_records_and_is_in_no_score() -> None:
    unsure = next(rule for rule in rules_of("session") if rule.age_from is not None and "verify" in rule.source)
    sure = next(rule for rule in rules_of("session") if rule.age_from is not None and "verify" not in rule.source)
    assert unsure.flag == sure.flag == "implausible"
    found = []
    for rule in (unsure, sure):
        age, high = rule.age_from, rule.high
        assert age is not None
        assert high is not None
        child = Measured(UUID(int=1), 1, UUID(int=2), "session", datetime.now(UTC), {"age": age, "female": 1.0, rule.a: high + 1}, frozenset(), None)
        assert rule in broken(child, child.figures)
        row = figures(child, {})
        found.append((row[FLAGGED], scores.shares({"session": Frame("session", [row], [rule])}, [])))
    assert found == [(0.0, {}), (1.0, {"plausibility": 0.0})]


def test_a_score_far_below_the_usual_one_is_seen() -> None:
    assert scores.worse(80, [98, 97, 99, 98, 98])
    assert not scores.worse(95, [98, 97, 99, 98, 98])
    assert not scores.worse(10, [98] * 4)
    assert scores.usual([98] * 4) is None
