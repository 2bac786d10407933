"""The same workout from two sources, over HTTP: linked for whoever may see both, and not to be noticed by either uploader."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from fhir.resources.R4B.linkage import Linkage

from adapters import fit
from hub.access import accounts
from hub.store import residents
from hub.store.parties import Party
from tests.builders import City, a_city, a_pressure, a_session
from tests.exchange.test_own_consent import PASSWORD, a_consent, browsing, signed_in

HEAD = "流水号,会员号,项目,开始时间,结束时间,平均心率"
SAME, LATER = "2026-05-03 07:00,2026-05-03 07:02", "2026-05-03 18:00,2026-05-03 18:02"
"""The centre's times of the workout in the FIT sample (07:00 to 07:01), and of another one."""


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


class Place(msgspec.Struct):
    """A resident whose workout two parties may record: a centre in a table, a wearable cloud in a FIT file."""

    city: City
    center: Party
    band: Party
    hospital: Party
    resident: UUID
    member: str
    panels: dict[str, str] = {}
    receipts: dict[str, dict[str, Any]] = {}

    async def by_center(self, times: str = SAME) -> None:
        table = f"{HEAD}\n77,{self.member},跑步,{times},120\n".encode()
        self._keep("center", await self.city.upload(self.center, table, format_="table"))

    async def by_band(self) -> None:
        self._keep("band", await self.city.upload(self.band, fit.sample, resident=self.resident, format_="fit"))

    def _keep(self, who: str, answer: Any) -> None:
        assert answer.status_code in (200, 201), answer.text
        self.receipts[who] = answer.json()
        self.panels[who] = next(one for one in answer.json()["records"][0]["resources"] if one.endswith("-1"))

    async def links(self, reader: Party) -> list[dict[str, Any]]:
        """What a reader gets by every way there is, which must be the same."""
        found = await self.city.get(reader, "Observation", patient=str(self.resident), _count=1000, _revinclude="Linkage:item")
        shown = of(found, "Linkage")
        for panel in self.panels.values():
            assert of(await self.city.get(reader, "Linkage", item=panel)) == shown
        assert of(await self.city.get(reader, f"Patient/{self.resident}/$everything"), "Linkage") == shown
        for one in shown:
            Linkage.model_validate(one)
            assert (await self.city.get(reader, f"Linkage/{one['id']}")).json() == one
            assert of(await self.city.get(reader, "Linkage", _id=one["id"])) == [one]
        return shown

    async def consent(self, source: Party) -> None:
        """Let the hospital see what one source recorded."""
        body = a_consent(self.resident, self.hospital.reference)
        body["provision"]["data"] = [{"meaning": "authoredby", "reference": {"reference": source.reference}}]
        await residents.save_consent(self.city.hub, self.resident, lambda id_: body | {"id": id_}, actor="test", action="consent-grant")


async def a_place(city: City, order: int = 2) -> Place:
    center, band, hospital = await city.party("中心", "fitness-center"), await city.party("手环云", "wearable-cloud"), await city.party("医院", "hospital")
    return Place(city, center, band, hospital, await city.resident(order=order, members=[(center, f"YH-{order}")]), f"YH-{order}")


async def a_shared_workout(city: City) -> Place:
    place = await a_place(city)
    await place.by_center()
    await place.by_band()
    return place


def of(answer: Any, type_: str = "Linkage") -> list[dict[str, Any]]:
    return [entry["resource"] for entry in answer.json().get("entry", []) if entry["resource"]["resourceType"] == type_]


def told(links: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """Each Linkage as its references by type."""
    return [{item["type"]: item["resource"]["reference"] for item in one["item"]} for one in links]


def answered(response: Any) -> tuple[int, bytes, list[tuple[str, str]]]:
    return response.status_code, response.content, sorted(pair for pair in response.headers.items() if pair[0] not in ("date", "x-request-id"))


def test_who_may_see_both_sources_gets_the_link_by_every_way(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            place = await a_shared_workout(city)
            await city.grant(place.resident, place.hospital, "activity")
            links = await place.links(place.hospital)
            assert told(links) == [{"source": place.panels["band"], "alternate": place.panels["center"]}]
            assert links[0]["active"] is True
            assert "author" not in links[0]
            counts, again = place.panels["band"], place.panels["center"]
            assert of(await city.get(place.hospital, "Linkage", source=counts)) == links
            assert of(await city.get(place.hospital, "Linkage", source=again)) == []
            for parameter, shown in (("Linkage:item", links), ("Linkage:source", [])):
                alone = await city.get(place.hospital, "Observation", _id=again.partition("/")[2], _revinclude=parameter)
                assert of(alone) == shown
            both = await city.get(place.hospital, "Linkage", item=again, _include="Linkage:item")
            assert {f"Observation/{one['id']}" for one in of(both, "Observation")} == {counts, again}
            posted = await city.http.post("/fhir/Linkage/_search", data={"item": again}, headers=await city.bearer(place.hospital))
            assert of(posted) == links
            has = await city.shown(place.hospital, place.resident, **{"_has:Linkage:item:_id": links[0]["id"]})
            assert {f"Observation/{id_}" for id_ in has} == {counts, again}

    run(work())


def test_the_resident_sees_both_and_the_link_in_fhir_the_download_and_on_the_page(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            place = await a_shared_workout(city)
            browser, _ = await signed_in(city, place.resident)
            own = await browser.get("/fhir/Observation", params={"_revinclude": "Linkage:item", "_count": "1000"})
            assert set(place.panels.values()) <= {f"Observation/{one['id']}" for one in of(own, "Observation")}
            links = of(own)
            assert told(links) == [{"source": place.panels["band"], "alternate": place.panels["center"]}]
            assert of(await browser.get("/fhir/Linkage")) == of(await browser.get("/resident/download")) == links
            assert (await browser.get(f"/fhir/Linkage/{links[0]['id']}")).json() == links[0]
            page = (await browser.get("/resident/records")).text
            assert page.count("与手环云的记录是同一次锻炼，只计一次") == page.count("同一次锻炼") == 1

    run(work())


def test_the_line_is_there_once_where_the_two_stand_on_different_pages_of_the_list(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            place = await a_shared_workout(city)
            newer = [a_pressure(f"2026-05-04T09:{minute:02}:00+08:00") for minute in range(19)]
            assert (await city.upload(place.center, {"records": newer}, resident=place.resident)).status_code == 201
            browser, _ = await signed_in(city, place.resident)
            pages = [(await browser.get("/resident/records")).text]
            older = re.search(r'href="(/resident/records[?]before=[^"]+)"', pages[0])
            assert older
            pages.append((await browser.get(older[1])).text)
            assert [page.count("<strong>跑步") for page in pages] == [1, 1]
            assert sum(page.count("与手环云的记录是同一次锻炼，只计一次") for page in pages) == "".join(pages).count("同一次锻炼") == 1

    run(work())


def test_the_hospitals_table_marks_it_where_both_are_granted(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            place = await a_shared_workout(city)
            async with city.hub.database.connection() as connection:
                await accounts.add(connection, city.hub.keyring, login="doctor", name="李医生", role="doctor", password=PASSWORD, party=place.hospital.number)
            browser = await browsing(city, "doctor")
            for source, count in ((place.center, 0), (place.band, 1)):
                await place.consent(source)
                page = (await browser.get(f"/hospital/patients/{place.resident}")).text
                assert "跑步" in page
                assert page.count("的记录是同一次锻炼，只计一次") == count

    run(work())


def test_who_may_see_one_source_sees_no_link_and_its_id_is_unknown(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            place = await a_shared_workout(city)
            id_ = place.panels["band"].partition("/")[2][:36].replace("-", "") + place.panels["center"].partition("/")[2][:36].replace("-", "")
            neighbour = await city.resident("乙", 3)
            await city.upload(place.center, a_session(), resident=neighbour)
            await place.consent(place.center)
            assert place.panels["center"].partition("/")[2] in await city.shown(place.hospital, place.resident)
            for reader in (place.hospital, place.center, place.band):
                assert await place.links(reader) == []
                unknown = answered(await city.get(reader, f"Linkage/{uuid4().hex}{uuid4().hex}"))
                for asked in (id_, id_[32:] + id_[:32], id_.upper(), id_[:63], place.panels["band"].partition("/")[2], str(place.resident)):
                    assert answered(await city.get(reader, f"Linkage/{asked}")) == unknown
                    assert answered(await city.get(reader, f"Linkage/{asked}/_history"))[0] == 404
            browser, _ = await signed_in(city, neighbour)
            assert (await browser.get(f"/fhir/Linkage/{id_}")).status_code == 404
            await place.consent(place.band)
            (link,) = await place.links(place.hospital)
            assert {item["resource"]["reference"] for item in link["item"]} == set(place.panels.values())

    run(work())


def test_a_consent_to_observations_alone_shows_no_linkage(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            place = await a_shared_workout(city)
            body = a_consent(place.resident, place.hospital.reference)
            body["provision"]["class"] = [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]
            await residents.save_consent(city.hub, place.resident, lambda id_: body | {"id": id_}, actor="test", action="consent-grant")
            assert len(await city.shown(place.hospital, place.resident)) > 2
            assert await place.links(place.hospital) == []

    run(work())


STAMPS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|\+00:00)")
IDS = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")


def unnamed(text: str, member: str) -> str:
    """A body without what differs between any two residents: ids, by order of appearance, and times of storing."""
    ids: dict[str, str] = {}
    text = IDS.sub(lambda found: ids.setdefault(found[0].replace("-", ""), f"id{len(ids)}"), STAMPS.sub("then", text))
    return re.sub(r"_cursor=[^&\"]+", "_cursor", text.replace(member, "member"))


async def what_is_told(place: Place, uploader: Party, who: str) -> list[str]:
    """Everything an uploader is answered about its own upload."""
    city, panel = place.city, place.panels[who]
    headers = await city.bearer(uploader, "intake.write")
    answers = [await city.http.get(f"/intake/receipts/{place.receipts[who]['receipt_id']}", headers=headers)]
    for path, parameters in (
        (f"Patient/{place.resident}/$everything", {}),
        ("Observation", {"patient": str(place.resident), "_revinclude": "Linkage:item", "_total": "accurate"}),
        ("Observation", {"patient": str(place.resident), "_has:Linkage:item:_id:missing": "false"}),
        ("Linkage", {"item": panel, "_total": "accurate"}),
        ("Linkage", {"source": panel, "_include": "*"}),
        ("Provenance", {"target": panel}),
        (panel, {}),
        (f"{panel}/_history", {}),
    ):
        answers.append(await city.get(uploader, path, **parameters))
    bodies = [str(place.receipts[who]), *(f"{answer.status_code} {answer.text}" for answer in answers)]
    return [unnamed(body, place.member) for body in bodies]


@pytest.mark.parametrize("who", ["center", "band"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
def test_no_answer_to_an_uploader_differs_where_the_other_source_is(hub_url: str, tmp_path: Path, who: str, is_first: bool) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            alone = await a_place(city)
            shared = msgspec.structs.replace(alone, resident=await city.resident("王秀英", 9, [(alone.center, "YH-9")]), member="YH-9", panels={}, receipts={})
            uploader = {"center": alone.center, "band": alone.band}[who]
            other = {"center": shared.by_band, "band": shared.by_center}[who]
            if not is_first:
                await other()
            for place in (alone, shared):
                await {"center": place.by_center, "band": place.by_band}[who]()
            if is_first:
                await other()
            assert len(shared.panels) == 2
            assert await what_is_told(shared, uploader, who) == await what_is_told(alone, uploader, who)

    run(work())


def test_a_correction_that_moves_one_session_away_removes_the_link_and_one_that_stays_versions_it(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            place = await a_shared_workout(city)
            await city.grant(place.resident, place.hospital, "activity")
            (first,) = await place.links(place.hospital)
            await place.by_center(SAME.replace("07:02", "07:03"))
            assert place.receipts["center"]["status"] == "updated"
            (second,) = await place.links(place.hospital)
            assert (second["id"], second["item"]) == (first["id"], first["item"])
            assert (first["meta"]["versionId"], second["meta"]["versionId"]) == ("1", "2")
            assert second["meta"]["lastUpdated"] > first["meta"]["lastUpdated"]
            await place.by_center(LATER)
            assert await place.links(place.hospital) == []
            unknown = answered(await city.get(place.hospital, f"Linkage/{uuid4().hex}{uuid4().hex}"))
            assert answered(await city.get(place.hospital, f"Linkage/{first['id']}")) == unknown

    run(work())


def test_three_sources_make_one_source_and_two_alternates_in_any_order(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            place = await a_place(city)
            told_by = [(place.center, a_session(minutes=60)), (place.band, a_session(minutes=52, samples=900)), (place.hospital, a_session(minutes=55))]
            reader = await city.party("Other", "hospital")
            for number, uploads in enumerate((told_by, told_by[::-1])):
                resident = await city.resident(f"甲{number}", 20 + number)
                panels = {}
                for party, content in uploads:
                    resources = (await city.upload(party, content, resident=resident)).json()["records"][0]["resources"]
                    panels[party.number] = next(one for one in resources if one.endswith("-1"))
                await city.grant(resident, reader, "activity")
                found = told(of(await city.get(reader, "Observation", patient=str(resident), _revinclude="Linkage:item")))
                assert {one["source"] for one in found} == {panels[place.band.number]}
                assert sorted(one["alternate"] for one in found) == sorted([panels[place.center.number], panels[place.hospital.number]])

    run(work())


def test_a_search_that_names_no_item_is_refused_with_the_reason(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            place = await a_shared_workout(city)
            for parameters in ({}, {"author": place.center.reference}):
                answer = await city.get(place.hospital, "Linkage", **parameters)
                assert answer.status_code == 400
                assert "item=" in answer.text
            assert (await city.get(place.hospital, "Linkage", patient=str(place.resident))).status_code == 400
            stated = (await city.http.get("/fhir/metadata")).json()["rest"][0]["resource"]
            (linkage,) = [one for one in stated if one["type"] == "Linkage"]
            assert [one["code"] for one in linkage["interaction"]] == ["read", "search-type"]
            (observation,) = [one for one in stated if one["type"] == "Observation"]
            assert {"Linkage:item", "Linkage:source"} <= set(observation["searchRevInclude"])

    run(work())


def test_a_look_at_links_is_in_the_audit(hub_url: str, tmp_path: Path) -> None:
    from hub.store import grants

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            place = await a_shared_workout(city)
            consent = await city.grant(place.resident, place.hospital, "activity")
            (link,) = await place.links(place.hospital)
            await city.get(place.hospital, f"Linkage/{link['id']}")
            await city.get(place.center, f"Linkage/{link['id']}")
            refused, seen = (await grants.looks(city.hub, place.resident))[:2]
            assert (seen["action"], seen["outcome"], seen["rule"], seen["detail"]["shown"]) == ("read Linkage", "shown", f"Consent/{consent}", {"Linkage": 1})
            assert (refused["action"], refused["outcome"], refused["detail"]) == ("read Linkage", "nothing", None)

    run(work())
