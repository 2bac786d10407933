"""Samples of sessions over FHIR: read by id, `$sampled`, and the three ways in which a search asks for them.

A search knows them only where it names them: by `_id`, by `derived-from` their session's group, or as
`_revinclude=Observation:derived-from`. For every other search, and for `$everything`, they are not there (docs/decisions).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from asyncpg import Record as Row

from consent.permit import Permit
from hub.exchange import reading
from hub.exchange.compartment import Resource
from hub.exchange.parameters import Query
from hub.exchange.search import Page
from hub.store.ids import join, split
from hub.store.vault import Asked
from mappings.grid import on_grid
from mappings.sampled import CHANNELS, GROUP, observation
from schemas.errors import BadRequest

if TYPE_CHECKING:
    from hub.service import Hub

OPERATION = "https://kinehub.org/fhir/OperationDefinition/observation-sampled"
MOST_SESSIONS = 50
LONGEST_MS = 86_400_000


class Window(msgspec.Struct, frozen=True):
    """What `$sampled` asks for: a point each `period_ms` at most, readings from `since` on and before `until`."""

    period_ms: float = 0
    since: datetime | None = None
    until: datetime | None = None


WHOLE = Window()


def place(type_: str, id_: str) -> tuple[UUID, int] | None:
    """(session, slot) of an id that stands for samples; None for every other id."""
    found = split(id_) if type_ == "Observation" else None
    return found if found and found[1] in CHANNELS else None


async def versions(hub: Hub, connection: Any, asked: Asked, where: tuple[UUID, int]) -> tuple[list[Resource], tuple[str, ...]]:
    """Every version of one channel's samples that may be seen, newest first, and the rules that let it."""
    permit, rows = await hub.vault.sampled(connection, asked, [where[0]], [where[1]], every_version=True)
    return _resources(hub, permit, rows, WHOLE)


async def newest(hub: Hub, connection: Any, asked: Asked, where: tuple[UUID, int], window: Window = WHOLE) -> tuple[Resource | None, tuple[str, ...]]:
    """One channel's samples, or what a window leaves of them; None when there are none for this asker."""
    found, rules = await of_sessions(hub, connection, asked, [where[0]], [where[1]], window)
    return (found[0], rules) if found else (None, ())


async def of_sessions(
    hub: Hub, connection: Any, asked: Asked, sessions: Sequence[UUID], slots: Collection[int] = tuple(CHANNELS), window: Window = WHOLE
) -> tuple[list[Resource], tuple[str, ...]]:
    """The samples of some sessions as Observations, and the rules that let them be seen."""
    permit, rows = await hub.vault.sampled(connection, asked, sessions, slots)
    return _resources(hub, permit, rows, window)


def _resources(hub: Hub, permit: Permit, rows: Sequence[Row], window: Window) -> tuple[list[Resource], tuple[str, ...]]:
    found: list[Resource] = []
    rules: dict[str, None] = {}
    for row, (one, channels) in zip(rows, hub.vault.disclose_samples(permit, rows), strict=True):
        updated = row["recorded"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for channel in channels:
            method = CHANNELS[channel.slot].method
            grid = on_grid(channel.series, period_ms=window.period_ms, since=window.since, until=window.until, method=method)
            body = observation(channel.slot, channel.face, grid, one.version, updated, part=window != WHOLE)
            found.append(Resource(body, "Observation", join(str(one.id), channel.slot), reading.micros(one.starts)))
            rules |= dict.fromkeys(channel.rules)
    return found, tuple(rules)


# In a search


async def named(hub: Hub, connection: Any, asked: Asked, query: Query) -> tuple[list[Resource], tuple[str, ...]]:
    """The samples that a search names by `_id` or `derived-from`: candidates like any other resource. Raises BadRequest for too many."""
    if query.resource_type != "Observation":
        return [], ()
    places = [where for id_ in query.ids if (where := place("Observation", id_))]
    groups = _groups(text.rpartition("/")[2] for clause in query.clauses if _derives(clause.code, clause.modifier) for text in clause.texts)
    sessions = list(dict.fromkeys([*groups, *(session for session, _ in places)]))
    if len(sessions) > MOST_SESSIONS:
        raise BadRequest(f"A search names the samples of {MOST_SESSIONS} sessions at most.", field="derived-from" if groups else "_id")
    if not sessions:
        return [], ()
    return await of_sessions(hub, connection, asked, sessions, tuple(CHANNELS) if groups else {slot for _, slot in places})


async def included(hub: Hub, connection: Any, asked: Asked, query: Query, page: Page) -> tuple[Page, tuple[str, ...]]:
    """The page with the samples that derive from its sessions, where `_revinclude=Observation:derived-from` asks for them."""
    wanted = [one for one in query.revinclude if (one.source, one.code) == ("Observation", "derived-from") and one.target in ("", "Observation")]
    onto = [*page.matches, *(page.included if any(one.is_iterate for one in wanted) else [])]
    sessions = list(_groups(one.id for one in onto if one.type == "Observation")) if wanted else []
    if not sessions:
        return page, ()
    found, rules = await of_sessions(hub, connection, asked, sessions)
    there = {one.key for one in (*page.matches, *page.included)}
    return page._replace(included=[*page.included, *(one for one in found if one.key not in there)]), rules


def _derives(code: str, modifier: str) -> bool:
    return code == "derived-from" and modifier in ("", "Observation")


def _groups(ids: Iterable[str]) -> dict[UUID, None]:
    """The sessions whose activity groups are among these ids, in order."""
    return {found[0]: None for id_ in ids if (found := split(id_)) and found[1] == GROUP}


# The operation


def window_of(pairs: Sequence[tuple[str, str]]) -> Window:
    """The parameters of `$sampled`. Raises BadRequest naming the one that is unknown or cannot be read."""
    found: dict[str, Any] = {}
    for name, text in pairs:
        if name == "period":
            found["period_ms"] = _period(text)
        elif name in ("start", "end"):
            found["since" if name == "start" else "until"] = _instant(name, text)
        elif name not in ("_format", "_pretty"):
            raise BadRequest(f"Unknown parameter {name[:40]}.", field=name[:40], advice="$sampled takes period, start and end.")
    return Window(**found)


def _period(text: str) -> float:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LONGEST_MS):
        raise BadRequest("period cannot be understood.", field="period", advice="Milliseconds as a whole number, a day (86400000) at most.")
    return float(text)


def _instant(name: str, text: str) -> datetime:
    found = None
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
    if found is None or found.tzinfo is None:
        raise BadRequest(f"{name} cannot be understood.", field=name, advice="An instant with its offset: 2026-05-01T08:00:00+08:00 (write + as %2B).")
    return found


def operation_definition(date: str) -> dict[str, Any]:
    """`$sampled` as R4 describes an operation."""

    def parameter(name: str, type_: str, use: str, maximum: str, said: str, minimum: int = 0) -> dict[str, Any]:
        return {"name": name, "use": use, "min": minimum, "max": maximum, "documentation": said, "type": type_}

    return {
        "resourceType": "OperationDefinition", "id": "observation-sampled", "url": OPERATION, "version": "1.0.0", "name": "Sampled",
        "title": "Samples of a session at a coarser period", "status": "active", "kind": "operation", "date": date, "publisher": "KineHub",
        "description": "The SampledData of one Observation at a period of the client's choosing, whole or between two instants.",
        "affectsState": False, "code": "sampled", "resource": ["Observation"], "system": False, "type": False, "instance": True,
        "parameter": [
            parameter("period", "integer", "in", "1", "Milliseconds between points, never finer than the samples themselves: the answer's own period says."),
            parameter("start", "dateTime", "in", "1", "Samples from this instant on, with its offset."),
            parameter("end", "dateTime", "in", "1", "Samples before this instant, with its offset."),
            parameter(
                "return", "Observation", "out", "1",
                "The Observation, tagged SUBSETTED. A coarser point is the mean of the readings in the stretch that begins at it (of positions the "
                "first), as its sampling-method extension says; a stretch without a reading is E; a window without readings has a dataAbsentReason.", 1,
            ),
        ],
    }  # fmt: skip
