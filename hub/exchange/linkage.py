"""The same workout told by two sessions, as FHIR Linkage: made for one caller out of what a permit let through, never stored.

What the caller may not see has no part in it, so nothing can be learned from it, and a correction or a withdrawal needs no clean-up.
One Linkage joins the session that counts (`source`) and one that tells of it again (`alternate`), by the rule of the pages' counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson

from consent.permit import Permit
from consent.request import Facts
from hub.care import activity
from hub.care.faces import record_seen
from hub.store.body import Slot
from hub.store.ids import join
from hub.store.vault import Disclosed
from schemas.records import Session

PANEL = 1
"""Slot of a session's activity group, to which all its measures belong (`mappings/fhir/session.yaml`)."""

Told = tuple[Disclosed, Slot]
"""A session and its panel."""

_ID = re.compile(r"([0-9a-f]{32})([0-9a-f]{32})", re.ASCII)


def records_of(id_: str) -> tuple[UUID, UUID] | None:
    """(record that counts, record that tells of it again) of a Linkage's id; None when it is none of ours."""
    found = _ID.fullmatch(id_)
    return (UUID(found[1]), UUID(found[2])) if found else None


def linkages(permit: Permit, disclosed: Sequence[Disclosed], parties: Mapping[int, str], zone: ZoneInfo) -> list[tuple[str, bytes, Disclosed]]:
    """(id, bytes as served, the session that counts) of each Linkage among the sessions in `disclosed`.

    parties: party number to its reference; zone: where the resident's clock runs
    """
    told = {str(one.id): (one, slot) for one in disclosed if one.kind == "session" for slot, _ in one.resources if slot.slot == PANEL}
    bouts = [bout for one, _ in told.values() if (bout := _bout(permit, one, zone))]
    pairs = [(told[workout.counts.record], told[left.record]) for workout in activity.workouts(bouts) for left in workout.again]
    made = [(counts, again, _resource(counts, again)) for counts, again in pairs]
    return [
        (content["id"], orjson.dumps(content), counts[0])
        for counts, again, content in made
        if all(_is_permitted(permit, one, parties, content) for one in (counts, again))
    ]


def _bout(permit: Permit, one: Disclosed, zone: ZoneInfo) -> activity.Bout | None:
    record = record_seen(permit, one)
    return activity.bout(record, str(one.party), zone, str(one.id)) if isinstance(record, Session) else None


def _resource(counts: Told, again: Told) -> dict[str, Any]:
    panels = counts[1], again[1]
    return {
        "resourceType": "Linkage",
        "id": counts[0].id.hex + again[0].id.hex,
        # a new version of either panel makes one of the Linkage
        "meta": {"versionId": str(sum(panel.version for panel in panels) - 1), "lastUpdated": max(panel.updated for panel in panels)},
        "active": True,
        "item": [_item("source", counts[0]), _item("alternate", again[0])],
    }


def _item(type_: str, one: Disclosed) -> dict[str, Any]:
    return {"type": type_, "resource": {"reference": f"Observation/{join(str(one.id), PANEL)}"}}


def _is_permitted(permit: Permit, told: Told, parties: Mapping[int, str], content: dict[str, Any]) -> bool:
    """Whether the decision lets a Linkage over this session out too: a consent may be to some resource types only."""
    one, panel = told
    if permit.basis == "self":
        return True
    facts = Facts(
        classes=panel.classes, resource_type="Linkage", reference=f"Linkage/{content['id']}", starts=one.starts, ends=one.ends,
        source=parties.get(one.party), sensitivity=one.label.names, confidentiality=one.label.confidentiality,
    )  # fmt: skip
    return permit.decision.check(facts, content).decision == "permit"
