"""The law of CONSENT.md 1.4 in the store: the filter in SQL hides nothing that the records decide to show, and shows nothing that they do not."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import kinehub_json
from consent.request import Request
from hub.store.residents import save_consent
from hub.store.vault import KIND_NUMBERS, Asked
from schemas.standard import OF_RESIDENTS
from tests.builders import City, a_city, a_session
from tests.consent.test_decision_laws import EXAMPLES, FIXED
from tests.consent.trees import POLICIES, REQUESTS

Json = dict[str, Any]
KINDS = [kind for kind in KIND_NUMBERS if kind not in ("consent", "resident")]
MONTHS = ("2026-05", "2026-03", "2026-06")
"""Records in each, by a party of its own, so that data periods and sources tell them apart: one of every kind in the first, these in the others."""
OFTEN = ("session", "vital", "sleep", "condition", "prescription")


async def _filled(city: City) -> tuple[UUID, dict[str, str], int]:
    """A resident with all these records, what the names in the generated trees stand for, and the number of one uploader."""
    resident = await city.resident()
    names = {"Patient/p": f"Patient/{resident}"}
    for place, (month, name) in enumerate(zip(MONTHS, ("Organization/h", "Practitioner/b", "Organization/i"), strict=True)):
        party = await city.party(f"Source {place}", "fitness-center")
        wanted = OFTEN if place else OF_RESIDENTS
        rows = [row for row in json.loads(kinehub_json.sample.replace(b"2026-05", month.encode())) if row["record"]["kind"] in wanted]
        answer = await city.upload(party, {"records": [*rows, a_session(f"{month}-09T23:40:00+08:00")]}, resident=resident)
        assert answer.status_code == 201, answer.text
        names[name] = party.reference
        names.setdefault("Observation/1", next(one for record in answer.json()["records"] for one in record["resources"] if one.startswith("Observation/")))
    return resident, names, party.number


def _named(value: Any, names: dict[str, str]) -> Any:
    """The same with the names of this hub."""
    if isinstance(value, dict):
        return {key: _named(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_named(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


async def _decree(city: City, resident: UUID, policy: list[Json], held: list[UUID]) -> None:
    """These Consents and no others, each as a new version of one that is held."""
    while len(held) < len(policy):
        held.append(UUID(await save_consent(city.hub, resident, lambda _: {"status": "draft"}, actor="test", action="consent-grant")))
    nothing = {"status": "inactive", "patient": {"reference": f"Patient/{resident}"}, "provision": {"type": "deny"}}
    for place, identity in enumerate(held):
        body = {key: value for key, value in (policy[place] if place < len(policy) else nothing).items() if key not in ("id", "resourceType")}
        await save_consent(city.hub, resident, lambda _, body=body: body, actor="test", consent_id=identity, action="consent-change")  # type: ignore[misc]


async def _both(city: City, resident: UUID, ask: Request, names: dict[str, str], uploader: int | None) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What is shown through the filter, and what every record shows by itself. `uploader` asks for its own uploads too."""
    acts_for = names.get(ask.acts_for or "", ask.acts_for)
    asked = Asked(resident, names.get(ask.actor, ask.actor), acts_for, ask.purpose, ask.action or "access", uploader)
    vault = city.hub.vault
    async with city.hub.database.connection() as connection:
        permit, filtered = await vault.history(connection, asked, kinds=KINDS, limit=1000)
        _, everything = await vault.history(connection, Asked(resident, f"Patient/{resident}", self_access=True), kinds=KINDS, limit=1000)
    shown: list[dict[str, bytes]] = []
    for rows in (filtered, everything):
        found = (one for one in vault.disclose(permit, rows) if one.resources)
        shown.append({f"{one.id}/{slot.slot}": served for one in found for slot, served in one.resources})
    return shown[0], shown[1]


def test_the_filter_in_sql_and_each_record_decide_the_same(hub_url: str, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        stack, held = AsyncExitStack(), list[UUID]()
        city = runner.run(stack.enter_async_context(a_city(hub_url, tmp_path)))
        resident, names, uploader = runner.run(_filled(city))
        seen = {"some": 0, "none": 0}

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=FIXED, database=None, suppress_health_check=list(HealthCheck))
        @given(POLICIES, REQUESTS, st.booleans())
        def law(policy: list[Json], ask: Request, own: bool) -> None:
            runner.run(_decree(city, resident, _named(policy, names), held))
            filtered, judged = runner.run(_both(city, resident, ask, names, uploader if own else None))
            seen["some" if judged else "none"] += 1
            assert filtered == judged

        try:
            law()
            assert min(seen.values()) > EXAMPLES / 10
        finally:
            runner.run(stack.aclose())
