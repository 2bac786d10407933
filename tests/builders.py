"""Builders of invented residents, parties and hubs for tests. ID numbers use the unassigned area 990000."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec

from hub.access.keys import fetch_token, new_client_key
from hub.app import application
from hub.service import Hub
from hub.settings import load
from hub.store import grants, keyring, parties, residents
from hub.store.parties import Party
from schemas.classes import parse_classes
from schemas.resident import MemberNumber, Resident

BASE = "http://localhost:8000"
_WEIGHTS, _CHECKS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), "10X98765432"


def an_id_number(order: int = 2, birth: str = "19550417") -> str:
    """A GB 11643 number in the unassigned area 990000."""
    head = f"990000{birth}{order:03d}"
    return head + _CHECKS[sum(int(digit) * weight for digit, weight in zip(head, _WEIGHTS, strict=True)) % 11]


def a_session(start: str = "2026-05-01T08:00:00+08:00", minutes: int = 40, **more: Any) -> dict[str, Any]:
    """A session of the hub's own JSON format."""
    end = (datetime.fromisoformat(start) + timedelta(minutes=minutes)).isoformat()
    return {"record": {"kind": "session", "sport": "running", "start": start, "end": end, "elapsed_s": minutes * 60, "hr_avg": 118, **more}}


def a_pressure(at: str = "2026-05-02T09:00:00+08:00", systolic: int = 131, diastolic: int = 79) -> dict[str, Any]:
    """A blood pressure of the hub's own JSON format."""
    components = [{"measure": "systolic", "value": systolic, "unit": "mm[Hg]"}, {"measure": "diastolic", "value": diastolic, "unit": "mm[Hg]"}]
    return {"record": {"kind": "vital", "measure": "blood-pressure", "start": at, "components": components}}


class City(msgspec.Struct):
    """A running hub in this process, over HTTP, with parties' keys and tokens at hand."""

    hub: Hub
    http: httpx.AsyncClient
    keys: dict[UUID, dict[str, Any]] = {}
    tokens: dict[tuple[UUID, str], tuple[str, float]] = {}
    """With the time by the monotonic clock from which a new one is fetched: a slow run outlives a token."""

    async def party(self, name: str, kind: str, **more: Any) -> Party:
        private, public = new_client_key()
        async with self.hub.database.connection() as connection:
            made = await parties.add(connection, name=name, kind=kind, jwks=public, **({"zone": "Asia/Shanghai"} | more))
        self.keys[made.id] = private
        return made

    async def resident(self, name: str = "王秀英", order: int = 2, members: Iterable[tuple[Party, str]] = (), **more: Any) -> UUID:
        said = {"id_number": an_id_number(order), "phone": f"1990000{order:04d}", "gender": "female", "zone": "Asia/Shanghai"} | more
        numbers = [MemberNumber(party=str(party.id), number=number) for party, number in members]
        return (await residents.register(self.hub, Resident(name=name, member_numbers=numbers, **said), actor="test"))[0]  # type: ignore[arg-type]

    async def bearer(self, party: Party, scope: str = "system/*.rs") -> dict[str, str]:
        token, until = self.tokens.get((party.id, scope), ("", 0.0))
        if time.monotonic() >= until:
            fetched = await fetch_token(self.http, f"{BASE}/oauth/token", party.client_id, self.keys[party.id], scope)
            token = fetched.access_token
            self.tokens[party.id, scope] = token, time.monotonic() + fetched.expires_in / 2
        return {"Authorization": f"Bearer {token}"}

    async def upload(self, party: Party, content: Any, *, resident: UUID | None = None, format_: str = "kinehub-json", **more: Any) -> httpx.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = await self.bearer(party, "intake.write") | more.pop("headers", {})
        return await self.http.post(f"/intake/{format_}", params=({"resident": str(resident)} if resident else {}) | more, content=body, headers=headers)

    async def get(self, party: Party, path: str, **parameters: Any) -> httpx.Response:
        return await self.http.get(f"/fhir/{path}", params=parameters or None, headers=await self.bearer(party))

    async def grant(self, resident: UUID, to: Party, classes: str = "activity", **more: Any) -> UUID:
        return UUID(await grants.grant(self.hub, resident, to, purpose=more.pop("purpose", "TREAT"), classes=parse_classes(classes), actor="test", **more))

    async def withdraw(self, resident: UUID, consent: UUID) -> None:
        await grants.withdraw(self.hub, resident, consent, actor="test")

    async def shown(self, party: Party, resident: UUID, type_: str = "Observation", **parameters: Any) -> set[str]:
        """Ids that a search shows, checked against its own total."""
        found = (await self.get(party, type_, patient=str(resident), _total="accurate", _count=1000, **parameters)).json()
        ids = {entry["resource"]["id"] for entry in found.get("entry", [])}
        assert found["total"] == len(ids)
        return ids


@asynccontextmanager
async def a_city(database_url: str, folder: Path, suite: str = "international") -> AsyncIterator[City]:
    """A hub over a migrated database, spoken to over HTTP."""
    settings = load(folder)
    if not settings.keyring.exists():
        keyring.create(settings.keyring, suite)
    app = application(settings, database_url)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=BASE, timeout=60) as http:
            yield City(app.state.hub, http, {}, {})
