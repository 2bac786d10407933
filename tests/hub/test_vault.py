"""The vault's rule of disclosure: what is held back is in nothing that comes out."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters import kinehub_json
from hub.access import deaths, representatives
from hub.store import grants
from hub.store.residents import save_consent
from hub.store.vault import Asked, SystemPermit
from schemas.errors import NotFound, PermitRequired
from tests.builders import a_city, a_pressure


def test_a_redacted_component_is_in_neither_resources_nor_record(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital = await city.party("Center", "fitness-center"), await city.party("Hospital", "hospital")
            resident = await city.resident()
            await city.upload(center, a_pressure(systolic=137, diastolic=71), resident=resident)
            consent = await city.grant(resident, hospital, "all")
            async with city.hub.database.connection() as connection:
                _, (granted,) = await city.hub.vault.policy(connection, resident, SystemPermit("test"))
            denied = granted | {"provision": granted["provision"] | {"provision": [DENY_DIASTOLIC]}}
            kept: dict[str, Any] = {key: value for key, value in denied.items() if key != "meta"}
            await save_consent(city.hub, resident, lambda _: kept, actor="test", consent_id=consent, action="consent-change")
            asked = Asked(resident=resident, actor=hospital.reference, acts_for=hospital.reference, purpose="TREAT", party=hospital.number)
            async with city.hub.database.connection() as connection:
                permit, rows = await city.hub.vault.history(connection, asked, kinds=["vital"])
                (disclosed,) = city.hub.vault.disclose(permit, rows)
            shown = b"".join(body for _, body in disclosed.resources)
            assert b"137" in shown
            assert b"8462-4" not in shown
            assert disclosed.record is None

    asyncio.run(work())


def test_a_permit_for_one_resident_opens_nothing_of_another(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            one, other = await city.resident("甲", 2), await city.resident("乙", 3)
            await city.upload(center, a_pressure(), resident=one)
            mine, theirs = (Asked(resident=who, actor=f"Patient/{who}", self_access=True) for who in (one, other))
            async with city.hub.database.connection() as connection:
                _, rows = await city.hub.vault.history(connection, mine, kinds=["vital"])
                permit = await city.hub.vault.permit(connection, theirs)
            with pytest.raises(PermitRequired):
                list(city.hub.vault.disclose(permit, rows))

    asyncio.run(work())


def test_helpers_are_of_the_living_and_relatives_of_the_deceased(hub_url: str, tmp_path: Path) -> None:
    """Whatever row is named, and whatever the pages asked before."""

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hub, resident, ends = city.hub, await city.resident("丙", 4), datetime.now(UTC) + timedelta(days=1)
            made = {kind: await representatives.add(hub, resident, uuid4(), kind, frozenset({"look"}), ends, "test", None) for kind in ("family", "relative")}

            async def stand() -> set[str]:
                found = set()
                for kind, identity in made.items():
                    async with hub.database.connection() as connection:
                        with suppress(NotFound):
                            await hub.vault.permit(connection, Asked(resident=resident, actor="x", purpose="FAMRQT", representative=identity), fresh=True)
                            found.add(kind)
                return found

            assert await stand() == {"family"}
            await deaths.record(hub, resident, deaths.Evidence(date(2026, 5, 1), "a certificate of a hospital"), actor="one")
            await deaths.confirm(hub, resident, actor="another")
            assert await stand() == {"relative"}

    asyncio.run(work())


DENY_DIASTOLIC = {"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "8462-4"}]}]}


def test_a_withdrawal_in_one_process_holds_on_the_next_request_of_another(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city, a_city(hub_url, tmp_path) as elsewhere:
            center, hospital = await city.party("Center", "fitness-center"), await city.party("Hospital", "hospital")
            elsewhere.keys.update(city.keys)
            resident = await city.resident()
            await city.upload(center, a_pressure(), resident=resident)
            consent = await city.grant(resident, hospital, "all")
            (id_,) = await elsewhere.shown(hospital, resident)
            assert (await elsewhere.get(hospital, f"Observation/{id_}")).status_code == 200
            await city.withdraw(resident, consent)
            assert (await elsewhere.get(hospital, f"Observation/{id_}")).status_code == 404
            assert (await elsewhere.get(hospital, "Observation", patient=str(resident))).json()["total"] == 0

    asyncio.run(work())


def test_consents_open_for_a_system_permit_alone_which_leaves_an_entry_and_opens_no_record(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            resident = await city.resident()
            await city.upload(center, a_pressure(), resident=resident)
            await city.grant(resident, center, "all")
            mine = Asked(resident=resident, actor=f"Patient/{resident}", self_access=True)
            async with city.hub.database.connection() as connection:
                own, rows = await city.hub.vault.history(connection, mine, kinds=["vital"])
                for permit in (None, own, "show-consents"):
                    with pytest.raises(PermitRequired):
                        await city.hub.vault.policy(connection, resident, permit)  # type: ignore[arg-type]
                    with pytest.raises(PermitRequired):
                        await city.hub.vault.policies(connection, [resident], permit)  # type: ignore[arg-type]
                with pytest.raises(PermitRequired):
                    list(city.hub.vault.disclose(grants.SHOW, rows))  # type: ignore[arg-type]
            before = await grants.looks(city.hub, resident)
            assert len(await grants.listing(city.hub, resident)) == 1
            await grants.explained(city.hub, resident, center, "TREAT")
            opened = (await grants.looks(city.hub, resident))[: -len(before)]
            assert [(entry["action"], entry["rule"]) for entry in opened] == [("policy", "system:explain-consents"), ("policy", "system:show-consents")]

    asyncio.run(work())


def test_a_plan_shown_without_its_orders_does_not_point_at_them(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            clinic, hospital = await city.party("Clinic", "hospital"), await city.party("Hospital", "hospital")
            resident = await city.resident()
            plan = next(row for row in json.loads(kinehub_json.sample) if row["record"]["kind"] == "prescription")
            assert (await city.upload(clinic, {"records": [plan]}, resident=resident)).status_code == 201
            consent = await city.grant(resident, hospital, "all")
            assert "ServiceRequest/" in (await city.get(hospital, "CarePlan", patient=str(resident))).text
            async with city.hub.database.connection() as connection:
                _, (granted,) = await city.hub.vault.policy(connection, resident, SystemPermit("test"))
            denied = granted | {"provision": granted["provision"] | {"provision": [{"type": "deny", "class": [ORDERS]}]}}
            kept: dict[str, Any] = {key: value for key, value in denied.items() if key != "meta"}
            await save_consent(city.hub, resident, lambda _: kept, actor="test", consent_id=consent, action="consent-change")
            answer = await city.get(hospital, "CarePlan", patient=str(resident))
            assert answer.json()["total"] == 1
            assert "ServiceRequest/" not in answer.text

    asyncio.run(work())


ORDERS = {"system": "http://hl7.org/fhir/resource-types", "code": "ServiceRequest"}
