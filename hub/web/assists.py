"""Staff who help a resident to decide, at a desk or by phone: who it is, what they decide, the signed form or the witness, the receipt.

The pages tell staff nothing that they did not enter: not what is stored, not what was agreed to before. No number of a person stands in an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response

from hub.access import accounts, requests, sessions
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_recent
from hub.care.activity import today_in
from hub.service import Hub
from hub.store import assists as store
from hub.store import parties
from hub.store.assists import Case, Choice
from hub.store.parties import Party
from hub.store.vault import Said
from hub.web import dates, faults, forms, grants, paper, sharing
from hub.web.center import staff_of
from hub.web.grants import Chooser, Wish, wish
from hub.web.locales import say
from hub.web.pages import Page, download, pages_of, see
from schemas.classes import codes_of
from schemas.errors import BadRequest, Conflict, KineHubError, NotFound, TooLarge, Unauthenticated
from schemas.labels import SENSITIVITIES
from schemas.resident import ZONE

router = APIRouter(prefix="/center/assist", route_class=Page)

CHANNELS: dict[str, tuple[str, str]] = {"desk": ("当面", "at the desk"), "phone": ("电话", "by phone")}
CHECKS: dict[str, tuple[str, str]] = {
    "id-card": ("看了身份证", "ID card seen"),
    "social-security-card": ("看了社保卡", "social security card seen"),
    "call-back": ("回拨登记的电话，问了号码和生日", "called back at the registered number; number and birth date asked"),
}
STATES: dict[str, tuple[str, str]] = {
    "open": ("还没有选", "nothing chosen yet"),
    "chosen": ("等签字", "waits for the signature"),
    "waiting": ("等见证", "waits for the witness"),
}
EVERYBODY = "everybody"
SHOWN = 6


def zone_of(party: Party) -> ZoneInfo:
    return ZoneInfo(party.zone or ZONE)


@router.get("")
async def home(request: Request) -> Response:
    """Begin with a resident; and what is open, of one's own and for a witness."""
    person, party = await staff_of(request)
    return await _home(request, person, party, {})


async def _home(request: Request, person: Person, party: Party, typed: Mapping[str, str], error: str = "", status: int = 200) -> Response:
    async with hub_of(request).database.connection() as connection:
        found = await store.of_party(connection, party.number)
    mine = [case for case in found if case.account == person.account]
    witness = [case for case in found if case.account != person.account and case.state == "waiting"]
    return pages_of(request).render(
        request, "assist_home.html", status, person=person, party=party, mine=mine, witness=witness, typed=typed, error=error, checks=CHECKS,
        channels=CHANNELS, states=STATES, zone=zone_of(party),
    )  # fmt: skip


@router.post("")
async def begin(request: Request) -> Response:
    """Open a case. Whatever does not fit is answered in the same words, and what was typed is kept in the form."""
    person, party = await staff_of(request)
    hub, fields = hub_of(request), await requests.fields(request)
    try:
        said = Said(fields.get("name", "").strip()[:60], fields.get("phone", "").strip()[:30] or None, _born(fields.get("born", "")))
        made = await store.open_case(
            hub, person, party, system=fields.get("system", ""), value=fields.get("value", ""), said=said, checked=fields.get("checked", "")
        )
    except KineHubError as wrong:
        if wrong.status >= 500:
            raise
        await requests.even_out()
        return await _home(request, person, party, fields, faults.file(wrong.code, wrong.message, wrong.advice), wrong.status)
    await requests.even_out()
    return see(f"{router.prefix}/{made}")


def _born(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise BadRequest("The birth date is not a date.", field="born") from None


@router.get("/form")
async def empty_form(request: Request) -> Response:
    """The form with nothing filled in, to print and take along."""
    person, party = await staff_of(request)
    return _form(request, person, party, None)


def _form(request: Request, person: Person, party: Party, case: Case | None, sentence: str = "") -> Response:
    choice = case.choice if case else None
    sensitive = [SENSITIVITIES[code] for code in choice.sensitive] if choice else []
    return pages_of(request).render(
        request, "assist_form.html", person=person, party=party, case=case, wording=paper.WORDING, number=paper.number(choice),
        digest=paper.digest(choice), sensitive=sensitive, today=today_in(zone_of(party)).date(), checks=CHECKS, sentence=sentence,
    )  # fmt: skip


async def _own(request: Request, case: UUID, csrf: str | None = None) -> tuple[Person, Party, Case]:
    """A case of the member of staff who is signed in. Raises NotFound for anybody else's, or an old one."""
    person, party = await staff_of(request, csrf)
    return person, party, await store.read(hub_of(request), case, party=party, account=person.account)


@router.get("/{case}")
async def show(request: Request, case: UUID) -> Response:
    """How far a case is; for a colleague while it waits for a witness."""
    person, party = await staff_of(request)
    found = await store.read(hub_of(request), case, party=party)
    if found.account != person.account and found.state != "waiting":
        raise NotFound("There is no such case, or it is over.", code="no-such-case", advice="Begin again.")
    return await _show(request, person, party, found)


async def _show(request: Request, person: Person, party: Party, case: Case, error: str = "", status: int = 200, number: str = "") -> Response:
    hub, zone = hub_of(request), zone_of(party)
    decided = case.decided.astimezone(zone) if case.decided else None
    return pages_of(request).render(
        request, "assist.html" if case.account == person.account else "assist_witness.html", status, person=person, party=party, case=case, error=error,
        number=number, decided=decided, checks=CHECKS, channels=CHANNELS, base=f"{router.prefix}/{case.id}", expires=case.expires.astimezone(zone),
        told=await describe(hub, case, zone),
    )  # fmt: skip


async def describe(hub: Hub, case: Case, zone: ZoneInfo) -> dict[str, str]:
    """A case in words: what was decided, who recorded it, who witnessed it."""
    async with hub.database.connection() as connection:
        names = [(await accounts.account(connection, hub.keyring, one)).name if one else "" for one in (case.account, case.witness)]
    sentence = await sentence_of(hub, case.choice, (case.decided or datetime.now(zone)).astimezone(zone).date()) if case.choice else ""
    return {"sentence": sentence, "recorder": names[0], "witness": names[1]}


async def sentence_of(hub: Hub, choice: Choice, start: date) -> str:
    """What the resident decided, as it is read to them."""
    if choice.does == "resume":
        return say("我以前的暂停到此为止。我同意过的，又可以看到。")
    if choice.does == "refuse" or choice.to is None:
        return say("我暂停让任何人看我的任何记录。我随时可以恢复。")
    async with hub.database.connection() as connection:
        to = await parties.by_id(connection, choice.to)
    if choice.does == "stop":
        return say("我不再让%(who)s看我的记录。", who=to.name)
    kinds = sharing.with_sensitive(sharing.listed(codes_of(choice.classes)), [SENSITIVITIES[code].name for code in choice.sensitive])
    return say(
        "我同意%(who)s为了%(why)s，从 %(start)s 起到 %(day)s，看我的%(kinds)s。我随时可以停止。", who=to.name, why=sharing.purpose_text(choice.purpose),
        start=dates.full(start), day=dates.full(choice.until) if choice.until else "–", kinds=kinds,
    )  # fmt: skip


# what the resident decides


@router.get("/{case}/grant")
async def grant(request: Request, case: UUID, wish: Annotated[Wish, Depends(wish)]) -> Response:
    """The screens of a grant, as on the resident's own pages; every private kind is offered, whatever is stored, and none by phone."""
    person, party, found = await _own(request, case)
    _refuse_decided(found)
    desk = found.channel == "desk"

    async def apart() -> list[str]:
        return list(sharing.APART) if desk else []

    async def sensitive(_: object) -> list[str]:
        return [code for code in SENSITIVITIES if desk and code in wish.ask]

    base = f"{router.prefix}/{case}"
    return await grants.screen(request, Chooser(person, f"{base}/grant", base, today_in(zone_of(party)).date(), apart, sensitive, found), wish)


def _refuse_decided(case: Case) -> None:
    if case.state not in ("open", "chosen"):
        raise Conflict("This was done already, or is over.", code="assist-over", advice="Look at the case again, or begin a new one.")


@router.post("/{case}/grant")
async def save(request: Request, case: UUID) -> Response:
    """Keep what was read back. Nothing is permitted yet. Asks for a recent sign-in."""
    person, party, found = await _own(request, case)
    require_recent(person)
    hub = hub_of(request)
    chosen = await grants.read_back(hub, await requests.fields(request), today_in(zone_of(party)).date())
    choice = Choice(
        "grant", chosen.receiver.party.id, chosen.receiver.purpose, int(chosen.bits), tuple(chosen.sensitive), chosen.abroad, chosen.until
    )
    await store.choose(hub, found, person, party, choice)
    return see(f"{router.prefix}/{case}#main")


@router.get("/{case}/stop")
async def stop(
    request: Request, case: UUID, to: Annotated[str, Query(max_length=40)] = "", find: Annotated[str, Query(max_length=60)] = ""
) -> Response:
    """Whom to stop, out of all there are: whether there was anything to stop is not said."""
    person, _, found = await _own(request, case)
    _refuse_decided(found)
    hub = hub_of(request)
    choice = await _stopped(hub, to) if to else None
    everyone = {receiver.party.id: receiver.party for receiver in await sharing.receivers(hub)}
    named = [party for party in everyone.values() if find.strip().casefold() in party.name.casefold()]
    return pages_of(request).render(
        request, "assist_stop.html", person=person, base=f"{router.prefix}/{case}", helping=found, to=to, find=find, receivers=named[:SHOWN],
        more=len(named) > SHOWN, sentence=await sentence_of(hub, choice, date.today()) if choice else "", everybody=EVERYBODY,  # noqa: DTZ011 - not shown
    )  # fmt: skip


@router.post("/{case}/resume")
async def resume(request: Request, case: UUID) -> Response:
    """End what was paused, once the resident has signed. Asks for a recent sign-in."""
    person, party, found = await _own(request, case)
    require_recent(person)
    await store.choose(hub_of(request), found, person, party, Choice("resume"))
    return see(f"{router.prefix}/{case}#main")


async def _stopped(hub: Hub, to: str) -> Choice:
    if to == EVERYBODY:
        return Choice("refuse")
    found = next((receiver.party for receiver in await sharing.receivers(hub) if str(receiver.party.id) == to), None)
    if found is None:
        raise BadRequest("This receiver is not on the list any more.", field="to")
    return Choice("stop", found.id)


@router.post("/{case}/stop")
async def save_stop(request: Request, case: UUID) -> Response:
    """Stop it now: what takes away waits for nobody."""
    person, party, found = await _own(request, case)
    hub, fields = hub_of(request), await requests.fields(request)
    await store.choose(hub, found, person, party, await _stopped(hub, fields.get("to", "")))
    await requests.even_out()
    return see(f"{router.prefix}/{case}#main")


# signature, witness, end


@router.get("/{case}/form")
async def filled_form(request: Request, case: UUID) -> Response:
    """The form with what was chosen, to print and have signed."""
    person, party, found = await _own(request, case)
    if found.choice is None:
        raise NotFound("Nothing was chosen yet.", code="no-such-case")
    sentence = await sentence_of(hub_of(request), found.choice, today_in(zone_of(party)).date())
    return _form(request, person, party, found, sentence)


@router.post("/{case}/paper")
async def attach(request: Request, case: UUID) -> Response:
    """Take the scan of the signed form. What is wrong with it is said on the same page; the case stays as it was."""
    current = await sessions.session(request)
    if current is None or current.person is None:
        raise Unauthenticated("Nobody is signed in here.")
    try:
        fields, file = await forms.with_file(request, store.PAPER_LIMIT, TooLarge("The scan is larger than 5 MB.", code="odd-scan", advice=AGAIN))
    except TooLarge as wrong:  # nothing but the page is shown: the form's own token was not read
        person, party, found = await _own(request, case, current.csrf)
        return await _show(request, person, party, found, faults.file(wrong.code, wrong.message, wrong.advice), wrong.status)
    person, party, found = await _own(request, case, fields.get("csrf", ""))
    typed = fields.get("number", "").strip().lower()
    try:
        await store.attach(hub_of(request), found, person, party, _scanned(found, typed, file.body if file else b""))
    except BadRequest as wrong:
        return await _show(request, person, party, found, faults.file(wrong.code, wrong.message, wrong.advice), wrong.status, typed[:20])
    return see(f"{router.prefix}/{case}#main")


AGAIN = "Scan it again; what was entered is kept."


def _scanned(case: Case, number: str, body: bytes) -> store.Paper:
    """A scan of the form for this very case, or of an empty one. Raises BadRequest."""
    if number not in (paper.number(), paper.number(case.choice)):
        raise BadRequest("No form has this number, or it is an old one.", code="unknown-form", field="number", advice="Print it again and have it signed.")
    return store.paper_of(number, body)


@router.get("/{case}/paper")
async def scan(request: Request, case: UUID) -> Response:
    """The scan, for who sent it, while the case lasts; to keep, never to show in the page."""
    person, _, found = await _own(request, case)
    return attachment(await store.paper(hub_of(request), found, f"Account/{person.account}"), found)


def attachment(scan: store.Paper, case: Case) -> Response:
    """A scan as a file: the type is the one that its bytes said, and no browser opens it as a page of ours."""
    return download(scan.body, f"kinehub-signed-form-{case.id}.{scan.type.partition('/')[2].replace('jpeg', 'jpg')}", scan.type)


@router.post("/{case}/ask")
async def ask(request: Request, case: UUID) -> Response:
    """Have a colleague confirm."""
    person, _, found = await _own(request, case)
    await store.ask_witness(hub_of(request), found, person)
    return see(f"{router.prefix}/{case}#main")


@router.post("/{case}/confirm")
async def confirm(request: Request, case: UUID) -> Response:
    """What the witness says, by a sign-in of their own of the last ten minutes."""
    person, party = await staff_of(request)
    require_recent(person)
    hub, fields = hub_of(request), await requests.fields(request)
    found = await store.read(hub, case, party=party)
    if fields.get("heard") not in ("yes", "no"):
        raise BadRequest("A witness says yes or no.", field="heard")
    await store.confirm(hub, found, person, party, fields["heard"] == "yes")
    return see(router.prefix)


@router.post("/{case}/cancel")
async def cancel(request: Request, case: UUID) -> Response:
    """Leave it: nothing is recorded."""
    person, _, found = await _own(request, case)
    await store.cancel(hub_of(request), found, person)
    return see(router.prefix)
