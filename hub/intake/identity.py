"""Whose row is it: blind tokens of identifiers to residents. Never a guess: unknown or ambiguous means the row waits, and so does an ID number
that nobody has beside another number of somebody who has another ID number: a centre gave a member number to the next person.

A token is made under the global key of its identifier system after normalising the value (upper-case X, digits of a phone
number, NFKC, no blanks). Systems that give one value to one person are `sole`; name with phone is not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from hub.store.database import Connection
from hub.store.keyring import Keyring
from schemas.records import Who
from schemas.resident import id_number_valid

_NOT_DIGIT = re.compile(r"\D")


class Match(msgspec.Struct, frozen=True):
    """The resident, or why there is none: `unknown`, `ambiguous`, `identifiers-disagree`, `no-identifier`.

    likely: whose other numbers a row states beside an ID number that nobody has; it is theirs where they are known without one
    """

    resident: UUID | None
    reason: str = ""
    likely: UUID | None = None


class Hint(msgspec.Struct, frozen=True):
    """One identifier in a row, as a token; `sole` systems decide, the others only when nothing better is there.

    lifelong: it is never given to another person, as member numbers are
    """

    token: bytes
    sole: bool
    lifelong: bool = False


def bucket_of_token(token: bytes) -> int:
    """The 12-bit bucket that an identifier row is kept in."""
    return int.from_bytes(token[:2], "big") >> 4


def plain(value: str) -> str:
    """NFKC, upper case, without blanks: how every identifier is compared."""
    return "".join(unicodedata.normalize("NFKC", value).upper().split())


def phone_digits(value: str) -> str:
    """The digits of a phone number without the Chinese country code."""
    digits = _NOT_DIGIT.sub("", unicodedata.normalize("NFKC", value))
    return digits[2:] if len(digits) == 13 and digits.startswith("86") else digits


def token(keyring: Keyring, system: str, value: str) -> bytes:
    """The blind token of one identifier: `id-number`, `health-card`, `member:<party id>`, `name-phone`."""
    return keyring.token(system, value if system == "name-phone" else plain(value))


def name_phone(name: str, phone: str) -> str:
    return f"{plain(name)}|{phone_digits(phone)}"


def hints(keyring: Keyring, who: Who, party: str) -> Iterator[Hint]:
    """Tokens for what a row says of its person, strongest first. An ID number that fails its check digit says nothing."""
    if who.id_number and id_number_valid(plain(who.id_number)):
        yield Hint(token(keyring, "id-number", who.id_number), True, lifelong=True)
    if who.health_card:
        yield Hint(token(keyring, "health-card", who.health_card), True)
    if who.member_number:
        yield Hint(token(keyring, f"member:{party}", who.member_number), True)
    if who.source_id:
        yield Hint(token(keyring, f"member:{party}", who.source_id), True)
    if who.name and who.phone:
        yield Hint(token(keyring, "name-phone", name_phone(who.name, who.phone)), False)


Holders = dict[bytes, set[UUID]]
"""Residents by the token of an identifier they hold."""


async def match(connection: Connection[Any], keyring: Keyring, people: Sequence[Who], party: str) -> list[Match]:
    """Each row's resident, in one round trip."""
    wanted = [list(hints(keyring, who, party)) for who in people]
    found = await holders(connection, {hint.token for row in wanted for hint in row})
    return [judged(row, found) for row in wanted]


async def holders(connection: Connection[Any], tokens: set[bytes]) -> Holders:
    """Who holds these identifiers."""
    if not tokens:
        return {}
    rows = await connection.fetch(
        "SELECT i.token, i.resident FROM identifiers i JOIN unnest($1::smallint[], $2::bytea[]) AS w(bucket, token) "
        "ON i.bucket = w.bucket AND i.token = w.token",
        [bucket_of_token(value) for value in tokens], list(tokens),
    )  # fmt: skip
    found: Holders = {}
    for row in rows:
        found.setdefault(row["token"], set()).add(row["resident"])
    return found


def judged(row: list[Hint], found: Holders) -> Match:
    """Whose row it is, from what its hints found."""
    if not row:
        return Match(None, "no-identifier")
    certain = set().union(*(found.get(hint.token, set()) for hint in row if hint.sole))
    stranger = bool(certain) and any(hint.lifelong and hint.token not in found for hint in row)
    if len(certain) == 1 and not stranger:
        return Match(next(iter(certain)))
    if certain:
        return Match(None, "identifiers-disagree", next(iter(certain)) if len(certain) == 1 else None)
    likely = set().union(*(found.get(hint.token, set()) for hint in row if not hint.sole))
    if len(likely) == 1 and not any(hint.sole for hint in row):
        return Match(next(iter(likely)))
    return Match(None, "ambiguous" if len(likely) > 1 else "unknown")
