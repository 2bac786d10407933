"""The front door for people: sign in by password or passkey, sign out, add a passkey. Pages are rendered elsewhere, by name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from hub.access import accounts, passkeys, requests, sessions, staff
from hub.access.devices import device_of
from hub.access.requests import hub_of
from hub.access.sessions import Session
from hub.audit.trail import Entry
from schemas.errors import BadRequest, Conflict, NotFound, Refused, TooMany, Unauthenticated

HOMES = {"resident": "/resident", "staff": "/center", "doctor": "/hospital", "city": "/city", "admin": "/admin"}
"""Where each role begins."""

router = APIRouter(tags=["Sign-in"])

_NO_STORE = {"Cache-Control": "no-store"}
# One slash and then neither a second one nor a backslash: browsers read both as another host.
_LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]{0,2000}")


@router.get("/sign-in")
async def page(request: Request, next: str = "", again: bool = False) -> Response:
    """The sign-in page; who is signed in already goes on, unless it is asked for `again`."""
    current = await sessions.session(request)
    if current is not None and current.person is not None and not again:
        return _see(local(next) or HOMES[current.person.role])
    return await _page(request, current, next, again=again)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Sign in by name and password: fields `login`, `password`, `csrf` and maybe `next`."""
    current, fields = await _guest(request), await requests.fields(request)
    hub, now = hub_of(request), datetime.now(UTC)
    try:
        address = request.client.host if request.client else ""
        account = await accounts.signed_in(hub.database, hub.keyring, fields.get("login", ""), fields.get("password", ""), now, address)
    except (Unauthenticated, TooMany) as refusal:
        await _note(request, None)
        said = request.app.state.pages.said(refusal) if isinstance(refusal, TooMany) else ""
        response = await _page(request, current, fields.get("next", ""), refusal.code, refusal.status, said=said)
        if said:
            response.headers["Retry-After"] = str(int(accounts.LOCKED.total_seconds()))
        return response
    cookie, role = await _entered(request, current, account, now)
    response = _see(local(fields.get("next", "")) or HOMES[role])
    sessions.set_cookie(response, hub.settings, cookie)
    return response


@router.get("/join")
async def join_page(request: Request) -> Response:
    """Where a colleague who was invited enters the code and chooses a name and password."""
    return await _with_session(request, await sessions.session(request), "join.html", login="", error="")


@router.post("/join")
async def join(request: Request) -> Response:
    """Take up an invitation and be signed in: fields `code`, `login`, `password`, `csrf`. Wrong, used and old codes are one answer."""
    current, fields, hub = await _guest(request), await requests.fields(request), hub_of(request)
    login = fields.get("login", "")
    try:
        account = await staff.join(hub, fields.get("code", ""), login, fields.get("password", ""))
    except (BadRequest, Conflict, NotFound) as wrong:
        said = request.app.state.pages.said(wrong)
        return await _with_session(request, current, "join.html", wrong.status, login=login[:80], error=said)
    cookie, role = await _entered(request, current, account, datetime.now(UTC))
    response = _see(HOMES[role])
    sessions.set_cookie(response, hub.settings, cookie)
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session, on the server too, and have the browser forget the pages it kept."""
    current = await sessions.session(request)
    response = _see("/sign-in")
    if current is not None:
        await sessions.require_csrf(request, current)
        async with hub_of(request).database.connection() as connection:
            await sessions.revoke(connection, current.token)
    sessions.clear_cookie(response, hub_of(request).settings)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@router.post("/sign-in/passkey/options")
async def passkey_options(request: Request) -> Response:
    """A challenge for `navigator.credentials.get()`."""
    current, hub = await _guest(request), hub_of(request)
    async with hub.database.connection() as connection:
        return _json(await passkeys.authentication_options(connection, hub.settings, current, datetime.now(UTC)))


@router.post("/sign-in/passkey")
async def passkey(request: Request, next: str = "") -> Response:
    """Sign in by the browser's answer; the JSON says where to go on."""
    current, hub, now = await _guest(request), hub_of(request), datetime.now(UTC)
    answer = passkeys.credential(await requests.body(request))
    try:
        async with hub.database.connection() as connection:
            account = await passkeys.signed_in(connection, hub.settings, current, answer, now)
    except Unauthenticated:
        await _note(request, None)
        raise
    cookie, role = await _entered(request, current, account, now)
    response = JSONResponse({"next": local(next) or HOMES[role]}, headers=_NO_STORE)
    sessions.set_cookie(response, hub.settings, cookie)
    return response


@router.post("/account/passkeys/options")
async def new_passkey_options(request: Request) -> Response:
    """A challenge for `navigator.credentials.create()`. Asks for a recent sign-in: who adds a passkey has the account for good."""
    person, hub = await sessions.require_person(request), hub_of(request)
    sessions.require_recent(person)
    current = cast(Session, await sessions.session(request))
    async with hub.database.connection() as connection:
        return _json(await passkeys.registration_options(connection, hub.settings, current, person, datetime.now(UTC)))


@router.post("/account/passkeys", status_code=201)
async def new_passkey(request: Request) -> Response:
    """Add the passkey that the browser made to the account of who is signed in."""
    person, hub = await sessions.require_person(request), hub_of(request)
    current = cast(Session, await sessions.session(request))
    answer = passkeys.credential(await requests.body(request))
    async with hub.database.connection() as connection:
        await passkeys.register(connection, hub.settings, current, person, answer, datetime.now(UTC), _device(request))
    actor = f"Account/{person.account}"
    await hub.trail.note(Entry(actor=actor, action="passkey-add", outcome="success", party=person.party, resident=person.resident))
    return JSONResponse({}, 201, _NO_STORE)


def local(path: str) -> str:
    """`path` when it leads to a page of ours, else nothing."""
    return path if _LOCAL.fullmatch(path) else ""


async def _guest(request: Request) -> Session:
    """The session that the sign-in page gave, CSRF checked: a form from elsewhere signs nobody in."""
    current = await sessions.session(request)
    if current is None:
        raise Refused("The sign-in page is too old.", code="csrf", advice="Load the page again and repeat the step.")
    await sessions.require_csrf(request, current)
    return current


async def _entered(request: Request, current: Session, account: UUID, now: datetime) -> tuple[str, str]:
    """A new session for the account in place of the guest's: its cookie, and the role."""
    hub = hub_of(request)
    async with hub.database.connection() as connection:
        who = await accounts.account(connection, hub.keyring, account)
        cookie = await sessions.begin(connection, account, now, instead_of=current.token, device=_device(request))
    await _note(request, who)
    return cookie, who.role


def _device(request: Request) -> str:
    return device_of(request.headers.get("user-agent", ""))


async def _note(request: Request, who: accounts.Account | None) -> None:
    """One audit entry for each sign-in, accepted or not, so that both cost the same."""
    entry = Entry(actor="unknown", action="sign-in", outcome="refused")
    if who is not None:
        entry = Entry(actor=f"Account/{who.id}", action="sign-in", outcome="success", party=who.party, resident=who.resident)
    await hub_of(request).trail.note(entry)


async def _page(request: Request, current: Session | None, next_: str, error: str = "", status: int = 200, *, again: bool = False, said: str = "") -> Response:
    return await _with_session(request, current, "sign_in.html", status, next=local(next_), error=error, again=again, said=said)


async def _with_session(request: Request, current: Session | None, template: str, status: int = 200, **context: Any) -> Response:
    """A page with a form for somebody who has not signed in: with a session of nobody's, whose CSRF token the form carries."""
    hub = hub_of(request)
    cookie = None
    if current is None:
        async with hub.database.connection() as connection:
            cookie = await sessions.begin(connection, None, now := datetime.now(UTC))
        current = await sessions.found(hub.database, hub.keyring, cookie, now)
    response = cast(Response, request.app.state.pages.render(request, template, csrf=cast(Session, current).csrf, **context))
    response.status_code = status
    response.headers.update(_NO_STORE)
    if cookie is not None:
        sessions.set_cookie(response, hub.settings, cookie)
    return response


def _see(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303, headers=_NO_STORE)


def _json(body: str) -> Response:
    return Response(body, media_type="application/json", headers=_NO_STORE)
