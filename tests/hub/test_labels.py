"""Sensitivity labels: put on at every way in, shown on every resource, kept from whoever was not granted them by name, and brought to new rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from hub.delivery import worker
from hub.doctor import examine
from hub.store import relabel as job
from hub.store.parties import Party
from hub.store.relabel import relabel
from hub.store.residents import save_person
from hub.store.vault import KIND_NUMBERS, Asked
from schemas.labels import RULES, TABLE, compiled
from schemas.resident import Resident
from tests.builders import City, a_city, a_session

Json = dict[str, Any]
InCity = Callable[[Callable[[City], Awaitable[None]]], None]
BEFORE = compiled(1, ())


class _Stopped(Exception):
    pass


@pytest.fixture
def in_city(hub_url: str, tmp_path: Path) -> InCity:
    def run(work: Callable[[City], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with a_city(hub_url, tmp_path) as city:
                await work(city)

        asyncio.run(inside())

    return run


def a_condition(name: str = "抑郁症", at: str = "2026-05-03T09:00:00+08:00", **more: Any) -> Json:
    return {"record": {"kind": "condition", "start": at, "name": name, **more}}


async def told(city: City, resident: UUID, party: Party | None = None) -> list[Json]:
    """Resources of a resident as a party sees them, or they themselves. A hospital asks by its consents alone."""
    asked = Asked(resident=resident, actor=f"Patient/{resident}", self_access=True)
    if party is not None:
        asked = Asked(resident=resident, actor=party.reference, acts_for=party.reference, purpose="TREAT")
        if party.kind != "hospital":
            asked = msgspec.structs.replace(asked, party=party.number)
    async with city.hub.database.connection() as connection:
        permit, rows = await city.hub.vault.history(connection, asked, kinds=["condition", "session"])
        return [json.loads(served) for one in city.hub.vault.disclose(permit, rows) for _, served in one.resources]


def labels(resource: Json) -> set[str]:
    return {label["code"] for label in resource["meta"]["security"]}


async def row(city: City, statement: str, *values: Any) -> Any:
    async with city.hub.database.connection() as connection:
        return await connection.fetchrow(statement, *values)


async def place(city: City) -> tuple[Party, Party, UUID]:
    return await city.party("Center", "fitness-center"), await city.party("Hospital", "hospital"), await city.resident()


def test_a_label_is_on_every_resource_of_a_record_and_opens_by_name_alone(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, hospital, resident = await place(city)
        await city.upload(center, {"records": [a_condition(), a_session()]}, resident=resident)
        mine = await told(city, resident)
        sensitive = [one for one in mine if "PSY" in labels(one)]
        assert {one["resourceType"] for one in sensitive} == {"Condition", "Provenance"}
        assert all(labels(one) == {"diagnosis", "PSY", "R"} for one in sensitive)
        assert all("N" in labels(one) for one in mine if one not in sensitive)
        await city.grant(resident, hospital, "all")
        assert {one["resourceType"] for one in await told(city, resident, hospital)} == {"Observation", "Provenance"}
        await city.grant(resident, hospital, "all", sensitive=["HIV"])
        assert not [one for one in await told(city, resident, hospital) if one in sensitive]
        await city.grant(resident, hospital, "all", sensitive=["PSY"])
        seen = await told(city, resident, hospital)
        assert [one for one in sensitive if one["resourceType"] == "Condition"] == [one for one in seen if one["resourceType"] == "Condition"]

    in_city(work)


def test_the_uploader_reads_back_its_own(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, _, resident = await place(city)
        await city.upload(center, {"records": [a_condition()]}, resident=resident)
        assert [one["resourceType"] for one in await told(city, resident, center)] == ["Provenance", "Condition"]

    in_city(work)


def test_a_source_cannot_lower_a_label(in_city: InCity) -> None:
    async def work(city: City) -> None:
        _, hospital, resident = await place(city)
        clinic = await city.party("Clinic", "community-clinic")
        meta = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "U"}]}
        sent = {
            "resourceType": "Condition", "id": "c1", "meta": meta, "subject": {"reference": "Patient/p1"}, "recordedDate": "2026-05-01",
            "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "F20.0"}], "text": "见病历"},
        }  # fmt: skip
        answer = await city.upload(clinic, sent, resident=resident, format_="fhir-r4")
        assert answer.status_code == 201, answer.text
        await city.upload(clinic, sent | {"meta": {}}, resident=resident, format_="fhir-r4")
        assert all({"PSY", "R"} <= labels(one) and "U" not in labels(one) for one in await told(city, resident))
        await city.grant(resident, hospital, "all")
        assert await told(city, resident, hospital) == []

    in_city(work)


def test_a_row_that_waited_is_labelled_when_it_is_settled(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, _, resident = await place(city)
        answer = await city.upload(center, {"records": [a_condition() | {"who": {"name": "无名氏"}}]})
        (waiting,) = answer.json()["pending"]
        path = f"/intake/receipts/{answer.json()['receipt_id']}/pending/{waiting['row']}"
        settled = await city.http.post(path, json={"resident": str(resident)}, headers=await city.bearer(center, "intake.write"))
        assert settled.status_code == 200, settled.text
        assert all("PSY" in labels(one) for one in await told(city, resident))

    in_city(work)


def test_each_version_has_the_label_of_what_it_says(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, hospital, resident = await place(city)
        await city.grant(resident, hospital, "all")
        for name in ("高血压", "双相障碍", "高血压 2 级"):
            await city.upload(center, {"records": [a_condition(name, source_record_id="C-1")]}, resident=resident)
            shown = [one for one in await told(city, resident, hospital) if one["resourceType"] == "Condition"]
            assert bool(shown) == ("双相" not in name)
        path = f"Condition/{shown[0]['id']}/_history"
        history = (await city.get(hospital, path)).json()
        assert sorted(entry["resource"]["code"]["text"] for entry in history["entry"]) == ["高血压", "高血压 2 级"]
        assert [(await city.get(hospital, f"{path}/{version}")).status_code for version in (1, 2, 3)] == [200, 404, 200]

    in_city(work)


def test_a_childs_record_stays_one_and_a_later_one_is_none(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, hospital, _ = await place(city)
        child = await city.resident("小明", 7, birth_date=date(2012, 2, 29))
        starts = ("2026-02-28T23:50:00+08:00", "2026-03-01T00:00:00+08:00")
        await city.upload(center, {"records": [a_session(start) for start in starts]}, resident=child)
        assert [("MINOR14" in labels(one)) for one in await told(city, child) if one["resourceType"] == "Provenance"] == [False, True]
        await city.grant(child, hospital, "all")
        assert len({one["id"][:36] for one in await told(city, child, hospital)}) == 1
        await city.grant(child, hospital, "all", sensitive=["MINOR14"])
        assert len({one["id"][:36] for one in await told(city, child, hospital)}) == 2

    in_city(work)


def test_a_corrected_birth_date_labels_what_is_stored_anew(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, hospital, resident = await place(city)
        await city.upload(center, {"records": [a_session()]}, resident=resident)
        await city.grant(resident, hospital, "all")
        assert await told(city, resident, hospital)
        await save_person(city.hub, resident, Resident(name="王秀英", birth_date=date(2015, 1, 1)), actor="test", party=0)
        assert await told(city, resident, hospital) == []
        assert await row(city, "SELECT restricted, label_rules FROM records WHERE kind = 1") == (True, RULES.version)
        await save_person(city.hub, resident, Resident(name="王秀英", birth_date=date(1957, 3, 19)), actor="test", party=0)
        assert await told(city, resident, hospital)
        assert await row(city, "SELECT restricted, label_rules FROM records WHERE kind = 1") == (False, RULES.version)


def test_a_correction_that_was_cut_short_leaves_nothing_under_the_wrong_age(in_city: InCity, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(city: City) -> None:
        center, hospital, resident = await place(city)
        await city.upload(center, {"records": [a_session()]}, resident=resident)
        await city.grant(resident, hospital, "all")
        monkeypatch.setattr(job, "_batch", _stop)
        with pytest.raises(_Stopped):
            await save_person(city.hub, resident, Resident(name="王秀英", birth_date=date(2015, 1, 1)), actor="test", party=0)
        assert await row(city, "SELECT restricted FROM records WHERE kind = 1") == (False,)
        assert await told(city, resident, hospital) == []

    async def _stop(*_: object) -> None:
        raise _Stopped

    in_city(work)


def test_what_was_never_labelled_is_for_the_resident_alone(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, hospital, resident = await place(city)
        await city.upload(center, {"records": [a_session()]}, resident=resident)
        await city.grant(resident, hospital, "all", sensitive=["PSY"])
        assert await told(city, resident, hospital)
        await row(city, "UPDATE records SET label_rules = 0 WHERE kind = 1")
        assert [await told(city, resident, party) for party in (hospital, center)] == [[], []]
        assert await city.shown(hospital, resident) == set()
        assert await told(city, resident)
        await relabel(city.hub)
        assert await told(city, resident, hospital)

    in_city(work)


def test_new_rules_hold_at_once_and_relabelling_makes_no_version(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, hospital, resident = await place(city)
        city.hub.vault.rules = BEFORE
        for name in ("焦虑障碍", "焦虑障碍，好转"):
            await city.upload(center, {"records": [a_condition(name, source_record_id="C-1"), a_session()]}, resident=resident)
        await city.grant(resident, hospital, "all")
        before = await told(city, resident, hospital)
        assert {one["resourceType"] for one in before} >= {"Condition"}
        city.hub.vault.rules = RULES
        held_back = await told(city, resident, hospital)
        assert {one["resourceType"] for one in held_back} == {"Observation", "Provenance"}
        (epoch,) = await row(city, "SELECT epoch FROM residents WHERE id = $1", resident)
        found = await relabel(city.hub)
        assert (found["changed"], found["unreadable"]) == (2, 0)
        assert await row(city, "SELECT epoch > $2 FROM residents WHERE id = $1", resident, epoch) == (True,)
        assert await row(city, "SELECT bool_and(restricted), min(label_rules) FROM record_history") == (True, RULES.version)
        assert await row(city, "SELECT count(*) FROM audit WHERE action = 'relabel-records' AND rule = 'system:relabel-records'") == (2,)
        assert await told(city, resident, hospital) == held_back
        mine = {one["id"]: one["meta"] for one in await told(city, resident) if one["resourceType"] == "Condition"}
        assert {one["id"]: one["meta"]["versionId"] for one in before if one["resourceType"] == "Condition"} == {
            id_: meta["versionId"] for id_, meta in mine.items()
        }
        assert await relabel(city.hub) == {"checked": 0, "changed": 0, "unreadable": 0}

    in_city(work)


def test_rules_that_hide_less_open_a_record_once_it_is_relabelled(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, hospital, resident = await place(city)
        await city.upload(center, {"records": [a_condition()]}, resident=resident)
        await city.grant(resident, hospital, "all")
        assert await told(city, resident, hospital) == []
        city.hub.vault.rules = compiled(RULES.version + 1, [rule for rule in TABLE if rule.by != "word"])
        assert await told(city, resident, hospital) == [], "the stricter of both until then"
        await relabel(city.hub)
        assert len(await told(city, resident, hospital)) == 2

    in_city(work)


def test_relabelling_that_was_stopped_goes_on(in_city: InCity, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(city: City) -> None:
        center, _, resident = await place(city)
        city.hub.vault.rules = BEFORE
        await city.upload(center, {"records": [a_condition(f"抑郁 {number}", source_record_id=f"C-{number}") for number in range(3)]}, resident=resident)
        city.hub.vault.rules = RULES
        monkeypatch.setattr(job, "BATCH", 1)
        with pytest.raises(_Stopped):
            await relabel(city.hub, step=_stop)
        assert await row(city, "SELECT count(*) FROM records WHERE restricted") == (1,)
        assert (await relabel(city.hub))["changed"] == 2
        assert await row(city, "SELECT count(*) FROM records WHERE restricted") == (3,)

    def _stop(_: int) -> None:
        raise _Stopped

    in_city(work)


async def a_city_of_older_rules(city: City) -> None:
    """Eight residents in shards of their own, each with a sensitive record and its superseded version, stored before there were rules."""
    center = await city.party("Center", "fitness-center")
    city.hub.vault.rules = BEFORE
    for number in range(8):
        resident = await city.resident(order=number)
        for name in ("抑郁", "抑郁，好转"):
            await city.upload(center, {"records": [a_condition(name, source_record_id="C-1")]}, resident=resident)
    city.hub.vault.rules = RULES


LEFT = "SELECT (SELECT count(*) FROM records WHERE label_rules < $1) + (SELECT count(*) FROM record_history WHERE label_rules < $1)"


def test_relabelling_comes_to_every_shard_and_to_superseded_versions(in_city: InCity, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(city: City) -> None:
        await a_city_of_older_rules(city)
        monkeypatch.setattr(job, "BATCH", 3)
        assert (await relabel(city.hub))["changed"] == 16
        assert await row(city, LEFT, RULES.version) == (0,)
        assert await row(city, "SELECT count(DISTINCT bucket), count(*) FROM records WHERE restricted") == (8, 8)
        assert await row(city, "SELECT count(*) FROM record_history WHERE restricted") == (8,)

    in_city(work)


def test_the_worker_relabels_after_a_start_and_the_doctor_says_what_waits(in_city: InCity, hub_url: str) -> None:
    async def work(city: City) -> None:
        await a_city_of_older_rules(city)
        await row(city, "UPDATE records SET label_rules = 0 WHERE id = (SELECT id FROM records WHERE kind = $1 LIMIT 1)", KIND_NUMBERS["condition"])
        (older,) = await row(city, LEFT, RULES.version)
        before = await findings(city, hub_url)
        assert not before["ok"]
        assert before["text"].startswith(f"{older} stored versions wait for label rules {RULES.version}, 1 of them never labelled")
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(city.hub.settings, hub_url, stop))
        async with asyncio.timeout(30):
            while await row(city, "SELECT FROM meta WHERE key = 'label-rules'") is None:
                assert not working.done()
        stop.set()
        await working
        assert await row(city, LEFT, RULES.version) == (0,)
        assert (await findings(city, hub_url))["ok"]

    in_city(work)


def test_a_run_that_came_to_its_end_is_not_begun_again_by_the_next_start(in_city: InCity) -> None:
    async def work(city: City) -> None:
        await job.catch_up(city.hub, asyncio.Event())
        await a_city_of_older_rules(city)
        await job.catch_up(city.hub, asyncio.Event())
        assert await row(city, LEFT, RULES.version) != (0,)
        city.hub.vault.rules = compiled(RULES.version + 1, TABLE)
        stopped = asyncio.Event()
        stopped.set()
        await job.catch_up(city.hub, stopped)
        assert await row(city, "SELECT value FROM meta WHERE key = 'label-rules'") == (str(RULES.version),)
        await job.catch_up(city.hub, asyncio.Event())
        assert await row(city, LEFT, RULES.version + 1) == (0,)

    in_city(work)


async def findings(city: City, dsn: str) -> Json:
    return next(one for one in await examine(city.hub.settings, dsn) if one["check"] == "labels")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_nobody_writes_a_label_over_fhir(in_city: InCity, method: str) -> None:
    async def work(city: City) -> None:
        _, hospital, resident = await place(city)
        clinic = await city.party("Clinic", "community-clinic")
        await city.upload(clinic, {"records": [a_condition()]}, resident=resident)
        await city.grant(resident, hospital, "all")
        (condition,) = [one for one in await told(city, resident) if one["resourceType"] == "Condition"]
        path = f"/fhir/Condition/{condition['id']}{'/$meta-delete' if method == 'POST' else ''}"
        body = condition | {"meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "U"}]}}
        if method == "PATCH":
            body = [{"op": "replace", "path": "/meta/security", "value": []}]
        headers = await city.bearer(clinic) | {"Content-Type": "application/json-patch+json" if method == "PATCH" else "application/fhir+json"}
        answer = await city.http.request(method, path, content=json.dumps(body), headers=headers)
        assert 400 <= answer.status_code < 500
        assert condition in await told(city, resident)
        assert await told(city, resident, hospital) == []

    in_city(work)
