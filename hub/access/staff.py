"""A party's own people: its leads invite colleagues, change what they are and end their accounts. Every change is in the audit of the party.

An invitation is a code of 79 bits, told once and good for a week while its maker is a lead, so that nobody who has to leave keeps a way back; who uses it
chooses a sign-in name and password that no lead knows. An account that was ended stays as a name in the audit. A party keeps at least one lead.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec

from hub.access import accounts
from hub.audit.trail import Entry
from schemas.errors import BadRequest, Conflict, NotFound, Refused

if TYPE_CHECKING:
    from hub.access.sessions import Person
    from hub.service import Hub

GOOD_FOR = timedelta(days=7)
LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Without what is taken for something else: 0 and O, 1, I and L."""
LENGTH = 16
LONGEST_NAME, MOST_WAITING = 40, 50
ACTIONS = ("staff-invite", "staff-withdraw", "staff-join", "staff-change", "staff-end")


class Member(msgspec.Struct, frozen=True):
    """Somebody of a party. `joined` None: invited until `expires`. `passkeys`: how many they can sign in with."""

    id: UUID
    name: str
    role: str
    lead: bool
    joined: datetime | None
    ended: datetime | None = None
    expires: datetime | None = None
    passkeys: int = 0


def roles_of(kind: str) -> tuple[str, ...]:
    """What the people of a party of this kind may be."""
    return ("doctor", "staff") if kind in ("hospital", "community-clinic") else ("staff",)


async def members(hub: Hub, person: Person) -> list[Member]:
    """The people of the lead's own party, those who work there first, then the invited, then who left. Raises Refused for anybody but a lead."""
    _require_lead(person)
    async with hub.database.connection() as connection:
        rows = await connection.fetch(_MEMBERS, person.party)
        waiting = await connection.fetch(f"SELECT * FROM invitations i WHERE party = $1 AND {_GOOD} ORDER BY made", person.party)  # noqa: S608 - constant
    known = [
        Member(row["id"], accounts.opened(hub.keyring, dict(row)).name, row["role"], row["lead"], row["created"], row["ended"], None, row["passkeys"])
        for row in rows
    ]
    invited = [Member(row["id"], _name_of(hub, row), row["role"], row["lead"], None, None, row["expires"]) for row in waiting]
    return [*(one for one in known if not one.ended), *invited, *(one for one in known if one.ended)]


_GOOD = "i.expires > now() AND EXISTS (SELECT FROM accounts a WHERE a.id = i.made_by AND a.party = i.party AND a.lead AND a.ended IS NULL)"
_MEMBERS = """SELECT a.id, a.role, a.name, a.party, a.resident, a.area, a.lead, a.created, a.ended,
(SELECT count(*) FROM passkeys p WHERE p.account = a.id) AS passkeys FROM accounts a WHERE a.party = $1 ORDER BY a.ended DESC NULLS FIRST, a.created"""


async def invite(hub: Hub, person: Person, *, role: str, name: str, lead: bool) -> str:
    """A code for a new colleague. Raises BadRequest, Refused, Conflict while too many are waiting."""
    _require_lead(person)
    plain = " ".join(name.split())
    if not 1 <= len(plain) <= LONGEST_NAME:
        raise BadRequest(f"A name has up to {LONGEST_NAME} letters.", code="staff-name", field="name")
    identity, code = uuid4(), "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        kind = await connection.fetchval("SELECT kind FROM parties WHERE number = $1 FOR UPDATE", person.party)
        if role not in roles_of(kind):
            raise BadRequest(f"People here are {' or '.join(roles_of(kind))}.", field="role")
        await connection.execute(f"DELETE FROM invitations i WHERE party = $1 AND NOT ({_GOOD})", person.party)  # noqa: S608 - constant
        if await connection.fetchval("SELECT count(*) FROM invitations WHERE party = $1", person.party) >= MOST_WAITING:
            raise Conflict("Too many invitations wait.", code="staff-waiting", advice="Take some back first.")
        await connection.execute(
            "INSERT INTO invitations (code, id, party, role, lead, name, expires, made_by) VALUES ($1, $2, $3, $4, $5, $6, now() + $7::interval, $8)",
            _token(hub, code), identity, person.party, role, lead, _sealed(hub, identity, plain), GOOD_FOR, person.account,
        )  # fmt: skip
        await hub.trail.append(connection, [_entry(person, "staff-invite", f"{role}{' lead' if lead else ''}", identity)])
    return code


async def withdraw(hub: Hub, person: Person, identity: UUID) -> None:
    """Take an invitation back. Raises NotFound."""
    _require_lead(person)
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        if await connection.execute("DELETE FROM invitations WHERE id = $1 AND party = $2", identity, person.party) == "DELETE 0":
            raise NotFound("There is no such invitation.")
        await hub.trail.append(connection, [_entry(person, "staff-withdraw", "success", identity)])


async def join(hub: Hub, typed: str, login: str, password: str) -> UUID:
    """The account that a code becomes, once. Raises NotFound for one that is wrong, used or too old, BadRequest, Conflict for a name that is taken."""
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        row = await connection.fetchrow(f"DELETE FROM invitations i WHERE code = $1 AND {_GOOD} RETURNING *", _token(hub, plain_code(typed)))  # noqa: S608
        if row is None:
            raise NotFound("This code is not right, or was used, or is too old.", code="no-such-invitation", advice="Ask your lead for a new one.")
        made = await accounts.add(
            connection, hub.keyring, login=login, name=_name_of(hub, row), role=row["role"], party=row["party"], password=password, lead=row["lead"]
        )
        entry = Entry(actor=f"Account/{made}", action="staff-join", outcome="success", party=row["party"], rule=f"account:{made}")
        await hub.trail.append(connection, [entry])
    return made


async def change(hub: Hub, person: Person, account: UUID, *, lead: bool) -> None:
    """Make a colleague a lead, or one no longer. Raises NotFound for other parties' people too, Conflict for the last lead."""
    async with _of_own(hub, person) as connection:
        await _one(connection, person, account)
        await connection.execute("UPDATE accounts SET lead = $2 WHERE id = $1", account, lead)
        await _keep_a_lead(connection, person)
        await hub.trail.append(connection, [_entry(person, "staff-change", "lead" if lead else "no lead", account)])


async def end(hub: Hub, person: Person, account: UUID) -> None:
    """An account signs nobody in any more, from the next request on. Raises NotFound, Conflict for the last lead."""
    async with _of_own(hub, person) as connection:
        await _one(connection, person, account)
        await connection.execute("UPDATE accounts SET ended = clock_timestamp(), lead = false, password = NULL WHERE id = $1", account)
        await _keep_a_lead(connection, person)
        await connection.execute("DELETE FROM sessions WHERE account = $1", account)
        await connection.execute("DELETE FROM passkeys WHERE account = $1", account)
        await hub.trail.append(connection, [_entry(person, "staff-end", "success", account)])


async def history(hub: Hub, person: Person, most: int = 20) -> list[dict[str, Any]]:
    """Who changed what among the party's people, newest first: at, actor, action, outcome and about whom, by name."""
    _require_lead(person)
    async with hub.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT at, actor, action, outcome, rule FROM audit WHERE party = $1 AND action = ANY($2) ORDER BY at DESC LIMIT $3", person.party, ACTIONS, most
        )
        about = [f"Account/{(row['rule'] or '').removeprefix('account:')}" for row in rows]
        names = await accounts.of_actors(connection, hub.keyring, [*rows, *({"actor": one} for one in about)])
    told = {actor: account.name for actor, account in names.items()}
    return [dict(row) | {"who": told.get(row["actor"], ""), "whom": told.get(one, "")} for row, one in zip(rows, about, strict=True)]


def spoken(code: str) -> list[str]:
    """A code in groups of four."""
    return [code[start : start + 4] for start in range(0, LENGTH, 4)]


def plain_code(typed: str) -> str:
    """A code as it was drawn, out of what was typed."""
    return "".join(letter for letter in typed.upper() if letter in LETTERS)


@asynccontextmanager
async def _of_own(hub: Hub, person: Person) -> AsyncIterator[Any]:
    """A transaction on the people of the lead's party, one at a time. Raises Refused for anybody but a lead."""
    _require_lead(person)
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        await connection.fetchval("SELECT number FROM parties WHERE number = $1 FOR UPDATE", person.party)
        if not await connection.fetchval("SELECT lead FROM accounts WHERE id = $1 AND ended IS NULL", person.account):
            raise _no_lead()  # any more, since the session was looked up
        yield connection


async def _one(connection: Any, person: Person, account: UUID) -> None:
    known = await connection.fetchval("SELECT true FROM accounts WHERE id = $1 AND party = $2 AND ended IS NULL", account, person.party)
    if not known:
        raise NotFound("There is no such colleague.")


async def _keep_a_lead(connection: Any, person: Person) -> None:
    if not await connection.fetchval("SELECT count(*) FROM accounts WHERE party = $1 AND lead AND ended IS NULL", person.party):
        raise Conflict("An organization keeps one lead.", code="last-lead", advice="Make somebody else a lead first.")


def _require_lead(person: Person) -> None:
    if not person.lead or person.party is None:
        raise _no_lead()


def _no_lead() -> Refused:
    return Refused("This page is for who manages the accounts of an organization.", advice="Ask your organization's lead.")


def _entry(person: Person, action: str, outcome: str, about: UUID) -> Entry:
    return Entry(actor=f"Account/{person.account}", action=action, outcome=outcome, party=person.party, rule=f"account:{about}")


def _token(hub: Hub, code: str) -> bytes:
    return hub.keyring.token("invitation", code)


def _sealed(hub: Hub, identity: UUID, name: str) -> bytes:
    return hub.keyring.hub_sealer("invitations").seal(name.encode(), b"name", identity.bytes)


def _name_of(hub: Hub, row: Any) -> str:
    return hub.keyring.hub_sealer("invitations").open(row["name"], b"name", row["id"].bytes).decode()
