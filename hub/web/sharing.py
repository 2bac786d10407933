"""Grants, and refusals, as a resident reads them: who, what for, which kinds, until when; and who may be asked to the next one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from consent.effect import Effect, Kinds, effect, together
from consent.grant import WITHDRAWN_AT
from hub.delivery import notices
from hub.store import grants, parties
from hub.store.ids import bucket_of
from hub.store.parties import Party
from hub.store.vault import OF_RESIDENTS
from hub.web import dates, history, words
from hub.web.locales import LANGUAGE, pick, say
from hub.web.looks import PURPOSES
from schemas.classes import CODES, NAMES, DataClass, codes_of
from schemas.labels import MINOR, SENSITIVITIES

if TYPE_CHECKING:
    from hub.access.sessions import Person
    from hub.service import Hub

ORDINARY = grants.ORDINARY

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


class Told(msgspec.Struct, frozen=True):
    """A receiver that was told of a Consent's last change, and when it confirmed that, on the resident's clock."""

    name: str
    confirmed: datetime | None


class Grant(msgspec.Struct, frozen=True):
    """One Consent, in words, its times on the resident's clock. `until` is its last day; `live` says it is in force now.

    `again`: it was stopped before its end, and the receiver is still there, so that it can be given back as it was.
    A Consent may also refuse (`refuses`), or permit nobody anything; `everybody`: it names no receiver, so that all may see.
    It may pause everything (`pauses`), or shut a source (`source`). `ends`: the time on its last day, where it says one.
    """

    id: UUID
    party: Party | None
    name: str
    purpose: str
    kinds: list[str]
    until: date | None
    given: datetime | None
    live: bool
    stopped: datetime | None
    again: bool
    effect: Effect
    told: Sequence[Told] = ()
    source: Party | None = None
    ends: datetime | None = None
    performer: str = ""

    @property
    def unconfirmed(self) -> str:
        """Names of receivers that were told of its last change and have not confirmed."""
        return _listed_names([one.name for one in self.told if one.confirmed is None])

    @property
    def confirmed(self) -> str:
        """Names of those that have, with the day."""
        return _listed_names([say("%(who)s（%(day)s）", who=one.name, day=dates.full(one.confirmed.date())) for one in self.told if one.confirmed])

    @property
    def permits(self) -> bool:
        return self.effect.permits != Kinds()

    @property
    def refuses(self) -> bool:
        return not self.permits and self.effect.denies != Kinds()

    @property
    def everybody(self) -> bool:
        return self.permits and self.effect.everybody

    @property
    def last(self) -> str:
        """Until when, with the time where it ends within a day."""
        if self.ends:
            return say("%(day)s %(time)s", day=dates.full(self.ends.date()), time=dates.clock(self.ends))
        return dates.full(self.until) if self.until else "–"

    @property
    def pauses(self) -> bool:
        return self.effect.pauses

    @property
    def kinds_text(self) -> str:
        return kinds_of(self.effect.denies) if self.refuses else with_sensitive(kinds_of(self.effect.permits), self.effect.sensitive)

    @property
    def line(self) -> str:
        """What it does, beside the name."""
        if self.pauses:
            return say("您按了暂停：谁也看不到")
        if self.source:
            return say("从这里来的记录，别人看不到")
        if self.effect.hides:
            return say("这条记录，别人看不到")
        if self.refuses:
            return say("您拒绝了，不让看：%(kinds)s", kinds=self.kinds_text)
        if not self.permits:
            return say("这一份没有让任何人看")
        without = say("；不包括：%(kinds)s", kinds=kinds_of(self.effect.without)) if self.effect.without.bits else ""
        return say("看：%(kinds)s", kinds=self.kinds_text) + without


def read_by(person: Person, grant: Grant) -> Grant:
    """A grant as `person` reads it: to who acts for the resident it does not say what it permits of the most private, for that tells that there is some."""
    if not person.acting:
        return grant
    kept = tuple(name for name in grant.effect.sensitive if name == SENSITIVITIES[MINOR].name)
    return msgspec.structs.replace(grant, effect=msgspec.structs.replace(grant.effect, sensitive=kept))


async def grants_for(hub: Hub, resident: UUID, person: Person) -> list[Grant]:
    """Every grant as `person` reads it: who acts for the resident does not read of a source that it was shut, when they see nothing that came from it."""
    grants = [read_by(person, grant) for grant in await grants_of(hub, resident)]
    if not person.acting:
        return grants
    seen = {party.id for party in await uploaders(hub, resident, person)}
    return [grant for grant in grants if grant.source is None or grant.source.id in seen]


async def grants_of(hub: Hub, resident: UUID) -> list[Grant]:
    """Every grant, those in force first; among them what lets everybody see, then the newest."""
    consents = await grants.listing(hub, resident)
    async with hub.database.connection() as connection:
        by_reference = {party.reference: party for party in await parties.everyone(connection)}
        owed = await notices.of_resident(connection, resident)
    zone = await history.zone_of(hub, resident)
    names = {party.number: party.name for party in by_reference.values()}
    told = [(one.consent, Told(names[one.receiver], one.confirmed_at.astimezone(zone) if one.confirmed_at else None)) for one in owed]
    made = [
        msgspec.structs.replace(grant, told=[one for consent, one in told if consent == grant.id])
        for grant in (_grant(consent, by_reference, zone) for consent in reversed(consents))
    ]
    return sorted(made, key=lambda grant: (not grant.live, not grant.everybody, -(grant.given.timestamp() if grant.given else 0)))


class Version(msgspec.Struct, frozen=True):
    """One version of a Consent as it was then, and when it was written, on the resident's clock."""

    number: int
    at: datetime
    grant: Grant
    active: bool


async def versions(hub: Hub, resident: UUID, consent: UUID) -> list[Version]:
    """Every version of one Consent, the newest first."""
    zone = await history.zone_of(hub, resident)
    async with hub.database.connection() as connection:
        by_reference = {party.reference: party for party in await parties.everyone(connection)}
        permit, rows = await hub.vault.versions(connection, history.own(resident), consent)
        told = [(row, one.resources[0][1]) for row, one in zip(rows, hub.vault.disclose(permit, rows), strict=True) if one.kind == "consent"]
    found = [(row, msgspec.json.decode(body, type=dict[str, Any])) for row, body in told]
    return [
        Version(row["version"], row["recorded"].astimezone(zone), _grant(then, by_reference, zone), then.get("status") == "active") for row, then in found
    ]


def _grant(consent: dict[str, Any], by_reference: dict[str, Party], zone: ZoneInfo) -> Grant:
    provision = consent.get("provision") or {}
    done = effect(consent, zone)
    named = [by_reference.get(reference) for reference in done.named]
    party = next(filter(None, named), None)
    source = by_reference.get(next(iter(done.shuts), "")) if len(done.shuts) == 1 else None
    end = (provision.get("period") or {}).get("end")
    ends = _instant(end, zone) if end and "T" in end else None
    until = ends.date() if ends else _day(end)
    purpose = next((coding["code"] for coding in provision.get("purpose", []) if "code" in coding), "")
    now = datetime.now(zone)
    lasts = ends > now if ends else until is None or until >= now.date()
    return Grant(
        id=UUID(consent["id"]),
        party=party,
        name=source.name if source else _names(named, done),
        purpose=purpose,
        kinds=codes_of(done.permits.bits),
        until=until,
        given=_instant(consent.get("dateTime"), zone),
        live=consent.get("status") == "active" and lasts,
        stopped=_stopped(consent, zone),
        again=consent.get("status") == "inactive" and lasts and _may_return(done, party, purpose),
        effect=done,
        source=source,
        ends=ends,
        performer=next((one.get("reference", "") for one in consent.get("performer", [])), ""),
    )


def _names(named: Sequence[Party | None], done: Effect) -> str:
    if done.pauses:
        return say("全部暂停")
    if done.hides:
        return say("一条记录")
    if done.everybody:
        return say("任何机构")
    names = [party.name if party else say("另一位接收方") for party in named] or [say("另一位接收方")]
    return _listed_names(list(dict.fromkeys(names)))


def _listed_names(names: Sequence[str]) -> str:
    return (", " if LANGUAGE.get() == "en" else "、").join(names)


def _may_return(done: Effect, party: Party | None, purpose: str) -> bool:
    """A refusal may always be said again; what let everybody see is not opened again with one tap."""
    if done.permits == Kinds():
        return done.denies != Kinds()
    return not done.everybody and party is not None and purpose in party.purposes


def _stopped(consent: dict[str, Any], zone: ZoneInfo) -> datetime | None:
    stamps = (each.get("valueDateTime") for each in consent.get("extension") or [] if each.get("url") == WITHDRAWN_AT)
    return _instant(next(stamps, None), zone) if consent.get("status") == "inactive" else None


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None


def _instant(text: str | None, zone: ZoneInfo) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(zone) if text else None
    except (ValueError, OverflowError):  # the first and last day of the calendar, in another zone, are outside it
        return None


def listed(codes: Sequence[str]) -> str:
    """运动、健康检测."""
    return (", " if LANGUAGE.get() == "en" else "、").join(pick(NAMES[code]) for code in codes)


def kinds_of(kinds: Kinds) -> str:
    """运动、健康检测; everything; or a part that classes do not describe."""
    if kinds.every:
        return say("所有记录")
    return listed(codes_of(kinds.bits)) or say("一部分记录")


def with_sensitive(kinds: str, names: Sequence[str]) -> str:
    """Kinds, and the sensitivities that were agreed to by name."""
    known = [one for one in SENSITIVITIES.values() if one.name in names]
    return say("%(kinds)s（包括敏感的：%(what)s）", kinds=kinds, what=words.sensitivities([one.code for one in known])) if known else kinds


def sentence_of(grant: Grant) -> str:
    """What was agreed or refused, as it was read back."""
    if grant.pauses:
        return say("我暂停让任何人看我的任何记录。我随时可以恢复。")
    if grant.source:
        return say("从%(who)s来的记录，我不让任何人看。我随时可以恢复。", who=grant.name)
    if grant.effect.hides:
        return say("这条记录，我不让任何人看。我随时可以恢复。")
    if grant.refuses:
        return say("我拒绝让%(who)s看我的%(kinds)s。我随时可以收回。", who=grant.name, kinds=grant.kinds_text)
    if not grant.permits:
        return say("这一份没有让任何人看我的记录。")
    if grant.everybody and not grant.purpose:
        return say("这一份没有写明给谁看：任何机构都能看我的%(kinds)s。我随时可以停止。", kinds=grant.kinds_text)
    return say(
        "我同意%(who)s为了%(why)s，从 %(start)s 起到 %(day)s，看我的%(kinds)s。我随时可以停止。",
        who=grant.name,
        why=purpose_text(grant.purpose),
        start=dates.full(grant.given.date()) if grant.given else "–",
        day=grant.last,
        kinds=grant.kinds_text,
    )


def receipt(grant: Grant, consent: dict[str, Any], resident: UUID, issuer: str) -> dict[str, Any]:
    """What was agreed, when, by whom, and how to stop it, with the Consent itself. Parts and names follow ISO/IEC TS 27560 (verify)."""
    return {
        "record_id": str(grant.id),
        "pii_principal_id": f"Patient/{resident}",
        "issuer": issuer,
        "issued_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processing": {
            "notice": sentence_of(grant),
            "notice_terms": dict(terms(grant.party, grant.purpose, grant.kinds_text, grant.last)) if grant.permits and grant.party else None,
            "language": LANGUAGE.get(),
            "purpose": grant.purpose,
            "recipient": grant.party.reference if grant.party else None,
            "recipient_name": grant.name,
            "data": grant.kinds,
            "withdrawal_method": f"{issuer}/resident/grants",
        },
        "event": {
            "time": consent.get("dateTime"),
            "state": "given" if grant.live else "withdrawn" if grant.stopped else "ended",
            "withdrawn_at": grant.stopped.isoformat(timespec="seconds") if grant.stopped else None,
            "valid_until": (grant.ends or grant.until).isoformat() if grant.until else None,
        },
        "consent": consent,
    }


def terms(party: Party, purpose: str, kinds: str, last: str) -> list[tuple[str, str]]:
    """What PIPL (articles 17, 23, 30, 39) has a resident told of a receiver, as label and text; in the screens of a grant and on its receipt."""
    unknown = say("对方还没有登记联系方式。要找对方，请打 12345。")
    copied = say("在本系统里看；本系统也会把副本传给对方的系统。") if party.deliver_to else say("在本系统里看，或由对方的系统来查。")
    country = say("在境外：%(country)s。依据：%(basis)s", country=words.country(party.country or ""), basis=party.transfer_basis) if party.abroad else ""
    told = [
        (say("给谁"), party.name),
        (say("怎么联系"), party.contact or unknown),
        (say("送到境外"), country),
        (say("为了什么"), purpose_text(purpose)),
        (say("看什么"), kinds),
        (say("怎么看"), copied),
        (say("多久"), say("到 %(day)s，或到您停止的那一刻。对方看过、存下的，按法律规定的年限保存，本系统收不回来。", day=last)),
        (say("您的权利"), say("随时停止；要求更正、删除；下载一份带走；看谁看过；对哪次查看有疑问，可以要求说明。不服，打 12345。")),
    ]
    return [(label, text) for label, text in told if text]


class Notice(msgspec.Struct, frozen=True):
    """What the last step did, told once; the grants that one tap gives back, or the receipt of a new one."""

    text: str
    again: list[Grant] = []
    receipt: UUID | None = None


JUST_NOW = timedelta(minutes=10)


def paused(grants: Sequence[Grant]) -> bool:
    """Whether nobody sees anything now, whatever else was agreed to."""
    return any(grant.live and grant.pauses for grant in grants)


def shut(grants: Sequence[Grant]) -> set[UUID]:
    """Ids of the sources that nobody is shown."""
    return {grant.source.id for grant in grants if grant.live and grant.source}


def notice(stopped: str, granted: str, grants: Sequence[Grant], now: datetime) -> Notice | None:
    """The notice on the page that a stop or a grant leads to. `now` is on the clock of the grants."""
    if stopped == "pause" and not paused(grants):
        return Notice(say("已经恢复。您同意过的，又能看到了。"))
    if stopped == "all":
        just = [grant for grant in grants if grant.again and grant.permits and grant.stopped and now - grant.stopped < JUST_NOW]
        return Notice(say("全部停止了。从现在起，别人都看不到您的记录。"), just[:2])
    known = {str(grant.id): grant for grant in grants}
    if (grant := known.get(stopped)) is not None:
        if not grant.permits:
            return Notice(say("这一份已经收回，不再算数。"), [grant] if grant.again and not grant.pauses else [])
        left = [one.effect.permits for one in grants if one.live and one.permits and (one.everybody or one.party == grant.party)]
        return Notice(_stopped_text(grant.name, left), [grant] if grant.again else [])
    if (grant := known.get(granted)) is not None:
        if grant.pauses:
            return None
        if grant.refuses:
            return Notice(say("已经拒绝。%(who)s不能看：%(kinds)s。", who=grant.name, kinds=grant.kinds_text), receipt=grant.id)
        if paused(grants):
            return Notice(say("已经同意。现在全部暂停着，您恢复以后，%(who)s才能看：%(kinds)s。", who=grant.name, kinds=grant.kinds_text), receipt=grant.id)
        return Notice(say("已经同意。%(who)s现在可以看：%(kinds)s。", who=grant.name, kinds=grant.kinds_text), receipt=grant.id)
    return None


def _stopped_text(who: str, left: Sequence[Kinds]) -> str:
    """What a stop did. A receiver that has another consent still sees what that one says."""
    if left:
        return say("这一项已经停止。您还有别的同意，%(who)s还能看：%(kinds)s。", who=who, kinds=kinds_of(together(left)))
    return say("已经停止。从现在起，%(who)s看不到您的记录。", who=who)


def purpose_text(code: str) -> str:
    return pick(PURPOSES[code]) if code in PURPOSES else code or say("任何目的")


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
    found = [Receiver(party, purpose) for party in known for purpose in party.agreed_purposes if purpose in PURPOSES]
    order = {"hospital": 0, "community-clinic": 1, "advisor": 2, "city-cloud": 3}
    return sorted(found, key=lambda receiver: (order.get(receiver.party.kind, 9), receiver.party.name))


async def uploaders(hub: Hub, resident: UUID, person: Person) -> list[Party]:
    """Who has recorded something of the resident, and so reads its own; for who acts for them, something that they may see."""
    async with hub.database.connection() as connection:
        query = f"SELECT DISTINCT party FROM records WHERE bucket = $1 AND resident = $2 AND {OF_RESIDENTS}"  # noqa: S608 - constant
        found = {row["party"] for row in await connection.fetch(query, bucket_of(resident), resident)}
        known = {party.number: party for party in await parties.everyone(connection)}
    if person.acting:
        found &= (await _reached(hub, resident, person))[1]
    return [known[number] for number in sorted(found) if number in known]


async def _reached(hub: Hub, resident: UUID, person: Person) -> tuple[int, set[int]]:
    """Class bits and sources of what somebody who acts for the resident may see: that there is more is not theirs to know."""
    classes, sources = 0, set()
    async for one in history.disclosed(hub, history.own(resident, person)):
        if one.resources:
            sources.add(one.party)
            for slot, _ in one.resources:
                classes |= slot.classes
    return classes, sources


async def stored(hub: Hub, resident: UUID, person: Person) -> list[str]:
    """Codes of the classes of which something is stored, for the resident; for who acts for them, something that they may see."""
    if person.acting:
        return codes_of((await _reached(hub, resident, person))[0])
    async with hub.database.connection() as connection:
        labels = await connection.fetchval(
            "SELECT bit_or(labels) FROM records WHERE bucket = $1 AND resident = $2 AND NOT deleted", bucket_of(resident), resident
        )
    return codes_of(labels or 0)


async def sensitive(hub: Hub, resident: UUID, classes: DataClass, person: Person | None = None) -> list[str]:
    """Sensitivity codes of which something of these classes is stored, for the resident; of a child, that of a child's records always."""
    found: set[str] = set()
    async with hub.database.connection() as connection:
        permit, rows = await hub.vault.sensitive(connection, history.own(resident, person))
        for one in hub.vault.disclose(permit, rows):
            if any(slot.classes & classes for slot, _ in one.resources):
                found.update(one.label.sensitivity)
        subject = (await hub.vault.subjects(connection, [resident])).get(resident)
    if subject is not None and subject.adult_at is not None and datetime.now(UTC) < subject.adult_at:
        found.add(MINOR)
    return [code for code in SENSITIVITIES if code in found]


def bits(codes: Sequence[str]) -> DataClass:
    """Class codes to bits; what cannot be granted here is left out."""
    chosen = DataClass(0)
    for code in codes:
        if code in ORDINARY or code in APART:
            chosen |= CODES[code]
    return chosen
