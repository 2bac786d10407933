"""A new grant in three screens, without a script: who, which kinds, how long; the sentence is read back before it is saved.

What is sensitive among the kinds has a screen of its own each, between the second and the third, with nothing chosen beforehand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response

from hub.access import requests
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_recent
from hub.care.activity import today_in
from hub.service import Hub
from hub.store import grants as store
from hub.store.assists import Case
from hub.web import dates, history, sharing
from hub.web.pages import Page, pages_of, see
from hub.web.resident import resident_of
from hub.web.sharing import Receiver
from schemas.classes import DataClass, codes_of
from schemas.errors import BadRequest, Refused
from schemas.labels import MINOR, SENSITIVITIES

router = APIRouter(prefix="/resident/grants", route_class=Page)

TERMS: dict[str, tuple[str, str]] = {
    "day": ("只今天", "today only"),
    "month": ("一个月", "one month"),
    "half": ("半年", "half a year"),
    "year": ("一年", "one year"),
    "five": ("五年", "five years"),
}
"""How long a grant can last; a year unless chosen, five at most."""

SHOWN = 4
"""Receivers on a page; with the code for a visit and the search there are seven things to choose from."""
Codes = Annotated[list[str] | None, Query(max_length=20)]
Kinds = Annotated[list[str] | None, Query(alias="kind", max_length=20)]


def last_day(term: str, today: date) -> date:
    """The last day of a grant that begins today. Raises BadRequest."""
    if term not in TERMS:
        raise BadRequest("A grant lasts a day, a month, half a year, a year or five years.", field="term")
    months = {"day": 0, "month": 1, "half": 6, "year": 12, "five": 60}[term]
    return _months_on(today, months) - timedelta(days=1) if months else today


def _months_on(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    for number in (day.day, 30, 29, 28):
        try:
            return date(day.year + years, month + 1, number)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


class _Said(NamedTuple):
    """Sensitivities that were agreed to by name, and those that were refused; whether records may leave the country."""

    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    abroad: bool = False


NOTHING_SAID = _Said()


class Wish(NamedTuple):
    """What is chosen so far, out of the address. `ask`: sensitivities that staff say they were asked to ask about."""

    to: str
    term: str
    find: str
    asked: bool
    kinds: list[str]
    ask: list[str]
    said: _Said


def wish(
    to: Annotated[str, Query(max_length=80)] = "",
    term: Annotated[str, Query(max_length=8)] = "year",
    find: Annotated[str, Query(max_length=60)] = "",
    asked: Annotated[str, Query(max_length=1)] = "",
    kind: Kinds = None,
    ask: Codes = None,
    yes: Codes = None,
    no: Codes = None,
    abroad: bool = False,
) -> Wish:
    return Wish(to, term, find, bool(asked), kind or [], ask or [], _Said(tuple(yes or ()), tuple(no or ()), abroad))


class Chooser(NamedTuple):
    """Who chooses, and where: a resident on their own pages, or staff who are `helping` one and are told nothing of what is stored.

    apart: the kinds to be offered apart; sensitive: of these classes, the sensitivities to be asked for by name
    """

    person: Person
    base: str
    home: str
    today: date
    apart: Callable[[], Awaitable[Sequence[str]]]
    sensitive: Callable[[DataClass], Awaitable[Sequence[str]]]
    helping: Case | None = None


@router.get("/new")
async def new(request: Request, wish: Annotated[Wish, Depends(wish)]) -> Response:
    """The screen that comes next, from what is chosen so far."""
    person, resident = await resident_of(request, "grant")
    hub = hub_of(request)

    async def apart() -> list[str]:
        return [code for code in await sharing.stored(hub, resident, person) if code in sharing.APART]

    today = today_in(await history.zone_of(hub, resident)).date()
    chooser = Chooser(person, f"{router.prefix}/new", "/resident", today, apart, lambda bits: sharing.sensitive(hub, resident, bits, person))
    return await screen(request, chooser, wish)


async def screen(request: Request, who: Chooser, wish: Wish) -> Response:
    """The next of the screens of a grant: to whom, which kinds, each sensitive one by itself, out of the country, how long and the sentence."""
    everyone = await sharing.receivers(hub_of(request))
    chosen = next((receiver for receiver in everyone if receiver.key == wish.to), None)
    render = partial(pages_of(request).render, request, person=who.person, base=who.base, home=who.home, helping=who.helping)
    if chosen is None:
        found = [receiver for receiver in everyone if wish.find.strip().casefold() in receiver.party.name.casefold()]
        return render("grant_who.html", receivers=found[:SHOWN], more=len(found) > SHOWN, find=wish.find)
    bits = sharing.bits(wish.kinds)
    if not bits:
        return render(
            "grant_kinds.html", receiver=chosen, ordinary=sharing.ORDINARY, apart=await who.apart(), examples=sharing.EXAMPLES, missing=wish.asked,
            sensitivities=SENSITIVITIES.values(),
        )  # fmt: skip
    codes, asked_of = codes_of(int(bits)), await who.sensitive(bits)
    said = wish.said._replace(yes=tuple(code for code in asked_of if code in wish.said.yes), no=tuple(code for code in asked_of if code in wish.said.no))
    link = partial(_link, who.base, chosen, codes, wish.ask)
    back = _link(who.base, chosen, [], [], "")
    if (next_one := next((code for code in asked_of if code not in said.yes + said.no), None)) is not None:
        return render(
            "grant_sensitive.html", receiver=chosen, one=SENSITIVITIES[next_one], back=back,
            yes=link("", said._replace(yes=(*said.yes, next_one))), no=link("", said._replace(no=(*said.no, next_one))),
        )  # fmt: skip
    if chosen.party.abroad and not said.abroad:
        return render("grant_abroad.html", receiver=chosen, yes=link("", said._replace(abroad=True)))
    require_recent(who.person)
    until, kinds = last_day(wish.term, who.today), sharing.with_sensitive(sharing.listed(codes), [SENSITIVITIES[code].name for code in said.yes])
    return render(
        "grant_long.html", receiver=chosen, codes=codes, sensitive=said.yes, kinds=kinds, abroad=said.abroad, term=wish.term, until=until, today=who.today,
        told=sharing.terms(chosen.party, chosen.purpose, kinds, dates.full(until)),
        terms=[(name, words, last_day(name, who.today), link(name, said)) for name, words in TERMS.items()],
        back=back,
    )  # fmt: skip


def _link(base: str, receiver: Receiver, codes: Sequence[str], ask: Sequence[str], term: str, said: _Said = NOTHING_SAID) -> str:
    query = [("to", receiver.key), *(("kind", code) for code in codes), *(("ask", code) for code in ask)]
    query += [*(("yes", code) for code in said.yes), *(("no", code) for code in said.no)]
    query += [("abroad", "1")] if said.abroad else []
    query += [("term", term)] if term else []
    return f"{base}?{urlencode(query)}"


@router.post("/new")
async def save(request: Request) -> Response:
    """Save the grant that was read back. Asks for a recent sign-in, as the screen that read it back did."""
    person, resident = await resident_of(request, "grant")
    require_recent(person)
    hub = hub_of(request)
    today = today_in(await history.zone_of(hub, resident)).date()
    chosen = await read_back(hub, await requests.fields(request), today)
    if person.acting and set(chosen.sensitive) - {MINOR}:
        raise Refused("What is most private only the resident shares.", code="not-your-right")
    made = await store.grant(
        hub, resident, chosen.receiver.party, purpose=chosen.receiver.purpose, classes=chosen.bits, sensitive=chosen.sensitive, valid_from=today,
        valid_until=chosen.until, actor=history.actor_of(person, resident), performer=history.performer_of(person),
    )
    return see(f"/resident?granted={made}#main")


class Chosen(NamedTuple):
    """A grant as it was read back."""

    receiver: Receiver
    bits: DataClass
    sensitive: list[str]
    abroad: bool
    until: date


async def read_back(hub: Hub, fields: Mapping[str, str], today: date) -> Chosen:
    """What the form of the last screen says. Raises BadRequest with the place."""
    chosen = await _receiver(hub, fields.get("to", ""))
    if chosen.party.abroad and fields.get("abroad") != "True":
        raise BadRequest("That the records leave the country was not agreed to.", field="abroad", advice="Begin again.")
    bits = sharing.bits(fields.get("kinds", "").split(","))
    if not bits:
        raise BadRequest("Nothing was chosen to share.", field="kinds")
    until = _stated_day(fields.get("until", ""), last_day(fields.get("term", "year"), today))
    sensitive = [code for code in fields.get("sensitive", "").split(",") if code]
    if not SENSITIVITIES.keys() >= set(sensitive):
        raise BadRequest("There is no such sensitivity.", field="sensitive")
    return Chosen(chosen, bits, sensitive, chosen.party.abroad, until)


async def _receiver(hub: Hub, key: str) -> Receiver:
    found = next((receiver for receiver in await sharing.receivers(hub) if receiver.key == key), None)
    if found is None:
        raise BadRequest("This receiver is not on the list any more.", field="to")
    return found


def _stated_day(text: str, meant: date) -> date:
    """The day that was read back; when midnight passed in between, still that day and not the next one."""
    try:
        stated = datetime.fromisoformat(text).date()
    except ValueError:
        raise BadRequest("The last day of the grant is not a date.", field="until") from None
    if not timedelta(0) <= meant - stated <= timedelta(days=1):
        raise BadRequest("The page is too old.", field="until", advice="Begin again.")
    return stated
