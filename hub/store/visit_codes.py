"""One-time codes for a visit: nine digits that a resident says or shows, for one Consent to the hospital of the doctor who enters them.

Only a blind token of a code is kept, for minutes, and it is gone once used. Guesses are counted before a code is looked at, so that parallel ones all
count; a right code takes its own count back and forgives none of the others.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from hub.audit.trail import Entry
from hub.intake.identity import bucket_of_token
from hub.store import grants
from hub.store.database import Connection
from hub.store.keyring import Keyring
from hub.store.parties import Party
from schemas.classes import DataClass
from schemas.errors import BadRequest, NotFound, Refused

if TYPE_CHECKING:
    from hub.service import Hub

DIGITS = 9
LASTS = timedelta(minutes=10)
HOURS = (2, 8, 24)
"""How long what a code gives may last."""
WRONG_BY_ACCOUNT, WRONG_BY_PARTY, WITHIN = 5, 20, timedelta(minutes=15)
PURPOSE = "TREAT"


class VisitCode(msgspec.Struct, frozen=True):
    """A code just made, in the clear for this once."""

    digits: str
    expires: datetime


async def make(hub: Hub, resident: UUID, classes: DataClass, hours: int, *, actor: str = "", representative: UUID | None = None) -> VisitCode:
    """A new code; the resident's earlier one is no longer good. Raises BadRequest. `representative`: who makes it in the resident's name."""
    if not classes or hours not in HOURS:
        raise BadRequest("Nothing was chosen to share, or for another length of time.", field="hours")
    code = VisitCode(drawn(), datetime.now(UTC) + LASTS)
    token = _token(hub.keyring, code.digits)
    async with hub.database.connection() as connection, connection.transaction():
        await connection.execute("DELETE FROM visit_codes WHERE resident = $1 OR expires < now()", resident)
        await connection.execute(
            "INSERT INTO visit_codes (bucket, token, resident, classes, hours, expires, representative) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            bucket_of_token(token), token, resident, int(classes), hours, code.expires, representative,
        )  # fmt: skip
    rule = f"representative/{representative}" if representative else ""
    await hub.trail.note(Entry(actor=actor or f"Patient/{resident}", action="visit-code-make", outcome="success", resident=resident, rule=rule))
    return code


async def cancel(hub: Hub, resident: UUID, *, actor: str = "") -> None:
    """The resident's code is no longer good."""
    async with hub.database.connection() as connection:
        await connection.execute("DELETE FROM visit_codes WHERE resident = $1", resident)
    await hub.trail.note(Entry(actor=actor or f"Patient/{resident}", action="visit-code-cancel", outcome="success", resident=resident))


class Agreeing(msgspec.Struct, frozen=True):
    """Who agrees to what a code gives: the resident, or a representative, as the audit and the Consent name them."""

    actor: str
    performer: str | None = None
    sensitive: tuple[str, ...] = ()


Agreed = Callable[["Hub", UUID, UUID | None], Awaitable[Agreeing | None]]
"""Who agrees for this resident when the code is used; None when its maker may not any more."""


async def use(hub: Hub, typed: str, *, account: UUID, party: Party, agreed: Agreed) -> UUID:
    """Whose code it was, once their Consent for `party` is written.

    Raises NotFound for one that is wrong, used or too old, or whose maker acts no more, in the same words, and Refused after too many of those.
    """
    actor = f"Account/{account}"
    if party.abroad:
        raise Refused("A code does not let records leave the country.", code="abroad", advice="The resident agrees to that on a screen of its own.")
    try:
        row = await _taken(hub, plain(typed), account, party)
        if (by := await agreed(hub, row["resident"], row["representative"])) is None:
            raise _no_such_code()
    except (NotFound, Refused):
        await hub.trail.note(Entry(actor=actor, action="visit-code", outcome="refused", party=party.number, purpose=PURPOSE))
        raise
    resident, now = row["resident"], datetime.now(UTC)
    made = await grants.grant(
        hub, resident, party, purpose=PURPOSE, classes=DataClass(row["classes"]), actor=by.actor, performer=by.performer, sensitive=by.sensitive,
        valid_from=now, valid_until=now + timedelta(hours=row["hours"]),
    )  # fmt: skip
    await hub.trail.note(
        Entry(actor=actor, action="visit-code", outcome="success", resident=resident, party=party.number, purpose=PURPOSE, rule=f"Consent/{made}")
    )
    return UUID(str(resident))


async def _taken(hub: Hub, digits: str, account: UUID, party: Party) -> Any:
    async with hub.database.connection() as connection:
        await count_guess(connection, account, party.number)
        token = _token(hub.keyring, digits)
        row = await connection.fetchrow(
            "DELETE FROM visit_codes WHERE bucket = $1 AND token = $2 AND expires > now() RETURNING resident, classes, hours, representative",
            bucket_of_token(token), token,
        )  # fmt: skip
        if row is None:
            raise _no_such_code()
        await forgive_guess(connection, account)
    return row


def _no_such_code() -> NotFound:
    return NotFound("This code is not right, or was used, or is too old.", code="no-such-code", advice="Ask for a new one.")


_COUNT = """INSERT INTO code_guesses AS g (account, party, wrong, since) VALUES ($1, $2, 1, now()) ON CONFLICT (account) DO UPDATE SET
party = $2, wrong = CASE WHEN g.since < now() - $3::interval THEN 1 ELSE g.wrong + 1 END,
since = CASE WHEN g.since < now() - $3::interval THEN now() ELSE g.since END RETURNING wrong"""


# One account counts to its own limit and no further: it does not shut out its colleagues.
_OF_PARTY = "SELECT sum(least(wrong, $3)) FROM code_guesses WHERE party = $1 AND since >= now() - $2::interval"


async def count_guess(connection: Connection[Any], account: UUID, party: int) -> None:
    """Count a code, or a number, before it is looked at. Raises Refused after too many wrong ones.

    Residents (`party` 0) are no organization: each is counted alone, and nobody's wrong codes shut out the others.
    """
    wrong = await connection.fetchval(_COUNT, account, party, WITHIN)
    of_party = await connection.fetchval(_OF_PARTY, party, WITHIN, WRONG_BY_ACCOUNT + 1)
    if wrong > WRONG_BY_ACCOUNT or (party and of_party > WRONG_BY_PARTY):
        raise Refused("Too many wrong codes.", code="too-many-codes", advice="Wait a quarter of an hour, then ask for a new code.")


async def forgive_guess(connection: Connection[Any], account: UUID) -> None:
    """It was right."""
    await connection.execute("UPDATE code_guesses SET wrong = wrong - 1 WHERE account = $1", account)


def _token(keyring: Keyring, digits: str) -> bytes:
    return keyring.token("visit-code", digits)


def drawn() -> str:
    """The digits of a new code."""
    return "".join(secrets.choice("0123456789") for _ in range(DIGITS))


def plain(text: str) -> str:
    """The digits of what was typed, blanks and wide figures put right; of what a scanner typed, those after `#`."""
    return "".join(str(int(letter)) for letter in text.rpartition("#")[2] if letter.isdecimal())


def spoken(digits: str) -> list[str]:
    """A code in groups of three, as it is said."""
    return [digits[start : start + 3] for start in range(0, DIGITS, 3)]
