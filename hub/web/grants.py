"""A new grant in three screens, without a script: who, which kinds, how long; the sentence is read back before it is saved.

What is sensitive among the kinds has a screen of its own each, between the second and the third, with nothing chosen beforehand.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from hub.access import requests
from hub.access.requests import hub_of
from hub.access.sessions import require_recent
from hub.care.activity import today_in
from hub.service import Hub
from hub.store import grants as store
from hub.web import dates, history, sharing
from hub.web.pages import Page, pages_of, see
from hub.web.resident import resident_of
from hub.web.sharing import Receiver
from schemas.classes import codes_of
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


@router.get("/new")
async def new(
    request: Request,
    to: Annotated[str, Query(max_length=80)] = "",
    term: Annotated[str, Query(max_length=8)] = "year",
    find: Annotated[str, Query(max_length=60)] = "",
    asked: Annotated[str, Query(max_length=1)] = "",
    kind: Kinds = None,
    yes: Codes = None,
    no: Codes = None,
    abroad: bool = False,
) -> Response:
    """The screen that comes next, from what is chosen so far."""
    person, resident = await resident_of(request, "grant")
    hub = hub_of(request)
    everyone = await sharing.receivers(hub)
    chosen = next((receiver for receiver in everyone if receiver.key == to), None)
    render = pages_of(request).render
    if chosen is None:
        found = [receiver for receiver in everyone if find.strip().casefold() in receiver.party.name.casefold()]
        return render(request, "grant_who.html", person=person, receivers=found[:SHOWN], more=len(found) > SHOWN, find=find)
    bits = sharing.bits(kind or [])
    if not bits:
        return render(
            request,
            "grant_kinds.html",
            person=person,
            receiver=chosen,
            ordinary=sharing.ORDINARY,
            apart=[code for code in await sharing.stored(hub, resident, person) if code in sharing.APART],
            examples=sharing.EXAMPLES,
            missing=bool(asked),
        )
    codes = codes_of(int(bits))
    asked_of = await sharing.sensitive(hub, resident, bits, person)
    said = _Said(tuple(code for code in asked_of if code in (yes or ())), tuple(code for code in asked_of if code in (no or ())), abroad)
    if (next_one := next((code for code in asked_of if code not in said.yes + said.no), None)) is not None:
        return render(
            request,
            "grant_sensitive.html",
            person=person,
            receiver=chosen,
            one=SENSITIVITIES[next_one],
            yes=_link(chosen, codes, "", said._replace(yes=(*said.yes, next_one))),
            no=_link(chosen, codes, "", said._replace(no=(*said.no, next_one))),
            back=_link(chosen, [], ""),
        )
    if chosen.party.abroad and not abroad:
        return render(request, "grant_abroad.html", person=person, receiver=chosen, yes=_link(chosen, codes, "", said._replace(abroad=True)))
    require_recent(person)
    today = today_in(await history.zone_of(hub, resident)).date()
    until, kinds = last_day(term, today), sharing.with_sensitive(sharing.listed(codes), [SENSITIVITIES[code].name for code in said.yes])
    return render(
        request,
        "grant_long.html",
        person=person,
        receiver=chosen,
        codes=codes,
        sensitive=said.yes,
        kinds=kinds,
        told=sharing.terms(chosen.party, chosen.purpose, kinds, dates.full(until)),
        abroad=abroad,
        term=term,
        until=until,
        today=today,
        terms=[(name, words, last_day(name, today), _link(chosen, codes, name, said)) for name, words in TERMS.items()],
        back=_link(chosen, [], ""),
    )


class _Said(NamedTuple):
    """Sensitivities that were agreed to by name, and those that were refused; whether records may leave the country."""

    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    abroad: bool = False


NOTHING_SAID = _Said()


def _link(receiver: Receiver, codes: list[str], term: str, said: _Said = NOTHING_SAID) -> str:
    query = [("to", receiver.key), *(("kind", code) for code in codes), *(("yes", code) for code in said.yes), *(("no", code) for code in said.no)]
    query += [("abroad", "1")] if said.abroad else []
    query += [("term", term)] if term else []
    return f"/resident/grants/new?{urlencode(query)}"


@router.post("/new")
async def save(request: Request) -> Response:
    """Save the grant that was read back. Asks for a recent sign-in, as the screen that read it back did."""
    person, resident = await resident_of(request, "grant")
    require_recent(person)
    hub, fields = hub_of(request), await requests.fields(request)
    chosen = await _receiver(hub, fields.get("to", ""))
    if chosen.party.abroad and fields.get("abroad") != "True":
        raise BadRequest("That the records leave the country was not agreed to.", field="abroad", advice="Begin again.")
    bits = sharing.bits(fields.get("kinds", "").split(","))
    if not bits:
        raise BadRequest("Nothing was chosen to share.", field="kinds")
    today = today_in(await history.zone_of(hub, resident)).date()
    until = _stated_day(fields.get("until", ""), last_day(fields.get("term", "year"), today))
    sensitive = [code for code in fields.get("sensitive", "").split(",") if code]
    if not SENSITIVITIES.keys() >= set(sensitive):
        raise BadRequest("There is no such sensitivity.", field="sensitive")
    if person.acting and set(sensitive) - {MINOR}:
        raise Refused("What is most private only the resident shares.", code="not-your-right")
    made = await store.grant(
        hub, resident, chosen.party, purpose=chosen.purpose, classes=bits, sensitive=sensitive, valid_from=today,
        valid_until=until, actor=history.actor_of(person, resident), performer=history.performer_of(person),
    )
    return see(f"/resident?granted={made}#main")


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
