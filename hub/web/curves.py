"""One session of a resident: its heart rate over time as a drawing and minute by minute, what else is stored, who may see where it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from fastapi import APIRouter, Request, Response

from hub.access.requests import hub_of
from hub.store import parties
from hub.store.parties import Party
from hub.store.vault import Asked, Disclosed, Sampled
from hub.web import history, looks, sharing
from hub.web.charts import STEPS, curve
from hub.web.hospital import asked_by
from hub.web.locales import pick
from hub.web.pages import Page, pages_of
from hub.web.resident import resident_of
from mappings.grid import Grid, on_grid
from mappings.sampled import CHANNELS
from schemas.errors import NotFound
from schemas.records import Envelope, Series, decode

if TYPE_CHECKING:
    from hub.service import Hub

router = APIRouter(prefix="/resident", route_class=Page)

HEART_RATE, POSITION = 61, 67
MINUTE_MS = 60_000.0


class Heart(msgspec.Struct, frozen=True):
    """Heart rate of a session in /min: over all, drawn, and the mean of each minute (None: no reading in it)."""

    mean: int
    highest: int
    lowest: int
    drawing: Any
    minutes: list[tuple[datetime, int | None]]


@router.get("/records/{record}")
async def session(request: Request, record: UUID) -> Response:
    """One session with its samples."""
    person, resident = await resident_of(request, "records")
    hub = hub_of(request)
    one, channels, by_number = await _opened(hub, history.own(resident, person), record)
    zone = await history.zone_of(hub, resident)
    found: Envelope = decode(one.record or b"")
    by_slot = {channel.slot: channel for channel in channels}
    looks.show(request, [found], measures=["heart-rate"] if HEART_RATE in by_slot else [])
    source = by_number.get(one.party)
    return pages_of(request).render(
        request,
        "session.html",
        person=person,
        record=found,
        sensitive=one.label.sensitivity,
        at=history.local(found, zone),
        timed=history.timed(found),
        source=source.name if source else "",
        heart=_heart(by_slot[HEART_RATE].series, zone) if HEART_RATE in by_slot else None,
        others=[pick((CHANNELS[slot].zh, CHANNELS[slot].en)) for slot in by_slot if slot not in (HEART_RATE, POSITION)],
        positions=POSITION in by_slot,
        seen_by=await _who_sees(hub, resident, record, POSITION, source) if POSITION in by_slot else [],
    )


async def _opened(hub: Hub, asked: Asked, record: UUID) -> tuple[Disclosed, list[Sampled], dict[int, Party]]:
    """The resident's own session. Raises NotFound for every other id."""
    async with hub.database.connection() as connection:
        permit, rows = await hub.vault.sampled(connection, asked, [record], tuple(CHANNELS))
        by_number = {party.number: party for party in await parties.everyone(connection)}
    for one, channels in hub.vault.disclose_samples(permit, rows):
        if one.record is not None:
            return one, channels, by_number
    raise NotFound("There is no such record.")


def _heart(series: Sequence[Series], zone: ZoneInfo) -> Heart | None:
    whole = on_grid(series)
    known = whole.values[~np.isnan(whole.values)] if whole else np.empty(0)
    if whole is None or not len(known):
        return None
    fine = on_grid(series, period_ms=len(whole.values) * whole.period_ms / STEPS)
    minutes = on_grid(series, period_ms=MINUTE_MS)
    assert fine is not None
    assert minutes is not None
    drawing = curve([(number * fine.period_ms / MINUTE_MS, value) for number, value in enumerate(_values(fine))])
    table = [((minutes.start + timedelta(milliseconds=number * minutes.period_ms)).astimezone(zone), value) for number, value in enumerate(_values(minutes))]
    rounded = [(at, None if value is None else round(value)) for at, value in table]
    return Heart(round(known.mean()), round(known.max()), round(known.min()), drawing, rounded)


def _values(grid: Grid) -> list[float | None]:
    return [None if value != value else value for value in grid.values[:, 0].tolist()]


async def _who_sees(hub: Hub, resident: UUID, record: UUID, slot: int, source: Party | None) -> list[str]:
    """Who may see one channel of this session right now, asked of the engine that decides when they do."""
    grants = [grant for grant in await sharing.grants_of(hub, resident) if grant.live and grant.permits]
    asking = [(grant.party, grant.purpose) for grant in grants if grant.party]
    if any(grant.everybody for grant in grants):
        asking += [(receiver.party, receiver.purpose) for receiver in await sharing.receivers(hub)]
    asking += [(source, purpose) for purpose in (source.purposes or ("",))] if source else []
    names: dict[str, None] = {}
    async with hub.database.connection() as connection:
        for party, purpose in asking:
            permit, rows = await hub.vault.sampled(connection, asked_by(resident, party, purpose), [record], [slot])
            if any(channels for _, channels in hub.vault.disclose_samples(permit, rows)):
                names[party.name] = None
    return list(names)
