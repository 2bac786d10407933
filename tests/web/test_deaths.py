"""After a death (PIPL 49): two persons record it, nothing rests on a consent any more, and relatives reach what the resident wanted, and no more."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest
from click.testing import CliRunner, Result

from hub.access import accounts
from hub.cli import cli as kinehub
from hub.settings import load
from tests.builders import a_city, a_session, an_id_number
from tests.web.test_family import acting, helping
from tests.web.town import PASSWORD, Place, Visitor, today, token

EVIDENCE = "居民死亡医学证明，编号 T-0001，市第二医院开具"
REASON = "办理保险理赔，看过户口本和死亡证明"
DAY = today().isoformat()
ORDERS = count(600)


class Elder(NamedTuple):
    """A resident of a test's own, with a session, a diagnosis that is sensitive, and a hospital that may see both."""

    id: UUID
    login: str
    order: int

    @property
    def number(self) -> str:
        return an_id_number(self.order)


def an_elder(place: Place) -> Elder:
    made = Elder(UUID(int=0), f"elder-{uuid4().hex[:8]}", next(ORDERS))

    async def work() -> UUID:
        async with a_city(place.database, place.folder) as city:
            city.keys.update(place.town.city.keys)
            identity = await city.resident("孙桂兰", made.order)
            at = f"{today() - timedelta(days=2)}T08:00:00+08:00"
            rows = [a_session(at, 47, sport="volleyball"), {"record": {"kind": "condition", "start": at, "name": "焦虑障碍"}}]
            answer = await city.upload(place.town.center, {"records": rows}, resident=identity)
            assert answer.status_code == 201, answer.text
            await city.grant(identity, place.town.hospital, "activity,diagnosis,identity", sensitive=("PSY",))
            async with city.hub.database.connection() as connection:
                more: dict[str, Any] = {"password": PASSWORD, "resident": identity}
                await accounts.add(connection, city.hub.keyring, login=made.login, name="孙桂兰", role="resident", **more)
            return identity

    with ThreadPoolExecutor(1) as beside:
        return made._replace(id=beside.submit(asyncio.run, work()).result())


@pytest.fixture(scope="module")
def second(place: Place) -> str:
    """Another administrator."""

    async def work() -> None:
        async with a_city(place.database, place.folder) as city, city.hub.database.connection() as connection:
            await accounts.add(connection, city.hub.keyring, login="admin2", name="第二位管理员", role="admin", password=PASSWORD)

    with ThreadPoolExecutor(1) as beside:
        beside.submit(asyncio.run, work()).result()
    return "admin2"


def recorded(visitor: Visitor, elder: Elder, **more: str) -> httpx.Response:
    return visitor.send_form("/admin/deaths", **({"system": "id-number", "value": elder.number, "on": DAY, "evidence": EVIDENCE} | more))


def died(place: Place, elder: Elder, second: str) -> None:
    """Recorded by one, confirmed by another."""
    with place.browse("admin") as first, place.browse(second) as other:
        assert recorded(first, elder).status_code == 303
        assert other.send_form(f"/admin/deaths/{elder.id}/confirm").status_code == 303


def command(place: Place, *arguments: object, group: str = "resident") -> Result:
    environment = {"KINEHUB_KEYRING": str(load(place.folder).keyring)}
    options = ["--data-dir", str(place.folder), "--database-url", place.database, "--json"]
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(CliRunner().invoke, kinehub, [*options, group, *map(str, arguments)], env=environment).result()


def a_relative(place: Place, elder: Elder, login: str = "wang") -> Result:
    return command(place, "relative", elder.id, "--login", login, "--reason", REASON)


def sees(place: Place, elder: Elder) -> bool:
    """Whether the hospital sees the session."""
    with place.browse("doctor") as doctor:
        return "排球" in doctor.show(f"/hospital/patients/{elder.id}")


def signs_in(place: Place, login: str) -> bool:
    with place.browse() as visitor:
        form = {"csrf": token(visitor.get("/sign-in").text), "login": login, "password": PASSWORD, "next": ""}
        return visitor.post("/sign-in", data=form).status_code == 303


def test_a_death_is_in_force_when_a_second_person_confirms_it(place: Place, second: str) -> None:
    elder = an_elder(place)
    with place.browse(elder.login) as own, place.browse("wang") as helper, place.browse("admin") as first, place.browse(second) as other:
        helping(own, helper, "look", "download")
        assert recorded(first, elder).status_code == 303
        assert recorded(first, elder).status_code == 409
        assert sees(place, elder)
        assert "排球" in own.show("/resident/records"), "recorded is not confirmed"
        assert EVIDENCE in other.show("/admin/deaths")
        assert f"/admin/deaths/{elder.id}/confirm" not in first.show("/admin/deaths")
        assert first.send_form(f"/admin/deaths/{elder.id}/confirm").status_code == 403
        assert other.send_form(f"/admin/deaths/{elder.id}/confirm").status_code == 303
        assert other.send_form(f"/admin/deaths/{elder.id}/confirm").status_code == 409
        assert not sees(place, elder)
        assert own.get("/resident/records").status_code == 303, "a live session has ended"
        assert not signs_in(place, elder.login)
        assert helper.get("/resident/records").status_code == 403, "who helped the living does not act for the deceased"
        helper.send_form("/resident/family/self")
        assert not re.findall("/act\"", helper.show("/resident/family"))
    place.rows("DELETE FROM representatives WHERE resident = $1", elder.id)


def test_nothing_of_the_deceased_leaves_over_fhir_not_even_to_who_uploaded_it(place: Place, second: str) -> None:
    elder = an_elder(place)
    stranger = uuid4()

    async def asked(of: UUID) -> list[tuple[int, str]]:
        async with a_city(place.database, place.folder) as city:
            city.keys.update(place.town.city.keys)
            paths = ("Observation", "Encounter", "Condition", "Consent", "Provenance")
            found = [await city.get(party, path, patient=str(of), _total="accurate") for party in (place.town.hospital, place.town.center) for path in paths]
            found += [await city.get(party, f"Patient/{of}{rest}") for party in (place.town.hospital, place.town.center) for rest in ("", "/$everything")]
            return [(one.status_code, re.sub(r'"(lastUpdated|id|url|fullUrl)":"[^"]*"', "", one.text.replace(str(of), ""))) for one in found]

    def explained() -> set[str]:
        told = command(place, "explain", "--resident", elder.id, "--to", place.town.hospital.id, "--purpose", "TREAT", group="consent")
        return {one["decision"] for one in json.loads(told.stdout)["classes"]}

    before = asyncio.run(asked(elder.id))
    assert "permit" in explained()
    died(place, elder, second)
    assert before != (after := asyncio.run(asked(elder.id)))
    assert after == asyncio.run(asked(stranger))
    assert explained() == {"deny"}, "nor is anybody told that they agreed"


def test_a_near_relative_looks_downloads_and_asks_and_sees_neither_the_private_nor_the_rest(place: Place, second: str) -> None:
    elder = an_elder(place)
    assert a_relative(place, elder).exit_code == 1, "the living decide themselves"
    died(place, elder, second)
    assert command(place, "relative", elder.id, "--login", "wang", "--reason", "为了").exit_code == 1
    assert a_relative(place, elder).exit_code == 0
    with place.browse("wang") as relative:
        assert acting(relative) == 303
        home = relative.show("/resident")
        assert "已经去世" in home
        page = relative.show("/resident/records")
        assert "排球" in page
        assert "焦虑" not in page
        assert "排球" in relative.get("/resident/records.csv").text
        assert "焦虑" not in relative.get("/resident/download").text
        others = ("looks", "grants", "grants/new", "more", "sources", "family", "family/new", "emergencies", "alerts", "review", "code", "after")
        for path in others:
            assert relative.get(f"/resident/{path}").status_code == 403, path
        for path in ("pause", "resume", "stop-all", "code", "family/invite", "after"):
            assert relative.send_form(f"/resident/{path}", choice="close").status_code == 403, path
        record = re.search(r"/resident/petitions/new\?record=([0-9a-f-]+)", page)
        assert record
        sent = relative.send_form("/resident/petitions/new", record=record[1], kind="deletion", words="家里人都不想留")
        assert sent.status_code == 303, sent.text
        assert "排球" not in relative.show("/resident/records"), "hidden from everybody"
        assert "家里人都不想留" in relative.show(sent.headers["location"])
    (told,) = [one for one in json.loads(command(place, "deaths").stdout) if one["resident"] == str(elder.id)]
    assert told["evidence"]["text"] == EVIDENCE
    assert told["recorder"] != told["confirmer"]
    assert [one["reason"] for one in told["relatives"]] == [REASON]
    assert command(place, "unrepresent", elder.id, told["relatives"][0]["representative_id"]).exit_code == 0
    with place.browse("wang") as relative:
        assert not re.findall(f"{told['relatives'][0]['representative_id']}/act", relative.show("/resident/family"))
    actions = {(row["action"], row["outcome"]) for row in place.rows("SELECT action, outcome FROM audit WHERE resident = $1", elder.id)}
    assert {("death-record", "success"), ("death-confirm", "success"), ("represent-add", "success"), ("download", "success")} <= actions
    (row,) = place.rows("SELECT body FROM deaths WHERE resident = $1", elder.id)
    assert b"T-0001" not in row["body"]


def test_who_wanted_nobody_to_see_is_seen_by_nobody(place: Place, second: str) -> None:
    elder = an_elder(place)
    with place.browse(elder.login) as own:
        assert "近亲属可以申请" in own.show("/resident/after")
        place.rows("UPDATE sessions SET created = created - interval '1 hour' WHERE account = (SELECT id FROM accounts WHERE resident = $1)", elder.id)
        assert own.send_form("/resident/after", choice="close").status_code == 303, "what shows less asks for nothing"
        assert own.send_form("/resident/after", choice="relatives").headers["location"].startswith("/sign-in"), "what shows more asks who it is"
        assert re.search(r'value="close" checked', own.show("/resident/after"))
    died(place, elder, second)
    refused = a_relative(place, elder)
    assert refused.exit_code == 1
    assert "wanted otherwise" in str(refused.exception)
    assert not place.rows("SELECT FROM representatives WHERE resident = $1", elder.id)
    assert place.rows("SELECT FROM audit WHERE resident = $1 AND action = 'relative-refused'", elder.id)


def test_a_child_does_not_shut_their_parents_out(place: Place) -> None:
    with place.browse("xiaoming") as child:
        assert child.send_form("/resident/after", choice="close").status_code == 403
        assert re.search(r'value="relatives" checked', child.show("/resident/after"))


def test_the_person_who_was_named_acts_and_goes_on_and_nobody_else(place: Place, second: str) -> None:
    elder = an_elder(place)
    with place.browse(elder.login) as own, place.browse("li") as named, place.browse("wang") as other:
        assert own.send_form("/resident/after", choice="person", name="", phone="").status_code == 400
        assert own.send_form("/resident/after", choice="anybody").status_code == 400
        assert own.send_form("/resident/after", choice="person", name="李建国", phone="199 0000 0003").status_code == 303
        assert 'value="李建国"' in own.show("/resident/after")
        helping(own, named, "look", "stop", "grant")
        helping(own, other, "look", "stop", "grant")
        died(place, elder, second)
        assert other.get("/resident/records").status_code == 403
        other.send_form("/resident/family/self")
        assert not re.findall('/act"', other.show("/resident/family"))
        named.send_form("/resident/family/self")
        assert acting(named) == 303, "the one who was named goes on, with a relative's rights"
        assert "排球" in named.show("/resident/records")
        assert named.get("/resident/grants").status_code == 403
        assert named.send_form("/resident/stop-all").status_code == 403
        named.send_form("/resident/family/self")
    assert a_relative(place, elder, "wang").exit_code == 1
    place.rows("UPDATE representatives SET ended = clock_timestamp() WHERE resident = $1", elder.id)
    assert a_relative(place, elder, "li").exit_code == 0
    place.rows("DELETE FROM representatives WHERE resident = $1", elder.id)


def test_a_death_recorded_in_error_is_undone_and_all_is_as_before(place: Place, second: str) -> None:
    elder = an_elder(place)
    with place.browse(elder.login) as own, place.browse("li") as helper:
        helping(own, helper, "look")
        helper.send_form("/resident/family/self")
    place.rows(  # an account of theirs that was ended for a reason of its own
        "INSERT INTO accounts (id, login, name, role, resident, ended) SELECT $2, $3, name, role, resident, now() FROM accounts WHERE resident = $1",
        elder.id, old := uuid4(), old.bytes,
    )  # fmt: skip
    died(place, elder, second)
    assert a_relative(place, elder).exit_code == 0
    assert not sees(place, elder)
    assert command(place, "alive", elder.id).exit_code == 0
    assert place.rows("SELECT ended IS NOT NULL AS gone FROM accounts WHERE id = $1", old)[0]["gone"]
    assert command(place, "alive", elder.id).exit_code == 1
    assert sees(place, elder)
    assert signs_in(place, elder.login)
    with place.browse("wang") as relative, place.browse("li") as helper:
        assert not re.findall("/act\"", relative.show("/resident/family"))
        assert acting(helper) == 303
        assert "排球" in helper.show("/resident/records")
    place.rows("DELETE FROM representatives WHERE resident = $1", elder.id)


def test_what_is_recorded_needs_evidence_a_day_and_a_number_that_is_known(place: Place, second: str) -> None:
    elder = an_elder(place)
    with place.browse("admin") as first, place.browse(second) as other:
        for wrong, status in (
            ({"evidence": "听说"}, 400), ({"on": "soon"}, 400), ({"on": "2199-01-01"}, 400), ({"value": an_id_number(799)}, 404), ({"system": "phone"}, 400),
        ):  # fmt: skip
            assert recorded(first, elder, **wrong).status_code == status, wrong
        assert other.send_form(f"/admin/deaths/{elder.id}/confirm").status_code == 404
        assert command(place, "died", elder.id, "--on", DAY, "--evidence", EVIDENCE).exit_code == 0
        assert "运动健康通管理员登记" in first.show("/admin/deaths")
        assert other.send_form(f"/admin/deaths/{elder.id}/withdraw").status_code == 303
        assert other.send_form(f"/admin/deaths/{elder.id}/withdraw").status_code == 404
        assert command(place, "died", elder.id, "--on", DAY, "--evidence", EVIDENCE).exit_code == 0
        assert first.send_form(f"/admin/deaths/{elder.id}/confirm").status_code == 303, "the operator was the first, an administrator the second"
    place.rows("DELETE FROM code_guesses")
    assert not sees(place, elder)


def test_staff_cannot_help_the_deceased_to_decide_and_a_wish_is_erased_with_its_resident(place: Place, second: str) -> None:
    elder = an_elder(place)
    with place.browse(elder.login) as own:
        own.send_form("/resident/after", choice="close")
    with place.browse("staff") as staff:
        asked = {"system": "id-number", "value": elder.number, "checked": "id-card", "name": "孙桂兰"}
        assert staff.send_form("/center/assist", **asked).status_code == 303
        died(place, elder, second)
        assert staff.send_form("/center/assist", **asked).status_code == 404
    erased = command(place, "erase", elder.id)
    assert erased.exit_code == 0, erased.output
    counts = json.loads(erased.stdout)["rows_deleted"]
    assert (counts["wishes"], counts["deaths"]) == (1, 1)
    place.rows("DELETE FROM code_guesses")
