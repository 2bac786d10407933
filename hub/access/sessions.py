"""Server-side sessions of people: a random cookie, of which the table holds the SHA-256.

A session ends after half an hour without a request, after twelve hours in any case, and at once when it is revoked. Signing in
makes a new one. Unsafe methods need the session's CSRF token and must not come from another origin. The token is another one for
each person that the session acts for: a form that was loaded for one of them does nothing to another.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from fastapi import Request, Response

from hub.access import accounts, requests
from hub.access.accounts import Role
from hub.access.requests import hub_of
from hub.store.database import Connection, Database
from hub.store.keyring import Keyring
from schemas.errors import BadRequest, Conflict, Refused, Unauthenticated

if TYPE_CHECKING:
    from hub.settings import Settings

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
CHALLENGE = timedelta(minutes=5)
RECENT = timedelta(minutes=10)
"""How long after signing in one may do what asks for it."""
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# So that reading a page does not write a row each time; the idle limit is off by no more than this.
_SEEN_EVERY = timedelta(minutes=1)


class Person(msgspec.Struct, frozen=True):
    """A person who is signed in. `signed_in_at` is for acts that ask for a recent sign-in."""

    account: UUID
    role: Role
    name: str
    party: int | None
    resident: UUID | None
    area: str | None
    csrf: str
    signed_in_at: datetime
    emergency_until: datetime | None = None
    """When the emergency access ends that this doctor has open: every page says so."""
    acting: UUID | None = None
    """As which representative: chosen for the session, and judged anew on each request (`hub/access/representatives.py`)."""
    acts_for: str = ""
    rights: frozenset[str] = frozenset()
    """What they may do for whom they act for, now."""
    after_death: bool = False
    """They act for somebody who is deceased."""
    lead: bool = False
    """Whether they manage the accounts of their party."""
    session: bytes = b""
    """The session's key in its table."""


def may(person: Person | None, right: str) -> bool:
    """Whether somebody may take a step: all of them for oneself, for another those they have the right to; `self` is nobody's but one's own."""
    return person is None or person.acting is None or right in person.rights


class Session(msgspec.Struct, frozen=True):
    """A live session; `person` is None before sign-in."""

    token: bytes
    csrf: str
    person: Person | None


async def session(request: Request) -> Session | None:
    """The live session of this request, if it has one."""
    hub = hub_of(request)
    cookie = request.cookies.get(cookie_name(hub.settings))
    return await found(hub.database, hub.keyring, cookie, datetime.now(UTC)) if cookie else None


async def require_person(request: Request, *roles: str, csrf: str | None = None) -> Person:
    """The person who asks, of one of `roles` (any when none is named); checks CSRF on unsafe methods.

    csrf: the token, where the caller read it from a multipart body itself; otherwise the header or the form field `csrf` counts.
    Raises Unauthenticated or Refused.
    """
    current = await session(request)
    if current is None or current.person is None:
        raise Unauthenticated("Nobody is signed in here.", advice="Sign in at /sign-in.")
    await require_csrf(request, current, csrf)
    if roles and current.person.role not in roles:
        raise Refused("This page is for another role.", advice="Sign in with the account for it.")
    return current.person


def require_recent(person: Person) -> None:
    """For what a borrowed browser must not do: showing more, downloads, who may act. Raises Unauthenticated when the sign-in was over ten minutes ago.

    What shows less (stopping, pausing, ending) never asks for it: taking back is not harder than giving.
    """
    if datetime.now(UTC) - person.signed_in_at > RECENT:
        raise Unauthenticated("Sign in once more for this step.", code="sign-in-again", advice="It is asked for when the last sign-in is a while ago.")


async def require_csrf(request: Request, current: Session, given: str | None = None) -> None:
    """Raises Refused for an unsafe method without the session's CSRF token, or from another origin."""
    if request.method in _SAFE:
        return
    if not _same_origin(request) or not hmac.compare_digest((given or await _given(request)).encode(), current.csrf.encode()):
        raise Refused("The page this came from is too old, or not ours.", code="csrf", advice="Load the page again and repeat the step.")


ONCE_FIELD = "once"
_WAIT_S, _LOOKS = 0.05, 100


async def claim(request: Request) -> tuple[bytes, str] | None:
    """The form being sent, when it is one that is carried out once and this is its first time; None for any other request.

    Raises Done for one that was sent before: with where it led, after a wait when that is being found out.
    """
    once = (await requests.fields(request)).get(ONCE_FIELD, "") if request.method == "POST" and requests.is_form(request) else ""
    cookie = request.cookies.get(cookie_name(hub_of(request).settings))
    if not once or not cookie:
        return None
    if len(once) > len(new_once()):
        raise BadRequest("The form cannot be read.", code="invalid_request")
    form, answer = (digest(cookie), once), None
    for _ in range(_LOOKS):
        async with hub_of(request).database.connection() as connection:
            if await connection.fetchval("SELECT count(*) FROM sessions WHERE token = $1", form[0]) == 0:
                return None
            if await connection.fetchval("INSERT INTO forms (session, once) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true", *form):
                return form
            answer = await connection.fetchval("SELECT answer FROM forms WHERE session = $1 AND once = $2", *form)
        if answer is not None:
            break
        await asyncio.sleep(_WAIT_S)
    raise Done(answer or "")


async def settle(request: Request, form: tuple[bytes, str], response: Response | None) -> None:
    """Keep where a form led; one that was refused may be sent again."""
    async with hub_of(request).database.connection() as connection:
        if response is None or response.status_code >= 400:
            await connection.execute("DELETE FROM forms WHERE session = $1 AND once = $2", *form)
        else:
            await connection.execute("UPDATE forms SET answer = $3 WHERE session = $1 AND once = $2", *form, response.headers.get("location", ""))


def new_once() -> str:
    """What tells a form from every other."""
    return secrets.token_urlsafe(16)


class Done(Conflict):
    """A form was sent before. `led`: where to, empty where that was a page of its own."""

    def __init__(self, led: str) -> None:
        super().__init__("This form was sent before; nothing was done again.", code="form-done", advice="Load the page again for the next step.")
        self.led = led


async def found(database: Database, keyring: Keyring, cookie: str, now: datetime) -> Session | None:
    """The session of a cookie, live at `now`."""
    async with database.connection() as connection:
        row = await connection.fetchrow(_FIND, digest(cookie), now, now - IDLE)
        if row is not None and now - row["seen"] > _SEEN_EVERY:
            await connection.execute("UPDATE sessions SET seen = $2 WHERE token = $1 AND seen < $2", row["token"], now)
    return _session(keyring, dict(row)) if row is not None else None


_FIND = """SELECT s.token, s.csrf, s.account, s.created, s.seen, s.acting, a.id, a.role, a.name, a.party, a.resident, a.area, a.lead,
  (SELECT max(e.expires) FROM emergencies e
  WHERE e.account = s.account AND e.ended IS NULL AND e.expires > clock_timestamp()) AS emergency_until
FROM sessions s LEFT JOIN accounts a ON a.id = s.account AND a.ended IS NULL
WHERE s.token = $1 AND s.expires > $2 AND s.seen > $3"""


def _session(keyring: Keyring, row: dict[str, Any]) -> Session | None:
    csrf = row["csrf"] if row["acting"] is None else hmac.new(row["csrf"].encode(), row["acting"].bytes, "sha256").hexdigest()
    if row["account"] is None:
        return Session(row["token"], csrf, None)
    if row["id"] is None:  # the account was removed
        return None
    known = accounts.opened(keyring, row)
    person = Person(
        known.id, known.role, known.name, known.party, known.resident, known.area, csrf, row["created"], row["emergency_until"], row["acting"],
        lead=known.lead, session=row["token"],
    )
    return Session(row["token"], csrf, person)


async def begin(connection: Connection[Any], account: UUID | None, now: datetime, instead_of: bytes | None = None, device: str = "") -> str:
    """A new session in place of an old one; returns its cookie. `account` is None before sign-in.

    Whoever confirms that it is them goes on acting for whom they acted: otherwise the next step would be one about themselves.
    """
    cookie = secrets.token_urlsafe(32)
    async with connection.transaction():
        old = await connection.fetchrow("DELETE FROM sessions WHERE token = $1 RETURNING account, acting", instead_of) if instead_of else None
        acting = old["acting"] if old and old["account"] == account else None
        await connection.execute(
            "INSERT INTO sessions (token, account, csrf, created, seen, expires, acting, device) VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
            digest(cookie), account, secrets.token_urlsafe(32), now, now + (ABSOLUTE if account else IDLE), acting, device,
        )  # fmt: skip
        await _sweep(connection, now)
    return cookie


async def revoke(connection: Connection[Any], token: bytes) -> None:
    """End one session."""
    await connection.execute("DELETE FROM sessions WHERE token = $1", token)


class Open(msgspec.Struct, frozen=True):
    """A session of an account for its list. `key` names it and opens nothing; `this`: the one that asks."""

    key: str
    created: datetime
    seen: datetime
    this: bool
    device: str = ""


async def open_of(connection: Connection[Any], person: Person, now: datetime) -> list[Open]:
    """Where an account is signed in, the newest first."""
    rows = await connection.fetch(
        "SELECT token, created, seen, device FROM sessions WHERE account = $1 AND expires > $2 AND seen > $3 ORDER BY created DESC",
        person.account, now, now - IDLE,
    )  # fmt: skip
    return [Open(key_of(row["token"]), row["created"], row["seen"], row["token"] == person.session, row["device"]) for row in rows]


async def end(connection: Connection[Any], person: Person, key: str | None) -> None:
    """End the session of this key; None: all but the one that asks."""
    rows = await connection.fetch("SELECT token FROM sessions WHERE account = $1", person.account)
    for row in rows:
        if key == key_of(row["token"]) or (key is None and row["token"] != person.session):
            await revoke(connection, row["token"])


def key_of(secret: bytes) -> str:
    """A name for a row that tells nothing of what it holds."""
    return hashlib.sha256(b"named:" + secret).hexdigest()[:16]


async def revoke_all(connection: Connection[Any], account: UUID) -> None:
    """End every session of an account, on every worker, from the next request on."""
    await connection.execute("DELETE FROM sessions WHERE account = $1", account)


async def challenge(connection: Connection[Any], token: bytes, purpose: str, now: datetime) -> bytes:
    """A fresh WebAuthn challenge kept with the session for five minutes; it replaces the one before."""
    fresh = secrets.token_bytes(32)
    until = int((now + CHALLENGE).timestamp()).to_bytes(8, "big")
    await connection.execute("UPDATE sessions SET challenge = $2 WHERE token = $1", token, until + fresh + purpose.encode())
    return fresh


async def spend_challenge(connection: Connection[Any], token: bytes, purpose: str, now: datetime) -> bytes:
    """The session's challenge, which no one gets again. Raises Unauthenticated when there is none for this purpose, or it is old."""
    kept = await connection.fetchval(
        "UPDATE sessions s SET challenge = NULL FROM (SELECT token, challenge FROM sessions WHERE token = $1 FOR UPDATE) old "
        "WHERE s.token = old.token RETURNING old.challenge",
        token,
    )
    if kept is None or kept[40:] != purpose.encode() or int.from_bytes(kept[:8], "big") < now.timestamp():
        raise Unauthenticated("The step took too long, or was done before.", advice="Begin again.")
    return cast(bytes, kept[8:40])


def digest(cookie: str) -> bytes:
    """A cookie as the table holds it."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()


def cookie_name(settings: Settings) -> str:
    """`__Host-` cookies do not come back over plain http in most clients."""
    return "__Host-kinehub_session" if _secure(settings) else "kinehub_session"


def set_cookie(response: Response, settings: Settings, cookie: str) -> None:
    """Hand a session's cookie to the browser, until it is closed."""
    response.set_cookie(cookie_name(settings), cookie, path="/", secure=_secure(settings), httponly=True, samesite="lax")


def clear_cookie(response: Response, settings: Settings) -> None:
    """Take the cookie back."""
    response.delete_cookie(cookie_name(settings), path="/", secure=_secure(settings), httponly=True, samesite="lax")


def _secure(settings: Settings) -> bool:
    return settings.base_url.startswith("https://")


async def _given(request: Request) -> str:
    header = request.headers.get(CSRF_HEADER)
    if header is not None or not requests.is_form(request):
        return header or ""
    return (await requests.fields(request)).get(CSRF_FIELD, "")


def _same_origin(request: Request) -> bool:
    """Whether what the browser says of where the request came from, if it says anything, is ourselves."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    base = urlsplit(hub_of(request).settings.base_url)
    return origin in (f"{base.scheme}://{base.netloc}", f"{base.scheme}://{request.headers.get('host', '')}")


async def _sweep(connection: Connection[Any], now: datetime) -> None:
    ended = "SELECT token FROM sessions WHERE expires < $1 OR seen < $2 LIMIT 20 FOR UPDATE SKIP LOCKED"
    await connection.execute(f"DELETE FROM sessions WHERE token IN ({ended})", now, now - IDLE)  # noqa: S608 - constant
    old = "SELECT session, once FROM forms WHERE sent < $1 ORDER BY sent LIMIT 20 FOR UPDATE SKIP LOCKED"
    await connection.execute(f"DELETE FROM forms WHERE (session, once) IN ({old})", now - ABSOLUTE)  # noqa: S608 - constant
