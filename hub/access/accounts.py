"""Local accounts of people: residents, staff of a party, doctors, city levels, administrators.

Sign-in names are kept as blind tokens, display names sealed, passwords as argon2id. An unknown name, a wrong password and a
locked account answer alike and cost alike.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from ipaddress import IPv6Network, ip_address
from secrets import token_urlsafe
from typing import Any, Literal, cast, get_args
from uuid import UUID, uuid4

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from asyncpg import UniqueViolationError

from hub.store.database import Connection, Database
from hub.store.keyring import Keyring
from schemas.errors import BadRequest, Conflict, KineHubError, NotFound, TooMany, Unauthenticated
from schemas.resident import area_valid

Role = Literal["resident", "staff", "doctor", "city", "admin"]

SHORTEST, LONGEST = 10, 256
"""Length of a password in characters. There are no composition rules: length is what helps (NIST SP 800-63B)."""

MOST_FAILURES = 10
MOST_OF_SOURCE = 100
"""Wrong passwords from one public address while LOCKED lasts: a carrier's customers share one."""
LOCKED = timedelta(minutes=15)

_BELONGS = {"resident": "resident", "staff": "party", "doctor": "party", "city": "area", "admin": ""}
"""What an account of each role must name."""

# argon2id with 46 MiB, two passes, one lane: above OWASP's minimum (46 MiB, one pass), about 60 ms of one core.
_hasher = PasswordHasher(time_cost=2, memory_cost=47104, parallelism=1)
# Two at a time: a flood of sign-ins takes at most 92 MiB and leaves the event loop free.
_hashing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")


class Account(msgspec.Struct, frozen=True):
    """A person's account."""

    id: UUID
    role: Role
    name: str
    party: int | None
    resident: UUID | None
    area: str | None
    lead: bool = False


_ROW = "id, role, name, party, resident, area, lead"


async def add(connection: Connection[Any], keyring: Keyring, *, login: str, name: str, role: str, party: int | None = None,
              resident: UUID | None = None, area: str | None = None, password: str | None = None, lead: bool = False) -> UUID:  # fmt: skip
    """A new account; without a password it signs in by passkey once one is registered. Raises BadRequest, or Conflict for a name that is taken."""
    _check_role(role, {"party": party, "resident": resident, "area": area})
    if area is not None and not area_valid(area):
        raise BadRequest("An area is a division code of 4, 6, 9 or 12 digits.", field="area")
    if lead and party is None:
        raise BadRequest("A lead manages the accounts of a party, and names it.", field="party")
    if not _normal(login):
        raise BadRequest("A sign-in name is needed.", field="login")
    account = uuid4()
    hashed = await _hashed(password) if password is not None else None
    try:
        await connection.execute(
            "INSERT INTO accounts (id, login, role, party, resident, area, name, password, lead) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            account, _token(keyring, login), role, party, resident, area, _seal(keyring, account, name), hashed, lead,
        )  # fmt: skip
    except UniqueViolationError:
        raise Conflict("This sign-in name is taken.", code="login-taken", field="login") from None
    return account


async def set_password(connection: Connection[Any], account: UUID, password: str) -> None:
    """Change a password, unlock the account and end all its sessions."""
    hashed = await _hashed(password)
    async with connection.transaction():
        await connection.execute("UPDATE accounts SET password = $2, failures = 0, locked_until = NULL WHERE id = $1", account, hashed)
        await connection.execute("DELETE FROM sessions WHERE account = $1", account)


async def account(connection: Connection[Any], keyring: Keyring, id_: UUID) -> Account:
    """Raises NotFound."""
    row = await connection.fetchrow(f"SELECT {_ROW} FROM accounts WHERE id = $1", id_)  # noqa: S608 - constant columns
    if row is None:
        raise NotFound("There is no such account.")
    return opened(keyring, dict(row))


async def of_actors(connection: Connection[Any], keyring: Keyring, entries: Iterable[Any]) -> dict[str, Account]:
    """The accounts behind the `actor` of audit entries (`Account/ID`), as far as they are there and can be read."""
    ids = {id_ for entry in entries if (id_ := _account_of(entry["actor"]))}
    return {f"Account/{id_}": one for id_, one in (await several(connection, keyring, ids)).items()}


def _account_of(actor: str) -> UUID | None:
    try:
        return UUID(actor.removeprefix("Account/")) if actor.startswith("Account/") else None
    except ValueError:
        return None


async def several(connection: Connection[Any], keyring: Keyring, ids: Iterable[UUID]) -> dict[UUID, Account]:
    """Accounts by their ids, as far as they are there and can be read."""
    rows = await connection.fetch(f"SELECT {_ROW} FROM accounts WHERE id = ANY($1)", list(ids))  # noqa: S608 - constant columns
    found: dict[UUID, Account] = {}
    for row in rows:
        with suppress(KineHubError):
            found[row["id"]] = opened(keyring, dict(row))
    return found


async def by_login(connection: Connection[Any], keyring: Keyring, login: str) -> Account:
    """For operators: nobody else learns whether a name is known. Raises NotFound."""
    id_ = await connection.fetchval("SELECT id FROM accounts WHERE login = $1", _token(keyring, login))
    if id_ is None:
        raise NotFound("There is no such account.")
    return await account(connection, keyring, id_)


def opened(keyring: Keyring, row: dict[str, Any]) -> Account:
    """An account from its columns."""
    name = keyring.hub_sealer("accounts").open(row["name"], b"name", row["id"].bytes).decode()
    return Account(id=row["id"], role=row["role"], name=name, party=row["party"], resident=row["resident"], area=row["area"], lead=row["lead"])


async def signed_in(database: Database, keyring: Keyring, login: str, password: str, now: datetime, address: str = "") -> UUID:
    """The account of this name and password. Raises Unauthenticated, in the same words and time whatever was wrong.

    Raises TooMany after too many wrong ones from one public `address`, whatever is tried then.
    """
    source = _source(keyring, address)
    async with database.connection() as connection:
        if source:
            await _count_source(connection, source, now)
        row = await _attempt(connection, _token(keyring, login), now)
    stored = row["password"] if row is not None else None
    if not await _on_thread(_matches, stored or "", password) or row is None:
        raise Unauthenticated("The name or the password is not right.", code="sign-in-failed", advice="Try again, or ask at the service desk.")
    async with database.connection() as connection:
        await connection.execute("UPDATE accounts SET failures = 0, locked_until = NULL WHERE id = $1", row["id"])
        if source:
            await connection.execute("UPDATE sign_in_sources SET wrong = wrong - 1 WHERE source = $1", source)
    return cast(UUID, row["id"])


def _source(keyring: Keyring, address: str) -> bytes | None:
    """The token of a public address; None for one of a network of its own, where everybody may come through the same proxy."""
    try:
        known = ip_address(address)
    except ValueError:
        return None
    if not known.is_global:
        return None
    return keyring.token("sign-in-source", str(IPv6Network((int(known), 64), strict=False)) if known.version == 6 else str(known))


async def _count_source(connection: Connection[Any], source: bytes, now: datetime) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit TO off")
        await connection.execute(_FORGET_SOURCES, now - LOCKED)
        wrong = await connection.fetchval(_COUNT_SOURCE, source, now, now - LOCKED)
    if wrong > MOST_OF_SOURCE:
        raise TooMany("Too many wrong passwords came from here.", code="sign-in-often", advice="Wait a quarter of an hour, or use a passkey.")


_FORGET_SOURCES = """DELETE FROM sign_in_sources WHERE source IN
(SELECT source FROM sign_in_sources WHERE since < $1 ORDER BY since LIMIT 20 FOR UPDATE SKIP LOCKED)"""
_COUNT_SOURCE = """INSERT INTO sign_in_sources AS s (source, wrong, since) VALUES ($1, 1, $2) ON CONFLICT (source) DO UPDATE SET
wrong = CASE WHEN s.since < $3 THEN 1 ELSE s.wrong + 1 END, since = CASE WHEN s.since < $3 THEN $2 ELSE s.since END RETURNING wrong"""


async def _attempt(connection: Connection[Any], token: bytes, now: datetime) -> Any:
    """Count an attempt before its password is looked at, so that parallel guesses all count; None = unknown or locked."""
    async with connection.transaction():
        # Not flushed to disk: otherwise the wait for it would tell known names from unknown ones.
        await connection.execute("SET LOCAL synchronous_commit TO off")
        return await connection.fetchrow(_COUNT, token, now, MOST_FAILURES, now + LOCKED)


_COUNT = """UPDATE accounts SET failures = CASE WHEN locked_until IS NULL THEN failures + 1 ELSE 1 END,
locked_until = CASE WHEN locked_until IS NULL AND failures + 1 >= $3 THEN $4::timestamptz END
WHERE login = $1 AND ended IS NULL AND (locked_until IS NULL OR locked_until <= $2) RETURNING id, password"""


def _check_role(role: str, given: dict[str, object]) -> None:
    if role not in get_args(Role):
        raise BadRequest(f"A role is one of {', '.join(get_args(Role))}.", field="role")
    needed = _BELONGS[role]
    if needed and given[needed] is None:
        raise BadRequest(f"An account of this role names its {needed}.", field=needed)
    if role != "resident" and given["resident"] is not None:
        raise BadRequest("Only a resident's own account names a resident.", field="resident")


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _token(keyring: Keyring, login: str) -> bytes:
    return keyring.token("login", _normal(login))


def _seal(keyring: Keyring, account: UUID, name: str) -> bytes:
    return keyring.hub_sealer("accounts").seal(name.encode(), b"name", account.bytes)


async def _hashed(password: str) -> str:
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadRequest(f"A password has {SHORTEST} to {LONGEST} characters.", code="password-length", field="password")
    return str(await _on_thread(_hasher.hash, unicodedata.normalize("NFKC", password)))


@cache
def _nobodys() -> str:
    return _hasher.hash(token_urlsafe(32))


def _matches(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored or _nobodys(), unicodedata.normalize("NFKC", password[: LONGEST + 1]))
    except (Argon2Error, InvalidHashError):
        return False


async def _on_thread(work: Any, *arguments: str) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_hashing, work, *arguments)
