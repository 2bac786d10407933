"""Samples as SampledData over HTTP: as the adapter decoded them, coarser on request, and only as far as consent reaches."""

from __future__ import annotations

import asyncio
import io
import os
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.operationdefinition import OperationDefinition

from adapters import fit
from adapters.base import Context, Decoded
from hub.store.parties import Party
from hub.store.residents import save_consent
from hub.store.vault import SystemPermit
from schemas.records import Series
from tests.builders import City, a_city, a_session
from tests.shared import SAMPLES

METHOD = "https://kinehub.org/fhir/StructureDefinition/sampling-method"
HEART_RATE, POWER, POSITION = 61, 62, 67
SLOTS = {"heart-rate": 61, "power": 62, "cadence": 63, "speed": 64, "altitude": 65, "distance": 66, "temperature": 69}
START = "2026-05-01T08:00:00+08:00"
BEGAN = datetime.fromisoformat(START)


class Place(msgspec.Struct):
    """A centre that uploads, a hospital that reads, one resident."""

    city: City
    center: Party
    hospital: Party
    resident: UUID

    async def stored(self, series: dict[str, Any] | None = None, **more: Any) -> str:
        """The id of a session with these samples, an hour at most."""
        answer = await self.city.upload(self.center, a_session(START, 60, **more) | ({"series": series} if series else {}), resident=self.resident)
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["records"][0]["record_id"])

    async def read(self, id_: str, **parameters: Any) -> dict[str, Any]:
        """What the hospital reads, as far as another's model takes it for R4."""
        answer = await self.city.get(self.hospital, f"Observation/{id_}", **parameters)
        assert answer.status_code == 200, answer.text
        Observation.model_validate(answer.json())
        found: dict[str, Any] = answer.json()
        return found

    async def search(self, **parameters: Any) -> dict[str, str]:
        """Id to mode of a search's entries, checked against its total where it has one."""
        answer = await self.city.get(self.hospital, "Observation", **parameters)
        assert answer.status_code == 200, answer.text
        Bundle.model_validate(answer.json())
        found = {entry["resource"]["id"]: entry["search"]["mode"] for entry in answer.json().get("entry", [])}
        assert answer.json().get("total", len(found)) >= list(found.values()).count("match")
        return found


def in_town(hub_url: str, folder: Path, work: Callable[[Place], Awaitable[None]]) -> None:
    async def run() -> None:
        async with a_city(hub_url, folder) as city:
            place = Place(city, await city.party("Center", "fitness-center"), await city.party("Hospital", "hospital"), await city.resident())
            await work(place)

    asyncio.run(run())


def readings(observation: dict[str, Any]) -> list[tuple[datetime, tuple[float, ...]]]:
    """Instant and values of each point that is no gap, as a client reads R4's SampledData."""
    sampled = observation["valueSampledData"]
    start, step, dimensions = datetime.fromisoformat(observation["effectivePeriod"]["start"]), timedelta(milliseconds=sampled["period"]), sampled["dimensions"]
    words = sampled["data"].split(" ")
    points = [words[place : place + dimensions] for place in range(0, len(words), dimensions)]
    origin, factor = sampled["origin"]["value"], sampled.get("factor", 1)
    return [(start + number * step, tuple(origin + factor * float(word) for word in point)) for number, point in enumerate(points) if "E" not in point]


def decoded(series: Series) -> list[tuple[datetime, tuple[float, ...]]]:
    offsets = series.offsets_s or [place * (series.interval_s or 0) for place in range(len(series.values))]
    pairs = zip(offsets, series.values, strict=True)
    return [(series.start + timedelta(seconds=offset), (value,)) for offset, value in sorted(pairs, key=lambda pair: pair[0]) if value is not None]


@pytest.mark.skipif(not SAMPLES.exists() and not os.environ.get("CI"), reason=f"no samples at {SAMPLES}")
@pytest.mark.parametrize("name", ["fit_edge800_indoor_trainer.fit", "fit_elemnt_devdata_no_appid.fit", "fit_fenix5_run.fit"])
def test_the_samples_of_a_file_are_read_as_its_adapter_decoded_them(hub_url: str, tmp_path: Path, name: str) -> None:
    async def work(place: Place) -> None:
        content = (SAMPLES / name).read_bytes()
        found = [one for one in fit.decode(io.BytesIO(content), Context(zone="Asia/Shanghai")) if isinstance(one, Decoded)]
        expected = {series.channel: series for series in found[0].series}
        receipt = (await place.city.upload(place.center, content, resident=place.resident, format_="fit")).json()
        record = receipt["records"][0]["record_id"]
        await place.city.grant(place.resident, place.hospital, "activity,location")
        for channel, slot in SLOTS.items():
            if channel in expected:
                observation = await place.read(f"{record}-{slot}")
                assert readings(observation) == decoded(expected[channel])
                assert METHOD not in str(observation)
        if "latitude" in expected:
            positions = await place.read(f"{record}-{POSITION}")
            assert positions["meta"]["security"][0]["code"] == "location"
            where = [(at, (here[0], there[0])) for (at, here), (_, there) in zip(*(decoded(expected[c]) for c in ("latitude", "longitude")), strict=True)]
            assert readings(positions) == where
        assert set(expected) > {"cadence"}

    in_town(hub_url, tmp_path, work)


def a_series(chance: random.Random) -> dict[str, Any]:
    """Heart rate as some device may give it: even or not, with gaps, from a second to some hours."""
    count = chance.choice([1, 2, 59, 3600, 3700, 9000])
    values: list[int | None] = [None if chance.random() < 0.2 else chance.randint(40, 200) for _ in range(count)]
    values[0] = values[-1] = 80
    if chance.random() < 0.5:
        return {"interval_s": chance.choice([0.25, 1, 1.5, 5]), "values": values}
    offsets, at = [], 0
    for _ in range(count):
        offsets.append(at)
        at += chance.choice([1, 1, 1, 2, 7])
    return {"offsets_s": offsets, "values": values}


def test_generated_samples_come_back_exactly_gaps_and_all(hub_url: str, tmp_path: Path) -> None:
    chance = random.Random(20260501)
    given = [a_series(chance) for _ in range(24)]

    async def work(place: Place) -> None:
        await place.city.grant(place.resident, place.hospital)
        for number, one in enumerate(given):
            record = await place.stored({"heart_rate": one}, source_record_id=f"S-{number}")
            series = Series("heart-rate", BEGAN, one["values"], one.get("interval_s"), one.get("offsets_s"))
            observation = await place.read(f"{record}-{HEART_RATE}")
            assert readings(observation) == decoded(series)
            assert observation["effectivePeriod"]["start"] == START
            assert datetime.fromisoformat(observation["effectivePeriod"]["end"]) == decoded(series)[-1][0]
            if "interval_s" in one:
                assert len(observation["valueSampledData"]["data"].split(" ")) == len(one["values"])

    in_town(hub_url, tmp_path, work)


def test_a_curve_says_what_it_is_and_whose(hub_url: str, tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        record = await place.stored({"heart_rate": {"interval_s": 1, "values": [92, None, 95.0]}}, device={"manufacturer": "Garmin", "model": "fenix 5"})
        await place.city.grant(place.resident, place.hospital)
        observation, group = await place.read(f"{record}-{HEART_RATE}"), await place.read(f"{record}-1")
        assert observation["valueSampledData"] == {
            "origin": {"value": 0, "unit": "次/分", "system": "http://unitsofmeasure.org", "code": "/min"}, "period": 1000, "dimensions": 1, "data": "92 E 95",
        }  # fmt: skip
        assert {"http://loinc.org", "vital-signs"}.isdisjoint(str(observation).replace("'", " ").split())
        for name in ("subject", "category", "device", "status"):
            assert observation[name] == group[name]
        assert observation["derivedFrom"] == [{"reference": f"Observation/{record}-1"}]
        assert observation["meta"]["security"] == group["meta"]["security"]

    in_town(hub_url, tmp_path, work)


def test_a_coarser_period_shows_means_and_says_so(hub_url: str, tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        values = [100 + second % 60 for second in range(300)]
        values[60:120] = [None] * 60
        record = await place.stored({"heart_rate": {"interval_s": 1, "values": values}})
        await place.city.grant(place.resident, place.hospital)
        id_ = f"{record}-{HEART_RATE}"
        minutes = await place.read(f"{id_}/$sampled", period=60000)
        assert minutes["valueSampledData"]["data"] == "129.5 E 129.5 129.5 129.5"
        assert minutes["valueSampledData"]["period"] == 60000
        assert minutes["valueSampledData"]["extension"] == [{"url": METHOD, "valueCode": "mean"}]
        assert minutes["meta"]["tag"][0]["code"] == "SUBSETTED"
        assert minutes["id"] == id_
        part = await place.read(f"{id_}/$sampled", start="2026-05-01T08:02:00+08:00", end="2026-05-01T00:02:03Z")
        assert part["valueSampledData"]["data"] == "100 101 102"
        assert part["effectivePeriod"] == {"start": "2026-05-01T08:02:00+08:00", "end": "2026-05-01T08:02:02+08:00"}
        assert METHOD not in str(part)
        assert (await place.read(f"{id_}/$sampled", period=10))["valueSampledData"] == (await place.read(id_))["valueSampledData"]
        nothing = await place.read(f"{id_}/$sampled", start="2027-01-01T00:00:00Z")
        assert "valueSampledData" not in nothing
        assert nothing["dataAbsentReason"]
        for wrong in ({"period": "0"}, {"period": "x"}, {"start": "2026-05-01"}, {"every": "60"}):
            assert (await place.city.get(place.hospital, f"Observation/{id_}/$sampled", **wrong)).status_code == 400
        assert (await place.city.get(place.hospital, f"Observation/{record}-8/$sampled", period=60000)).status_code == 404

    in_town(hub_url, tmp_path, work)


def test_readings_between_whole_seconds_are_binned_and_flagged(hub_url: str, tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        offsets = {"offsets_s": [0, 0.4, 1.3, 3.9], "values": [100, 103, 110, 120]}
        track = {"latitude": offsets | {"values": [30.0, 30.1, 30.2, 30.3]}, "longitude": offsets | {"values": [120.0, 120.1, 120.2, 120.3]}}
        record = await place.stored({"heart_rate": offsets, **track})
        await place.city.grant(place.resident, place.hospital, "all")
        heart, positions = [(await place.read(f"{record}-{slot}"))["valueSampledData"] for slot in (HEART_RATE, POSITION)]
        assert (heart["data"], heart["period"], heart["extension"][0]["valueCode"]) == ("101.5 110 E 120", 1000, "mean")
        assert (positions["data"], positions["dimensions"]) == ("30 120 30.2 120.2 E E 30.3 120.3", 2)
        assert positions["extension"][0]["valueCode"] == "first"

    in_town(hub_url, tmp_path, work)


SOME = {"interval_s": 1, "values": [100, 101, 102]}
TRACK = {"latitude": {"interval_s": 1, "values": [30.5, 30.6, 30.7]}, "longitude": {"interval_s": 1, "values": [120.1, 120.2, 120.3]}}


def test_a_search_shows_samples_only_where_it_names_them(hub_url: str, tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        record, patient = await place.stored({"heart_rate": SOME, "power": SOME, **TRACK}), str(place.resident)
        await place.city.grant(place.resident, place.hospital)
        group, curves = f"{record}-1", {f"{record}-{HEART_RATE}", f"{record}-{POWER}"}
        for plain in ({}, {"_total": "accurate"}, {"code:not": "x"}, {"date": "ge2026-01-01"}, {"_revinclude": "Observation:has-member"}, {"status": "final"}):
            assert not curves & set(await place.search(patient=patient, **plain))
        everything = (await place.city.get(place.hospital, f"Patient/{patient}/$everything")).text
        assert not [id_ for id_ in curves if id_ in everything]
        assert await place.search(patient=patient, **{"derived-from": f"Observation/{group}"}) == dict.fromkeys(curves, "match")
        assert await place.search(**{"derived-from": group}) == dict.fromkeys(curves, "match")
        assert await place.search(_id=f"{record}-{POWER}") == {f"{record}-{POWER}": "match"}
        named = {"derived-from": group, "code": "heart-rate-series"}
        assert await place.search(**named) == {f"{record}-{HEART_RATE}": "match"}
        assert await place.city.shown(place.hospital, place.resident, **{"derived-from": group}) == curves
        around = await place.search(_id=group, _revinclude="Observation:derived-from")
        assert around == {group: "match"} | dict.fromkeys(curves, "include")
        back = await place.search(_id=f"{record}-{POWER}", _include="Observation:derived-from")
        assert back == {f"{record}-{POWER}": "match", group: "include"}

    in_town(hub_url, tmp_path, work)


def test_positions_do_not_exist_without_their_own_class(hub_url: str, tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        record = await place.stored({"heart_rate": SOME, **TRACK})
        consent = await place.city.grant(place.resident, place.hospital)
        unknown = await place.city.get(place.hospital, f"Observation/{record[:-4]}0000-{POSITION}")
        for path in ("", "/_history", "/_history/1", "/$sampled"):
            hidden = await place.city.get(place.hospital, f"Observation/{record}-{POSITION}{path}")
            never = await place.city.get(place.hospital, f"Observation/{record[:-4]}0000-{POSITION}{path}")
            assert (hidden.status_code, hidden.content) == (404, unknown.content) == (never.status_code, never.content)
            assert {name: value for name, value in hidden.headers.items() if name != "x-request-id"} == {
                name: value for name, value in never.headers.items() if name != "x-request-id"
            }
        assert await place.search(**{"derived-from": f"{record}-1"}) == {f"{record}-{HEART_RATE}": "match"}
        await place.city.withdraw(place.resident, consent)
        assert (await place.city.get(place.hospital, f"Observation/{record}-{HEART_RATE}")).content == unknown.content
        assert await place.search(patient=str(place.resident), **{"derived-from": f"{record}-1"}) == {}
        await place.city.grant(place.resident, place.hospital, "location")
        positions = await place.read(f"{record}-{POSITION}")
        assert readings(positions)[0][1] == (30.5, 120.1)
        assert not {"derivedFrom", "device"} & set(positions)
        assert (await place.city.get(place.hospital, f"Observation/{record}-{HEART_RATE}")).content == unknown.content

    in_town(hub_url, tmp_path, work)


def test_a_search_about_one_resident_shows_no_samples_of_another(hub_url: str, tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        record, neighbour = await place.stored({"heart_rate": SOME}), await place.city.resident("李建国", 3)
        for resident in (place.resident, neighbour):
            await place.city.grant(resident, place.hospital)
        assert await place.search(patient=str(neighbour), **{"derived-from": f"{record}-1"}) == {}
        assert await place.search(patient=str(neighbour), _id=f"{record}-{HEART_RATE}") == {}

    in_town(hub_url, tmp_path, work)


def test_samples_follow_the_data_period_and_the_codes_of_a_grant(hub_url: str, tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        record = await place.stored({"heart_rate": SOME})
        id_ = f"Observation/{record}-{HEART_RATE}"
        late = await place.city.grant(place.resident, place.hospital, data_from=datetime(2026, 5, 2, tzinfo=UTC).date())
        assert (await place.city.get(place.hospital, id_)).status_code == 404
        await place.city.withdraw(place.resident, late)
        consent = await place.city.grant(place.resident, place.hospital, data_until=datetime(2026, 5, 2, tzinfo=UTC).date())
        assert (await place.city.get(place.hospital, id_)).status_code == 200
        async with place.city.hub.database.connection() as connection:
            _, consents = await place.city.hub.vault.policy(connection, place.resident, SystemPermit("test"))
        granted = next(one for one in consents if one["id"] == str(consent))
        no_heart_rate = {"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}]}
        denied = {key: value for key, value in granted.items() if key != "meta"}
        denied["provision"] = granted["provision"] | {"provision": [no_heart_rate]}
        await save_consent(place.city.hub, place.resident, lambda _: denied, actor="test", consent_id=consent, action="consent-change")
        assert (await place.city.get(place.hospital, f"Observation/{record}-1")).status_code == 200
        assert (await place.city.get(place.hospital, id_)).status_code == 404

    in_town(hub_url, tmp_path, work)


def test_a_correction_is_a_new_version_and_the_old_one_stays(hub_url: str, tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        record = await place.stored({"heart_rate": SOME, **TRACK}, source_record_id="A-1")
        again = await place.stored({"heart_rate": SOME | {"values": [90, 91, 92]}}, source_record_id="A-1")
        assert record == again
        consent = await place.city.grant(place.resident, place.hospital, "activity,location")
        id_ = f"{record}-{HEART_RATE}"
        newest = await place.city.get(place.hospital, f"Observation/{id_}")
        assert (newest.headers["etag"], newest.json()["valueSampledData"]["data"]) == ('W/"2"', "90 91 92")
        assert (await place.read(f"{id_}/_history/1"))["valueSampledData"]["data"] == "100 101 102"
        versions = (await place.city.get(place.hospital, f"Observation/{id_}/_history")).json()
        assert [entry["resource"]["meta"]["versionId"] for entry in versions["entry"]] == ["2", "1"]
        assert (await place.city.get(place.hospital, f"Observation/{record}-{POSITION}")).status_code == 404
        assert (await place.city.get(place.hospital, f"Observation/{record}-{POSITION}/_history/1")).status_code == 200
        await place.city.withdraw(place.resident, consent)
        assert (await place.city.get(place.hospital, f"Observation/{id_}/_history/1")).status_code == 404

    in_town(hub_url, tmp_path, work)


def test_every_read_leaves_one_audit_entry(hub_url: str, tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        record = await place.stored({"heart_rate": SOME})
        await place.city.grant(place.resident, place.hospital)

        async def entries() -> list[tuple[str, str, bool]]:
            async with place.city.hub.database.connection() as connection:
                rows = await connection.fetch("SELECT action, outcome, rule FROM audit WHERE party = $1 ORDER BY chain, seq", place.hospital.number)
            return [(row["action"], row["outcome"], bool(row["rule"])) for row in rows]

        await place.city.bearer(place.hospital)
        before = len(await entries())
        for path in ("", "/$sampled", "/_history"):
            await place.city.get(place.hospital, f"Observation/{record}-{HEART_RATE}{path}")
        await place.city.get(place.hospital, f"Observation/{record}-{POSITION}")
        await place.search(**{"derived-from": f"{record}-1"})
        assert (await entries())[before:] == [
            ("read Observation", "shown", True), ("read Observation", "shown", True), ("history Observation", "shown", False),
            ("read Observation", "nothing", False), ("search Observation", "shown", True),
        ]  # fmt: skip

    in_town(hub_url, tmp_path, work)


def test_the_operation_is_declared_and_described(hub_url: str, tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        statement = (await place.city.http.get("/fhir/metadata")).json()
        stated = next(one for one in statement["rest"][0]["resource"] if one["type"] == "Observation")["operation"]
        definition = (await place.city.http.get("/fhir/OperationDefinition/observation-sampled")).json()
        OperationDefinition.model_validate(definition)
        assert {"name": "sampled", "definition": definition["url"]} in stated

    in_town(hub_url, tmp_path, work)
