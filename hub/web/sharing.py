"""Grants as a resident reads them: who, what for, which kinds, until when; and who may be asked to the next one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from hub.store import grants, parties
from hub.store.ids import bucket_of
from hub.store.parties import Party
from hub.web.locales import LANGUAGE, pick, say
from hub.web.looks import PURPOSES
from schemas.classes import CODES, NAMES, SYSTEM, DataClass

if TYPE_CHECKING:
    from hub.service import Hub

ORDINARY = ("activity", "health-check", "fitness-test", "prescription", "identity")
"""What most people share with a doctor; none is ticked beforehand."""

APART = ("location", "laboratory", "medication", "diagnosis", "imaging", "sleep", "lifestyle", "rehabilitation", "attendance", "points")
"""Kinds that say more than exercise: shown apart, each agreed to by itself."""

EXAMPLES: dict[str, tuple[str, str]] = {
    "activity": ("做了什么运动、多久、心率", "what you did, for how long, heart rate"),
    "health-check": ("血压、体重、血氧", "blood pressure, weight, oxygen"),
    "fitness-test": ("握力、坐站、体前屈", "grip, sit to stand, reach"),
    "prescription": ("医生开的运动方案", "plans a doctor made for you"),
    "identity": ("姓名、年龄、电话", "name, age, phone"),
    "location": ("在哪里跑步、骑车的路线", "where you ran or rode"),
    "laboratory": ("血糖等化验", "glucose and other tests"),
    "attendance": ("进出场馆的时间", "when you came and went"),
    "sleep": ("睡了多久", "how long you slept"),
}


class Grant(msgspec.Struct, frozen=True):
    """One Consent, in words. `until` is its last day; `live` says it is in force now."""

    id: UUID
    party: Party | None
    name: str
    purpose: str
    kinds: list[str]
    until: date | None
    given: datetime | None
    live: bool
    withdrawn: bool

    @property
    def kinds_text(self) -> str:
        return listed(self.kinds)


async def grants_of(hub: Hub, resident: UUID) -> list[Grant]:
    """Every grant, those in force first, the newest on top."""
    consents = await grants.listing(hub, resident)
    async with hub.database.connection() as connection:
        by_reference = {party.reference: party for party in await parties.everyone(connection)}
    made = [_grant(consent, by_reference) for consent in consents]
    return sorted(made, key=lambda grant: (not grant.live, -(grant.given.timestamp() if grant.given else 0)))


def _grant(consent: dict[str, Any], by_reference: dict[str, Party]) -> Grant:
    provision = consent.get("provision") or {}
    references = [actor["reference"]["reference"] for actor in provision.get("actor", []) if "reference" in actor.get("reference", {})]
    party = next((by_reference[reference] for reference in references if reference in by_reference), None)
    until = _day((provision.get("period") or {}).get("end"))
    active = consent.get("status") == "active"
    return Grant(
        id=UUID(consent["id"]),
        party=party,
        name=party.name if party else say("另一位接收方"),
        purpose=next((code["code"] for code in provision.get("purpose", [])), ""),
        kinds=list(dict.fromkeys(_classes(provision))),
        until=until,
        given=_instant(consent.get("dateTime")),
        withdrawn=not active,
        live=active and (until is None or until >= datetime.now(UTC).date()),
    )


def _classes(provision: dict[str, Any]) -> Iterator[str]:
    for coding in (*provision.get("class", []), *provision.get("securityLabel", [])):
        if coding.get("system") == SYSTEM and coding.get("code") in NAMES:
            yield coding["code"]
    for child in provision.get("provision", []):
        yield from _classes(child)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def listed(codes: Sequence[str]) -> str:
    """运动、健康检测."""
    return (", " if LANGUAGE.get() == "en" else "、").join(pick(NAMES[code]) for code in codes)


def purpose_text(code: str) -> str:
    return pick(PURPOSES[code]) if code in PURPOSES else code


class Receiver(msgspec.Struct, frozen=True):
    """A party that may be given something, and what for."""

    party: Party
    purpose: str

    @property
    def key(self) -> str:
        return f"{self.party.id}.{self.purpose}"


async def receivers(hub: Hub) -> list[Receiver]:
    """Everyone who may receive, hospitals and clinics first."""
    async with hub.database.connection() as connection:
        known = await parties.everyone(connection)
    found = [Receiver(party, purpose) for party in known for purpose in party.purposes if purpose in PURPOSES]
    order = {"hospital": 0, "community-clinic": 1, "advisor": 2, "city-cloud": 3}
    return sorted(found, key=lambda receiver: (order.get(receiver.party.kind, 9), receiver.party.name))


async def uploaders(hub: Hub, resident: UUID) -> list[Party]:
    """Who has recorded something of the resident, and so reads its own."""
    async with hub.database.connection() as connection:
        rows = await connection.fetch("SELECT DISTINCT party FROM records WHERE bucket = $1 AND resident = $2 AND kind < 20", bucket_of(resident), resident)
        known = {party.number: party for party in await parties.everyone(connection)}
    return [known[row["party"]] for row in rows if row["party"] in known]


def bits(codes: Sequence[str]) -> DataClass:
    """Class codes to bits; what cannot be granted here is left out."""
    chosen = DataClass(0)
    for code in codes:
        if code in ORDINARY or code in APART:
            chosen |= CODES[code]
    return chosen
