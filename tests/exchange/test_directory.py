"""The directory through its front doors: entries come in by command, are read over FHIR, and records' faces refer to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fhir.resources.R4B.bundle import Bundle

from hub.cli import cli
from hub.store.parties import Party
from schemas.errors import KineHubError
from tests.builders import City, a_city, a_session

SITES, STAFF = "https://gym.example/sites", "https://gym.example/staff"
PHONE, STREET, BORN = "13800000000", "幸福路 1 号", "1988-04-12"


class Town:
    """A hub with two centres and a hospital, and its command line on the same database."""

    def __init__(self, city: City, url: str, folder: Path) -> None:
        self.city = city
        self._common = ["--json", "--data-dir", str(folder), "--database-url", url]
        self._environment = {"KINEHUB_KEYRING": str(folder / "keyring.json")}
        self.center: Party
        self.other: Party
        self.hospital: Party

    async def build(self) -> Town:
        self.center = await self.city.party("滨江健身馆", "fitness-center", may_register=True)
        self.other = await self.city.party("东湖健身馆", "fitness-center")
        self.hospital = await self.city.party("市第二医院", "hospital")
        return self

    async def command(self, *arguments: str, stdin: str | None = None) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, [*self._common, *arguments], input=stdin, env=self._environment)

    async def add(self, body: dict[str, Any], party: Party | None = None) -> dict[str, Any]:
        done = await self.command("directory", "add", "--party", str((party or self.center).id), "--from", "-", stdin=json.dumps(body))
        assert done.exit_code == 0, done.exception
        return dict(json.loads(done.stdout))

    async def refused(self, body: dict[str, Any], party: Party | None = None) -> KineHubError:
        done = await self.command("directory", "add", "--party", str((party or self.center).id), "--from", "-", stdin=json.dumps(body))
        assert isinstance(done.exception, KineHubError), done.output
        return done.exception

    async def got(self, path: str, party: Party | None = None, **parameters: Any) -> dict[str, Any]:
        answer = await self.city.get(party or self.hospital, path, **parameters)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def found(self, type_: str, party: Party | None = None, **parameters: Any) -> list[str]:
        """Ids of a search's matches, checked against its total."""
        bundle = await self.got(type_, party, _total="accurate", **parameters)
        ids = [entry["resource"]["id"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]
        assert bundle["total"] == len(ids)
        return ids


@pytest.fixture
def in_town(hub_url: str, tmp_path: Path) -> Callable[[Callable[[Town], Awaitable[None]]], None]:
    def run(work: Callable[[Town], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with a_city(hub_url, tmp_path) as city:
                await work(await Town(city, hub_url, tmp_path).build())

        asyncio.run(inside())

    return run


InTown = Callable[[Callable[[Town], Awaitable[None]]], None]


def a_venue(name: str = "二楼器械区", number: str = "V-1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Location", "identifier": [{"system": SITES, "value": number}], "status": "active", "name": name, **more}


def a_coach(name: str = "周敏", number: str = "C-1", **more: Any) -> dict[str, Any]:
    contacts = {"telecom": [{"system": "phone", "value": PHONE}], "address": [{"line": [STREET], "city": "上海市"}], "birthDate": BORN}
    return {"resourceType": "Practitioner", "identifier": [{"system": STAFF, "value": number}], "name": [{"text": name}]} | contacts | more


def a_role(coach: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "PractitionerRole", "identifier": [{"system": STAFF, "value": "R-1"}], "practitioner": {"reference": coach},
        "code": [{"text": "运动指导员"}], **more,
    }  # fmt: skip


def test_an_entry_is_added_listed_and_read_with_its_owner_and_version(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        made = await town.add(a_venue(address={"city": "上海市"}))
        assert (made["status"], made["version"]) == ("created", 1)
        location = await town.got(made["reference"])
        assert location["managingOrganization"] == {"reference": town.center.reference}
        assert location["meta"]["versionId"] == "1"
        answer = await town.city.get(town.hospital, made["reference"])
        assert answer.headers["etag"] == 'W/"1"'
        assert "last-modified" in answer.headers
        listed = json.loads((await town.command("directory", "list", "--party", str(town.center.id))).stdout)
        assert [(one["type"], one["party_id"]) for one in listed] == [("Location", str(town.center.id)), ("Organization", str(town.center.id))]
        assert len(json.loads((await town.command("directory", "list")).stdout)) == 4

    in_town(work)


def test_the_same_identifier_again_is_a_new_version_and_the_same_content_none(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        made = await town.add(a_venue())
        assert (await town.add(a_venue()))["status"] == "unchanged"
        again = await town.add(a_venue("三楼"))
        assert again == made | {"version": 2, "status": "updated"}
        assert (await town.got(made["reference"]))["name"] == "三楼"
        assert (await town.got(f"{made['reference']}/_history/1"))["name"] == "二楼器械区"
        history = await town.got(f"{made['reference']}/_history")
        assert [entry["resource"]["meta"]["versionId"] for entry in history["entry"]] == ["2", "1"]
        Bundle.model_validate(history)
        assert await town.found("Location", name="二楼") == []
        assert await town.found("Location", _lastUpdated="ge2026-01-01") == [made["id"]]

    in_town(work)


def test_another_partys_entry_with_the_same_identifier_is_another_entry(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        ours, theirs = await town.add(a_venue("我们的")), await town.add(a_venue("他们的"), town.other)
        assert ours["id"] != theirs["id"]
        assert (await town.got(ours["reference"]))["name"] == "我们的"
        assert await town.found("Location", organization=town.other.reference) == [theirs["id"]]

    in_town(work)


def test_an_entry_cannot_be_put_under_another_party_or_lean_on_its_practitioner(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        assert "managingOrganization" in (await town.refused(a_venue(managingOrganization={"reference": town.other.reference}))).message
        coach = await town.add(a_coach(), town.other)
        assert "another party" in (await town.refused(a_role(coach["reference"]))).message
        assert (await town.refused(a_role("Practitioner/nobody"))).field == "PractitionerRole.practitioner.reference"
        assert await town.found("PractitionerRole") == []

    in_town(work)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"resourceType": "Patient"}, "resourceType"),
        (a_venue(adress={"city": "上海市"}), "Location.adress"),
        (a_venue(address={"line": ["x"], "citty": "上海市"}), "Location.address.citty"),
        (a_venue(telecom=[{"system": "phone", "valu": "1"}]), "Location.telecom[0].valu"),
        (a_venue(status="open"), "Location.status"),
        (a_venue(partOf={"reference": "Organization/x"}), "Location.partOf.reference"),
        (a_venue(position={"longitude": 121.5}), "Location.position.latitude"),
        (a_venue(id="mine"), "Location.id"),
        (a_venue(description=" "), "Location.description"),
        (a_venue(identifier=[{"value": "V-1"}]), "Location.identifier[0].system"),
        ({"resourceType": "Location", "identifier": [{"system": SITES, "value": "V-1"}]}, "Location.name"),
        (a_coach(identifier=[{"system": "urn:oid:2.16.156.10011.1.3", "value": "1"}]), "Practitioner.identifier[0].system"),
        (a_coach(name=[{"family": "周"}]), "Practitioner.name[0].text"),
        (a_coach(text={"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>13800000000</div>"}), "Practitioner.text"),
        (a_coach(contained=[{"resourceType": "Location", "id": "a"}]), "Practitioner.contained"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_no_valid_entry_is_refused_with_its_path(in_town: InTown, body: dict[str, Any], path: str) -> None:
    async def work(town: Town) -> None:
        assert (await town.refused(body)).field == path

    in_town(work)


def test_private_contacts_are_for_the_practitioners_own_party_alone(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        coach = await town.add(a_coach())
        role = await town.add(a_role(coach["reference"], telecom=[{"system": "phone", "value": PHONE}]))
        own = await town.got(coach["reference"], town.center)
        assert (own["telecom"][0]["value"], own["address"][0]["line"], own["birthDate"]) == (PHONE, [STREET], BORN)
        paths = [coach["reference"], role["reference"], *(f"{one['reference']}/_history{end}" for one in (coach, role) for end in ("", "/1"))]
        for path in [*paths, "Practitioner", "PractitionerRole?_include=PractitionerRole:practitioner"]:
            for party in (town.hospital, town.other):
                said = (await town.city.get(party, path)).text
                assert coach["id"] in said
                assert not [secret for secret in (PHONE, STREET, BORN, "telecom", "address", "birthDate") if secret in said], path
        for named in ({"phone": PHONE}, {"address-city": "上海市"}, {"telecom": PHONE}, {"phone:missing": "false"}):
            assert await town.found("Practitioner", town.center, **named) == [coach["id"]]
            assert await town.found("Practitioner", town.hospital, **named) == []
        assert await town.found("PractitionerRole", town.hospital, **{"practitioner.phone": PHONE}) == []
        assert PHONE not in (await town.command("directory", "list")).stdout

    in_town(work)


def test_private_contacts_lie_sealed_in_the_table_and_go_when_they_are_taken_back(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        coach = await town.add(a_coach())
        without = {name: value for name, value in a_coach().items() if name not in ("telecom", "address", "birthDate")}
        async with town.city.hub.database.connection() as connection:
            (row,) = await connection.fetch("SELECT body, contacts FROM directory WHERE type = 'Practitioner'")
            assert not [secret for secret in (PHONE, STREET, BORN) if secret in row["body"] or secret.encode() in row["contacts"]]
            await town.add(a_coach(telecom=[{"system": "phone", "value": "13900000000"}]))
            assert (await town.got(coach["reference"], town.center))["telecom"][0]["value"] == "13900000000"
            assert (await town.add(without))["version"] == 3
            assert {row["contacts"] for row in await connection.fetch("SELECT contacts FROM directory WHERE type = 'Practitioner'")} == {None}
        assert "telecom" not in await town.got(f"{coach['reference']}/_history/1", town.center)

    in_town(work)


def test_a_search_of_the_directory_needs_no_patient_and_knows_the_parameters_of_r4(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        first = await town.add(a_venue("一楼泳池", "V-1", address={"city": "上海市"}))
        second = await town.add(a_venue("二楼器械区", "V-2", address={"city": "南京市"}, partOf={"reference": first["reference"]}))
        coach = await town.add(a_coach())
        role = await town.add(a_role(coach["reference"], location=[{"reference": second["reference"]}]))
        model = await town.add({"resourceType": "DeviceDefinition", "identifier": [{"system": SITES, "value": "D-1"}], "modelNumber": "T60"})
        for asked in ({"name": "一楼"}, {"identifier": f"{SITES}|V-1"}, {"address-city": "上海"}, {"_has:Location:partof:name": "二楼"}):
            assert await town.found("Location", **asked) == [first["id"]], asked
        assert await town.found("Location", organization=town.center.reference, _sort="name") == [first["id"], second["id"]]
        assert await town.found("PractitionerRole", **{"practitioner.name": "周敏"}) == [role["id"]]
        assert await town.found("DeviceDefinition", identifier="D-1") == [model["id"]]
        assert await town.found("Organization", name="滨江") == [str(town.center.id)]
        wanted = ["PractitionerRole:practitioner", "PractitionerRole:location", "PractitionerRole:organization"]
        answer = await town.city.http.get(
            "/fhir/PractitionerRole", params=[("_include", one) for one in wanted], headers=await town.city.bearer(town.hospital)
        )
        Bundle.model_validate(answer.json())
        modes = {entry["resource"]["resourceType"]: entry["search"]["mode"] for entry in answer.json()["entry"]}
        assert modes == {"PractitionerRole": "match", "Practitioner": "include", "Location": "include", "Organization": "include"}
        assert (await town.city.get(town.hospital, "Location", colour="red")).status_code == 400

    in_town(work)


def test_a_search_of_the_directory_is_paged_and_shaped(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        made = {(await town.add(a_venue(f"{number} 号厅", f"V-{number}")))["id"] for number in range(5)}
        path, seen = "Location?_count=2&_sort=name&_elements=name", list[str]()
        while path:
            page = await town.got(path)
            seen += [entry["resource"]["id"] for entry in page["entry"]]
            assert all("identifier" not in entry["resource"] for entry in page["entry"])
            link = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
            path = link.partition("/fhir/")[2]
        assert len(seen) == 5
        assert set(seen) == made
        assert (await town.got("Location", _summary="count")) | {"link": []} == {"resourceType": "Bundle", "type": "searchset", "total": 5, "link": []}

    in_town(work)


def test_the_directory_needs_the_scope_of_its_type_and_a_token(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        venue, coach = await town.add(a_venue()), await town.add(a_coach())
        role = await town.add(a_role(coach["reference"]))
        narrow = await town.city.bearer(town.hospital, "system/Location.rs system/PractitionerRole.rs")

        async def asked(path: str, headers: dict[str, str]) -> Any:
            return await town.city.http.get(f"/fhir/{path}", headers=headers)

        assert (await asked(venue["reference"], {})).status_code == 401
        assert (await asked(venue["reference"], narrow)).status_code == 200
        for path in (coach["reference"], "Practitioner", f"{coach['reference']}/_history"):
            assert (await asked(path, narrow)).status_code == 403
        included = (await asked("PractitionerRole?_include=PractitionerRole:practitioner", narrow)).json()
        assert [entry["resource"]["id"] for entry in included["entry"]] == [role["id"]]
        chained = (await asked("PractitionerRole?practitioner.name=周敏&_total=accurate", narrow)).json()
        assert chained["total"] == 0
        unknown = await asked("Location/nobody", narrow)
        assert unknown.status_code == 404
        stated = (await asked("metadata", {})).json()["rest"][0]["resource"]
        reads = {one["type"]: {each["code"] for each in one["interaction"]} for one in stated}
        for type_ in ("Organization", "Location", "Practitioner", "PractitionerRole", "HealthcareService", "DeviceDefinition"):
            assert reads[type_] == {"read", "vread", "history-instance", "search-type"}

    in_town(work)


async def faces(town: Town, day: int, venue: str, person: str, party: Party | None = None) -> tuple[Any, Any, Any, Any]:
    """What an upload's faces say of where and by whom: session venue and coach, visit's location, test's performer."""
    sender, resident = party or town.center, await town.city.resident()
    start, end = f"2026-05-{day:02d}T08:00:00+08:00", f"2026-05-{day:02d}T09:00:00+08:00"
    test = {"kind": "fitness-test", "start": start, "tester": person, "items": [{"measure": "grip-strength", "value": 30, "unit": "kg"}]}
    visit = {"kind": "check-in", "start": start, "end": end, "venue": venue}
    records = [a_session(start, venue=venue, coach=person), {"record": visit}, {"record": test}]
    answer = await town.city.upload(sender, {"records": records}, resident=resident)
    assert answer.status_code == 201, answer.text
    session, visited, tested = (next(ref for ref in one["resources"] if ref.endswith("-1")) for one in answer.json()["records"])
    panel = await town.got(session, sender)
    said = {one["url"].rpartition("/")[2]: one.get("valueReference", one.get("valueString")) for one in panel["extension"]}
    encounter, report = await town.got(visited, sender), await town.got(tested, sender)
    return said["venue"], said["coach"], encounter["location"][0]["location"], report["performer"][1]


def test_a_record_that_names_an_entry_exactly_refers_to_it(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        venue, coach = await town.add(a_venue()), await town.add(a_coach())
        there, person = {"reference": venue["reference"], "display": "二楼器械区"}, {"reference": coach["reference"], "display": "周敏"}
        assert await faces(town, 1, "二楼器械区", "周敏") == (there, person, there, person | {"type": "Practitioner"})
        assert await faces(town, 2, "V-1", "C-1") == (there, person, there, person | {"type": "Practitioner"})
        resident = await town.city.resident()
        asked = {"patient": str(resident), "_include": ["Encounter:location", "Encounter:service-provider"], "date": "2026-05-01"}
        found = await town.got("Encounter", town.center, **asked)
        assert {entry["resource"]["id"] for entry in found["entry"][1:]} == {venue["id"], str(town.center.id)}
        reports = await town.got("DiagnosticReport", town.center, patient=str(resident), _include="DiagnosticReport:performer:Practitioner")
        (included,) = [entry["resource"] for entry in reports["entry"] if entry["search"]["mode"] == "include"]
        assert (included["id"], included["telecom"][0]["value"]) == (coach["id"], PHONE)
        await town.city.grant(resident, town.hospital, "all")
        seen = await town.got("Encounter", town.hospital, patient=str(resident), _include="Encounter:location")
        assert {entry["resource"]["id"] for entry in seen["entry"] if entry["search"]["mode"] == "include"} == {venue["id"]}
        reports = await town.got("DiagnosticReport", town.hospital, patient=str(resident), _include="DiagnosticReport:performer:Practitioner")
        (included,) = [entry["resource"] for entry in reports["entry"] if entry["search"]["mode"] == "include"]
        assert (included["id"], "telecom" in included) == (coach["id"], False)

    in_town(work)


def test_who_measured_is_a_person_and_an_organization_of_the_directory(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        coach, resident = await town.add(a_coach()), await town.city.resident()
        pressure = [{"measure": "systolic", "value": 128, "unit": "mm[Hg]"}, {"measure": "diastolic", "value": 82, "unit": "mm[Hg]"}]
        said = {"kind": "vital", "start": "2026-05-01T08:00:00+08:00", "measure": "blood-pressure", "components": pressure}
        record = said | {"performer": "周敏", "performing_organization": "滨江健身馆"}
        answer = await town.city.upload(town.center, {"records": [{"record": record}]}, resident=resident)
        (name,) = (reference for reference in answer.json()["records"][0]["resources"] if reference.startswith("Observation/"))
        assert (await town.got(name, town.center))["performer"] == [
            {"type": "Practitioner", "reference": coach["reference"], "display": "周敏"},
            {"type": "Organization", "reference": f"Organization/{town.center.id}", "display": "滨江健身馆"},
        ]
        found = await town.got("Observation", town.center, patient=str(resident), performer=coach["reference"])
        assert [entry["resource"]["id"] for entry in found["entry"]] == [name.partition("/")[2]]

    in_town(work)


def test_a_record_that_names_no_entry_exactly_keeps_its_text_alone(in_town: InTown) -> None:
    def plain(venue: str, person: str) -> tuple[Any, ...]:
        return venue, person, {"display": venue}, {"type": "Practitioner", "display": person}

    async def work(town: Town) -> None:
        await town.add(a_venue())
        await town.add(a_coach())
        for day, (venue, person) in enumerate((("二楼", "周"), ("二楼器械区 ", "周敏 "), ("v-1", "c-1"), ("周敏", "二楼器械区")), 1):
            assert await faces(town, day, venue, person) == plain(venue, person)
        assert await faces(town, 10, "二楼器械区", "周敏", town.other) == plain("二楼器械区", "周敏")
        await town.add(a_venue(number="V-2"))
        await town.add(a_coach("陈亮", "周敏"))
        assert await faces(town, 11, "二楼器械区", "周敏") == plain("二楼器械区", "周敏")

    in_town(work)


def test_an_entry_renamed_by_a_command_is_known_to_the_running_hub_at_once(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        venue = await town.add(a_venue())
        await town.add(a_coach())
        assert (await faces(town, 1, "二楼器械区", "周敏"))[0]["reference"] == venue["reference"]
        await town.add(a_venue("三楼"))
        assert (await faces(town, 2, "二楼器械区", "周敏"))[0] == "二楼器械区"
        assert (await faces(town, 3, "三楼", "周敏"))[0] == {"reference": venue["reference"], "display": "三楼"}

    in_town(work)


def test_entries_added_at_the_same_time_are_one_entry_in_as_many_versions(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        made = await asyncio.gather(*(put(town, f"{number} 号厅") for number in range(6)))
        assert {one["id"] for one in made} == {made[0]["id"]}
        assert sorted(one["version"] for one in made) == [1, 2, 3, 4, 5, 6]
        newest = max(made, key=lambda one: one["version"])
        assert (await town.got(f"Location/{newest['id']}"))["meta"]["versionId"] == "6"

    async def put(town: Town, name: str) -> dict[str, Any]:
        from hub.store import directory

        async with town.city.hub.database.connection() as connection:
            entry, _ = await directory.put(connection, town.city.hub.keyring, town.center.number, a_venue(name))
        return {"id": entry.id, "version": entry.version}

    in_town(work)
