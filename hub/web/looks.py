"""Who looked: the audit trail of one resident in plain words, refused attempts included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import Request

from hub.access import accounts
from hub.access.requests import hub_of
from hub.audit import disclosed
from hub.audit import proof as proofs
from hub.audit.disclosed import Detail
from hub.audit.proof import Inclusion
from hub.audit.trail import ANSWERED, REFUSED, Entry
from hub.store import parties
from hub.web import fields, words
from hub.web.locales import pick, say
from schemas.errors import NotFound
from schemas.records import Envelope

if TYPE_CHECKING:
    from hub.service import Hub

PURPOSES: dict[str, tuple[str, str]] = {
    "TREAT": ("看病和健康指导", "care and treatment"),
    "PUBHLTH": ("公共卫生", "public health"),
    "HPAYMT": ("保险理赔", "insurance payment"),
    "HRESCH": ("研究", "research"),
    "PATRQT": ("本人要求", "own request"),
    "FAMRQT": ("替您办事", "acting for you"),
    "BTG": ("紧急情况", "emergency"),
}
"""v3 PurposeOfUse in plain words."""

QUIET = (
    "upload", "register", "consent-grant", "consent-refuse", "consent-unrefuse", "consent-withdraw", "sign-in", "passkey-add", "passkey-remove", "session-end",
    "grant", "withdraw",
    "download", "decide", "policy", "consent-notice", "visit-code-make", "visit-code-cancel", "petition",
    "petition-read", "petition-answer", "alerts-seen", "consents-reviewed",
    "assist-open", "assist-choose", "assist-ask", "assist-witness", "assist-cancel", "assist-paper",
    "wish", "death-record", "death-confirm", "death-withdraw", "death-undo", "death-read", "relative-refused",
)  # fmt: skip
"""Actions by which nobody else sees anything; the full log shows them too."""


class Showing(msgspec.Struct):
    """What a page shows to somebody who acts for a resident: one entry, noted before the page leaves."""

    entry: Entry
    shown: list[Detail] = []


def begin(request: Request, entry: Entry, *shown: Detail) -> None:
    """The page is being made."""
    request.state.showing = Showing(entry, list(shown))


def show(request: Request, records: Iterable[Envelope], *, measures: Sequence[str] = ()) -> None:
    """The page shows these records in a line each, and curves of these measures; of residents' own pages nothing is kept."""
    showing: Showing | None = getattr(request.state, "showing", None)
    if showing is not None:
        showing.shown += [in_lines(records), {"fields": measures}]


def in_lines(records: Iterable[Envelope]) -> Detail:
    """What a list tells that has a line for each record."""
    return disclosed.together(disclosed.records([one], only=words.in_a_line(str(one.__struct_config__.tag))) for one in records)


async def note(request: Request) -> None:
    """Write down what was shown, whatever became of the page."""
    showing: Showing | None = getattr(request.state, "showing", None)
    if showing is not None and showing.entry.resident is not None:
        hub, detail = hub_of(request), disclosed.together(showing.shown)
        sealed = hub.vault.seal_detail(showing.entry.resident, detail) if detail else None
        await hub.trail.note(msgspec.structs.replace(showing.entry, detail=sealed))


TABS: dict[str, tuple[str, str]] = {
    "people": ("人看的", "people"),
    "automated": ("自动的", "automated"),
    "denied": ("被挡住的", "blocked"),
    "own": ("我自己", "my own"),
}
"""Parts of the log: each entry is in one of them."""

ROLES: dict[str, tuple[str, str]] = {
    "doctor": ("医生", "doctor"),
    "staff": ("工作人员", "staff"),
    "admin": ("管理员", "administrator"),
    "city": ("城市管理", "city"),
}


class Look(msgspec.Struct, frozen=True):
    """One line of the log. `count` merges repeats of the same look on one day, `entry` is the newest; `refused`: nothing was seen."""

    at: datetime
    who: str
    party: str
    what: str
    why: str
    refused: bool
    entry: tuple[int, int]
    count: int = 1
    role: str = ""
    own: bool = False
    rule: str = ""


async def read(
    hub: Hub, resident: UUID, zone: ZoneInfo, *, most: int, tab: str = "", before: datetime | None = None, sources: Sequence[int] | None = None
) -> tuple[list[Look], datetime | None]:
    """The newest lines before `before`, and where the next page begins. Without a tab: what others saw, or tried to see.

    sources: leave out what other parties than these recorded, for a reader who sees nothing of it
    """
    wanted = most * 8
    async with hub.database.connection() as connection:
        mine = await own(connection, resident)
        rows = await connection.fetch(_LOG + _PARTS[tab] + " ORDER BY at DESC LIMIT $4", resident, before, mine, wanted, sources)
        names = {party.number: party.name for party in await parties.everyone(connection)}
        people = await accounts.of_actors(connection, hub.keyring, rows)
    looks: list[Look] = []
    for number, row in enumerate(rows):
        look = _look(row, names, people, mine, zone)
        if looks and _same(looks[-1], look):
            looks[-1] = msgspec.structs.replace(looks[-1], count=looks[-1].count + 1)
        elif len(looks) == most:
            return looks, rows[number - 1]["at"]
        else:
            looks.append(look)
    return looks, rows[-1]["at"] if len(rows) == wanted else None


_COLUMNS = "SELECT chain, seq, at, party, actor, action, purpose, rule, outcome, detail FROM audit"
_LOG = (
    f"{_COLUMNS} WHERE resident = $1 AND ($2::timestamptz IS NULL OR at < $2) "
    "AND ($5::int[] IS NULL OR NOT action = ANY('{upload,register}') OR party IS NULL OR party = ANY($5)) AND "
)
_OTHERS = "NOT actor = ANY($3::text[])"
OF_A_HELPER = "('download', 'visit-code-make', 'petition')"
"""SQL: acts that are one's own, and to be told where somebody else did them in one's name."""
_PARTS = {
    "": f"{_OTHERS} AND (NOT action = ANY('{{{','.join(QUIET)}}}') OR (action LIKE 'consent-%' OR action IN {OF_A_HELPER}) AND actor LIKE 'Account/%')",
    "people": f"{_OTHERS} AND actor LIKE 'Account/%' AND {ANSWERED}",
    "automated": f"{_OTHERS} AND actor NOT LIKE 'Account/%' AND {ANSWERED}",
    "denied": f"{_OTHERS} AND NOT {ANSWERED}",
    "own": "actor = ANY($3::text[])",
}


async def own(connection: Any, resident: UUID) -> list[str]:
    """The names that the resident goes by in the audit."""
    rows = await connection.fetch("SELECT id FROM accounts WHERE resident = $1", resident)
    return [f"Patient/{resident}", *(f"Account/{row['id']}" for row in rows)]


class Shown(msgspec.Struct, frozen=True):
    """What an entry disclosed, in words. `cut`: how many of it were without a part that was not permitted."""

    what: list[str]
    fields: list[str] = []
    cut: int = 0


async def one(hub: Hub, resident: UUID, zone: ZoneInfo, entry: tuple[int, int]) -> tuple[Look, Shown]:
    """One entry about this resident, and what was shown in it, in words. Raises NotFound for any other."""
    async with hub.database.connection() as connection:
        mine = await own(connection, resident)
        row = await connection.fetchrow(f"{_COLUMNS} WHERE chain = $1 AND seq = $2 AND resident = $3", *entry, resident)
        if row is None:
            raise NotFound("There is no such entry.")
        names = {party.number: party.name for party in await parties.everyone(connection)}
        people = await accounts.of_actors(connection, hub.keyring, [row])
        (detail,) = await hub.vault.open_details(connection, resident, [row["detail"]])
    return _look(row, names, people, mine, zone), _shown(detail or {})


async def every(hub: Hub, resident: UUID, zone: ZoneInfo) -> list[tuple[Look, Shown]]:
    """The whole log, newest first, each entry by itself with what was shown in it."""
    async with hub.database.connection() as connection:
        mine = await own(connection, resident)
        rows = await connection.fetch(f"{_COLUMNS} WHERE resident = $1 ORDER BY at DESC, chain, seq DESC", resident)
        names = {party.number: party.name for party in await parties.everyone(connection)}
        people = await accounts.of_actors(connection, hub.keyring, rows)
        details = await hub.vault.open_details(connection, resident, [row["detail"] for row in rows])
    return [(_look(row, names, people, mine, zone), _shown(detail or {})) for row, detail in zip(rows, details, strict=True)]


def _shown(detail: dict[str, Any]) -> Shown:
    """What an entry's detail says was shown: kinds of records by their names, FHIR resources by their types, and which fields of them."""
    kinds = [say("%(what)s %(n)d 条", what=words.kind(code), n=n) for code, n in detail.get("kinds", {}).items()]
    types = [say("%(what)s %(n)d 条", what=pick(TYPES.get(type_, (type_, type_))), n=n) for type_, n in detail.get("shown", {}).items()]
    what = [*([say("姓名和联系方式")] if detail.get("identity") else []), *kinds, *types]
    return Shown(what, fields.told(detail.get("fields", ())), detail.get("cut", 0))


TYPES: dict[str, tuple[str, str]] = {
    "Observation": ("测量结果", "measurements"),
    "Patient": ("姓名和联系方式", "name and contacts"),
    "Encounter": ("一次运动或到访", "sessions or visits"),
    "Procedure": ("做过的运动", "exercise done"),
    "DiagnosticReport": ("报告", "reports"),
    "CarePlan": ("运动方案", "exercise plans"),
    "Goal": ("目标", "goals"),
    "Device": ("设备", "devices"),
    "Provenance": ("来源说明", "origins"),
    "Consent": ("同意书", "consents"),
    "Linkage": ("同一次锻炼的说明", "links between records"),
    "Condition": ("诊断", "diagnoses"),
    "MedicationStatement": ("用药", "medication"),
    "QuestionnaireResponse": ("问卷", "questionnaires"),
    "RelatedPerson": ("替您办事的人", "who acts for you"),
}
"""FHIR types in plain words; one that is not here is shown by its own name."""


async def signed(hub: Hub, looks: Sequence[Look]) -> set[tuple[int, int]]:
    """The entries among `looks` that are under a signed head: those that can be proven."""
    async with hub.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT chain, max(last) AS last FROM audit_segments WHERE chain = ANY($1::int[]) GROUP BY chain", list({look.entry[0] for look in looks})
        )
    last = {row["chain"]: row["last"] for row in rows}
    return {look.entry for look in looks if look.entry[1] <= last.get(look.entry[0], 0)}


async def proof(hub: Hub, resident: UUID, chain: int, seq: int) -> Inclusion:
    """The proof of an entry about this resident. Raises NotFound for any other, or while no signed head has it."""
    async with hub.database.connection() as connection:
        if not await connection.fetchval("SELECT resident = $3 FROM audit WHERE chain = $1 AND seq = $2", chain, seq, resident):
            raise NotFound("There is no such entry.")
        return await proofs.included(connection, hub.trail.heads, hub.trail.algorithm, chain, seq)


def _look(row: Any, names: dict[int, str], people: dict[str, accounts.Account], mine: Sequence[str], zone: ZoneInfo) -> Look:
    account = people.get(row["actor"])
    own = row["actor"] in mine
    party = names.get(row["party"], "") if row["party"] else ""
    who = say("您自己") if own else account.name if account else party or say("运动健康通（系统）")
    refused = not own and row["outcome"] in REFUSED
    why = "" if own else pick(PURPOSES[row["purpose"]]) if row["purpose"] in PURPOSES else ""
    at, entry = row["at"].astimezone(zone).replace(tzinfo=None), (row["chain"], row["seq"])
    role = pick(ROLES[account.role]) if account and not own and account.role in ROLES else ""
    what = _what(row["action"], refused, own)
    return Look(at, who, party if account and not own else "", what, why, refused, entry, role=role, own=own, rule=row["rule"] or "")


def _what(action: str, refused: bool, own: bool) -> str:
    if refused:
        return say("想看，没有您的同意，没看到")
    known = {
        "upload": "记下了您的新记录",
        "register": "登记了您的身份",
        "deliver": "收到了您同意给的记录",
        "consent-grant": "同意给别人看",
        "consent-refuse": "不再让人看",
        "consent-unrefuse": "收回了不让看",
        "visit-code-make": "出了一个看病用的号码",
        "visit-code-cancel": "作废了看病用的号码",
        "visit-code": "用了您看病时给的号码",
        "consent-withdraw": "停止给别人看",
        "sign-in": "登录了",
        "passkey-add": "加了一把通行密钥",
        "passkey-remove": "删了一把通行密钥",
        "session-end": "在别处退出了登录",
        "download": "下载了记录",
        "export": "批量取走了您的记录",
        "erase": "永久删除",
        "represent-add": "请人代办",
        "represent-accept": "开始替您办事",
        "represent-agree": "改了家长能做什么",
        "represent-end": "不再让人代办",
        "emergency-open": "紧急打开了您的记录",
        "emergency-end": "结束了紧急查看",
        "emergency-review": "复核了一次紧急查看",
        "policy": "打开了您的授权设置",
        "consent-notice": "确认收到您的授权变化",
        "alerts-seen": "看过了提醒",
        "consents-reviewed": "重新看过谁能看",
        "assist-open": "核对了您的身份，要替您办事",
        "assist-try": "想替您办事，身份没有核对上",
        "assist-choose": "记了您的决定，签字以后才算数",
        "assist-ask": "请同事做见证",
        "assist-witness": "做了见证",
        "assist-record": "替您办了一件事",
        "assist-cancel": "替您办的没有办，撤了",
        "assist-paper": "打开了您签字的表",
        "wish": "定了身后记录怎么办",
        "death-record": "登记了去世，等着确认",
        "death-confirm": "确认了去世",
        "death-withdraw": "撤回了去世的登记",
        "death-undo": "更正：去世登记错了",
        "death-read": "核对了去世的登记",
        "relative-refused": "近亲属想看，按您的意思没有给",
        "petition": "提了一个要求",
        "petition-read": "看了您提的要求",
        "petition-answer": "答复了您的要求",
    }
    return say(known.get(action, "看了自己的记录" if own else "看了您的记录"))


def _same(one: Look, other: Look) -> bool:
    return one.at.date() == other.at.date() and (one.who, one.party, one.what, one.why) == (other.who, other.party, other.what, other.why)
