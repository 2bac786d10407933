"""The doctor's pages: as far as consent reaches, and nothing told beyond it."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from adapters import kinehub_json
from hub.access import accounts
from hub.store import grants, residents
from hub.web import history, words
from hub.web.history import History
from hub.web.hospital import asked_by, view
from schemas.standard import OF_RESIDENTS
from tests.builders import a_city, a_pressure, a_session, an_id_number
from tests.exchange.test_own_consent import PASSWORD, browsing
from tests.web.test_resident import granted
from tests.web.town import Place, today


def test_one_screen_answers_how_active_what_changed_and_how_old(place: Place) -> None:
    with place.browse("doctor") as doctor:
        page = doctor.show(f"/hospital/patients/{place.town.resident}")
    for said in ("王秀英", "女", "71 岁", "指南 150", "本人基线", "129/79", "最近数据", "手环云", "30秒坐站", "自述"):
        assert said in page, said


def test_without_consent_an_existing_id_answers_like_an_unknown_one(place: Place) -> None:
    with place.browse("doctor") as doctor:
        answers = [doctor.get(f"/hospital/patients/{who}") for who in (place.town.neighbour, uuid4(), "nobody")]
        shown = [re.sub(r"/hospital/patients/[^?\"]+", "", answer.text) for answer in answers]
        downloads = [doctor.get(f"/hospital/patients/{who}/sessions.csv") for who in (place.town.neighbour, uuid4(), "nobody")]
        found = [doctor.send_form("/hospital", system="id-number", value=value) for value in (an_id_number(3), an_id_number(77))]
    assert shown[0] == shown[1] == shown[2]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.status_code for answer in downloads} == {404}
    assert found[0].status_code == found[1].status_code == 200
    assert found[0].text == found[1].text


def test_every_look_is_audited_before_it_is_answered_the_empty_ones_too(place: Place) -> None:
    count = "SELECT outcome FROM audit WHERE resident = $1 AND action = 'read' AND actor LIKE 'Account/%' ORDER BY at"
    unknown = uuid4()
    before = len(place.rows(count, place.town.resident))
    with place.browse("doctor") as doctor:
        doctor.show(f"/hospital/patients/{place.town.resident}")
        doctor.get(f"/hospital/patients/{place.town.resident}/sessions.csv")
        doctor.show(f"/hospital/patients/{unknown}")
    rows = place.rows(count, place.town.resident)
    assert [row["outcome"] for row in rows[before:]] == ["success", "success"]
    assert [row["outcome"] for row in place.rows(count, unknown)] == ["refused"]
    (named,) = place.rows(
        "SELECT rule, purpose FROM audit WHERE resident = $1 AND outcome = 'success' AND action = 'read' ORDER BY at DESC LIMIT 1", place.town.resident
    )
    assert str(place.town.consent) in named["rule"]
    assert named["purpose"] == "TREAT"


def test_an_id_number_finds_the_patient_and_stays_out_of_every_address(place: Place) -> None:
    with place.browse("doctor") as doctor:
        answer = doctor.send_form("/hospital", system="id-number", value=an_id_number(2))
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/hospital/patients/{place.town.resident}"
        page = doctor.show(answer.headers["location"])
    assert an_id_number(2) not in page


def test_only_the_granted_kinds_are_on_the_page(place: Place) -> None:
    with place.browse("li") as visitor, place.browse("doctor") as doctor:
        granted(visitor, place, "activity")
        page = doctor.show(f"/hospital/patients/{place.town.neighbour}")
        visitor.send_form("/resident/stop-all")
    assert "羽毛球" in page
    assert "姓名未授权" in page
    assert "李建国" not in page


def test_the_table_downloads_as_csv(place: Place) -> None:
    with place.browse("doctor") as doctor:
        answer = doctor.get(f"/hospital/patients/{place.town.resident}/sessions.csv")
    lines = answer.content.decode("utf-8-sig").splitlines()
    assert lines[0].startswith("开始,项目,来源")
    assert len(lines) > 30
    assert any(line.endswith(",是") for line in lines)


def test_a_denied_component_is_on_no_page(hub_url: str, tmp_path: Path) -> None:
    deny = {"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "8462-4"}]}]}

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital, center = await city.party("H", "hospital"), await city.party("C", "fitness-center")
            resident = await city.resident()
            assert (await city.upload(center, a_pressure(f"{today()}T01:00:00+08:00", 137, 83), resident=resident)).status_code == 201
            identity = await city.grant(resident, hospital, "health-check,identity")
            consent = (await grants.listing(city.hub, resident))[0]
            consent["meta"] = {"profile": consent["meta"]["profile"]}
            consent["provision"]["provision"] = [deny]
            await residents.save_consent(city.hub, resident, lambda _: consent, actor="test", consent_id=identity, action="consent-grant")
            shown, _ = await view(city.hub, resident, hospital, "TREAT", 12)
            assert [reading.value for reading in shown["pressure"].readings] == [137]
            assert [reading.second for reading in shown["pressure"].readings] == [None]
            assert shown["who"].name == "王秀英"

    asyncio.run(work())


def test_no_quality_is_claimed_for_what_is_seen_in_part(hub_url: str, tmp_path: Path) -> None:
    """A session without its heart rate; a blood pressure without its diastolic: flags and modality stay with the whole."""
    coded = [{"coding": [{"system": "http://loinc.org", "code": code}]} for code in ("8462-4", "55425-3")]

    async def work() -> tuple[str, str]:
        async with a_city(hub_url, tmp_path) as city:
            hospital, center = await city.party("H", "hospital"), await city.party("C", "fitness-center")
            resident = await city.resident()
            day = today() - timedelta(days=1)
            records = {"records": [a_pressure(f"{day}T09:00:00+08:00", 137, 83), a_session(f"{day}T08:00:00+08:00", 40)]}
            assert (await city.upload(center, records, resident=resident)).status_code == 201
            consent_id = await city.grant(resident, hospital, "health-check,activity")
            async with city.hub.database.connection() as connection:
                more = {"role": "doctor", "party": hospital.number, "password": PASSWORD}
                await accounts.add(connection, city.hub.keyring, login="doctor", name="D", **more)
            doctor = await browsing(city, "doctor")
            whole = (await doctor.get(f"/hospital/patients/{resident}")).text
            consent = (await grants.listing(city.hub, resident))[0]
            consent["meta"] = {"profile": consent["meta"]["profile"]}
            consent["provision"]["provision"] = [{"type": "deny", "code": coded}]
            await residents.save_consent(city.hub, resident, lambda _: consent, actor="test", consent_id=consent_id, action="consent-grant")
            part = (await doctor.get(f"/hospital/patients/{resident}")).text
            await doctor.aclose()
            return whole, part

    whole, part = asyncio.run(work())
    assert "质量良好" in whole
    assert ">良好<" in whole
    assert "只显示：" not in whole
    assert "只看获准的部分" not in whole
    assert "137/83" in whole
    assert "质量良好" not in part
    assert ">良好<" not in part
    assert "只显示：项目、时长<" in part
    assert "1 次只看获准的部分" in part
    assert "收缩压 <strong>137</strong>" in part


def test_every_kind_of_record_is_shown_whole_or_in_part(hub_url: str, tmp_path: Path) -> None:
    """In part: its Provenance is denied. Every face but that is let through, and must be read as the record that it shows."""
    deny = {"type": "deny", "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Provenance"}]}

    async def work() -> tuple[dict[str, str], dict[str, str], str]:
        async with a_city(hub_url, tmp_path) as city:
            hospital, center = await city.party("H", "hospital"), await city.party("C", "fitness-center")
            resident = await city.resident()
            rows = [row for row in json.loads(kinehub_json.sample) if row["record"]["kind"] in OF_RESIDENTS]
            assert (await city.upload(center, rows, resident=resident)).status_code == 201
            consent_id = await city.grant(resident, hospital, "all")
            asked = asked_by(resident, hospital, "TREAT")
            whole = await history.read(city.hub, asked)
            consent = (await grants.listing(city.hub, resident))[0]
            consent["meta"] = {"profile": consent["meta"]["profile"]}
            consent["provision"]["provision"] = [deny]
            await residents.save_consent(city.hub, resident, lambda _: consent, actor="test", consent_id=consent_id, action="consent-grant")
            part = await history.read(city.hub, asked)
            assert not any(one.whole for one in part.seen)
            async with city.hub.database.connection() as connection:
                more = {"role": "doctor", "party": hospital.number, "password": PASSWORD}
                await accounts.add(connection, city.hub.keyring, login="doctor", name="D", **more)
            doctor = await browsing(city, "doctor")
            page = (await doctor.get(f"/hospital/patients/{resident}")).text
            await doctor.aclose()
            return lines(whole), lines(part), page

    whole, part, page = asyncio.run(work())
    assert set(whole) == set(OF_RESIDENTS)
    assert part == whole
    assert "其他记录" in page
    assert "只显示获准的部分" in page


def lines(found: History) -> dict[str, str]:
    """Each kind of record as the page says it in one line."""
    return {str(one.record.__struct_config__.tag): words.line(one.record) for one in found.seen}
