"""Who acts for a resident, over FHIR: for the resident, for whom a consent permits identity, and for nobody else that there is anybody."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from hub.access import accounts, representatives
from hub.store.ids import bucket_of, new_record_id
from tests.builders import City, a_city
from tests.exchange.test_own_consent import signed_in

HELPER = "陶渊明之女"


async def helped(city: City, resident: UUID, relation: str = "family") -> tuple[UUID, UUID]:
    """Somebody who acts for the resident: the representative, and whose own record the helper's is."""
    theirs = await city.resident("陶", 77)
    async with city.hub.database.connection() as connection:
        account = await accounts.add(connection, city.hub.keyring, login=f"helper {relation}", name=HELPER, role="resident", resident=theirs)
        made = new_record_id(bucket_of(resident))
        await connection.execute(
            "INSERT INTO representatives (bucket, id, resident, account, relation, rights, ends) VALUES ($1, $2, $3, $4, $5, '{look}', $6)",
            bucket_of(resident), made, resident, account, relation, None,
        )  # fmt: skip
    return made, theirs


async def answers(city: City, hospital: Any, resident: UUID, id_: UUID) -> list[Any]:
    """What the hospital is told, at every way out that knows the type, the asked ids taken out."""
    patient = str(resident)
    asked = [
        await city.get(hospital, f"RelatedPerson/{id_}"), await city.get(hospital, "RelatedPerson", patient=patient, _total="accurate"),
        await city.get(hospital, "RelatedPerson", _id=str(id_)), await city.get(hospital, "RelatedPerson", patient=patient, name="陶"),
        await city.get(hospital, "Patient", _id=patient, _revinclude="RelatedPerson:patient"), await city.get(hospital, f"Patient/{patient}/$everything"),
        await city.get(hospital, "Patient", **{"_id": patient, "_has:RelatedPerson:patient:name": "陶"}),
    ]  # fmt: skip
    return [(one.status_code, one.text.replace(str(id_), "ID").replace(patient, "PATIENT")) for one in asked]


def test_who_acts_is_told_with_identity_and_otherwise_does_not_exist(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital = await city.party("市第二医院", "hospital", purposes=("TREAT",))
            resident, alone = await city.resident(), await city.resident("李建国", 3)
            me, theirs = await helped(city, resident)
            for one in (resident, alone):
                await city.grant(one, hospital, "activity")
            nobody = new_record_id(bucket_of(alone))
            hidden, absent = await answers(city, hospital, resident, me), await answers(city, hospital, alone, nobody)
            assert hidden == absent
            consent = await city.grant(resident, hospital, "identity")
            read = (await city.get(hospital, f"RelatedPerson/{me}")).json()
            assert read["patient"] == {"reference": f"Patient/{resident}"}
            assert (read["name"], read["relationship"][0]["coding"][0]["code"], read["active"]) == ([{"text": HELPER}], "FAMMEMB", True)
            assert str(theirs) not in orjson.dumps(read).decode()
            shown = await answers(city, hospital, resident, me)
            assert all(HELPER in text for _, text in shown[:6])
            assert '"total":1' in shown[1][1]
            assert "PATIENT" in shown[6][1]
            await city.withdraw(resident, consent)
            assert await answers(city, hospital, resident, me) == hidden
            await city.grant(resident, hospital, "identity")
            await representatives.end(city.hub, resident, me, "operator")
            assert (await city.get(hospital, f"RelatedPerson/{me}")).status_code == 404

    asyncio.run(work())


def test_residents_read_who_acts_for_them_and_a_parents_end_tells_no_birthday(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            child = await city.resident(birth_date=date(date.today().year - 9, 4, 17))  # noqa: DTZ011 - a birthday
            me, _ = await helped(city, child, "parent")
            other, _ = await city.resident("李建国", 3), None
            browser, csrf = await signed_in(city, child)
            (found,) = [entry["resource"] for entry in (await browser.get("/fhir/RelatedPerson")).json()["entry"]]
            assert (found["id"], found["relationship"][0]["coding"][0]["code"]) == (str(me), "PRN")
            assert "end" not in found["period"]
            headers = {"X-CSRF-Token": csrf}
            judged = (await browser.post(f"/fhir/RelatedPerson/{me}/$validate", headers=headers)).json()["issue"]
            assert not [issue for issue in judged if issue["severity"] in ("error", "fatal")]
            assert (await browser.get(f"/fhir/RelatedPerson?patient={other}")).json().get("entry") is None
            assert (await browser.get(f"/fhir/RelatedPerson/{me}/_history")).status_code in (404, 405)
            stated = (await city.http.get("/fhir/metadata")).json()["rest"][0]["resource"]
            (mine,) = [one for one in stated if one["type"] == "RelatedPerson"]
            assert {one["code"] for one in mine["interaction"]} == {"read", "search-type"}

    asyncio.run(work())
