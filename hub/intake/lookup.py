"""What the store knows before an upload is drafted: the receipt of the same request, whose rows these are, and their zones.

Asked for the uploads of many requests at once, in three statements, so that a single upload does not pay for them alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from hub.intake.identity import Hint, Holders, holders
from hub.store.database import Connection, Database
from hub.store.ids import bucket_of

MOST_HINTS = 2000
"""Identifiers that one round of statements asks for; a larger upload goes alone."""


class Question(msgspec.Struct):
    """What one upload needs to know, and then the answer.

    file, key: blind tokens of the whole request and of its Idempotency-Key
    named:     the resident or the identifier that the request names
    hints:     identifiers of each row
    """

    party: int
    file: bytes
    key: bytes | None
    resident: UUID | None
    named: list[Hint]
    hints: list[list[Hint]]
    first: UUID | None = None
    other: bool = False
    """The Idempotency-Key was used for another request."""
    holders: Holders = {}
    zones: dict[UUID, str | None] = {}
    """Of every resident found; a resident that is not here does not exist."""


async def answer(database: Database, questions: Sequence[Question]) -> None:
    """Fill in the answers of several questions."""
    async with database.connection() as connection:
        await _receipts(connection, questions)
        wanted = {hint.token for question in questions for row in (question.named, *question.hints) for hint in row}
        found = await holders(connection, wanted)
        named = {question.resident for question in questions if question.resident}
        zones = await _zones(connection, named.union(*found.values()))
    for question in questions:
        question.holders, question.zones = found, zones


def weight(question: Question) -> int:
    return 1 + len(question.hints)


_SAME = """SELECT w.place, r.id, r.fingerprint FROM unnest($1::int[], $2::bytea[]) WITH ORDINALITY AS w(party, token, place)
JOIN receipts r ON r.{} = w.token AND r.party + 0 = w.party"""
_RECEIPTS = f"{_SAME.format('file')} UNION ALL {_SAME.format('idempotency').replace('$2', '$3')}"
"""Each half walks its own unique index; one look-up for `file OR idempotency` read every receipt of the party. A key's receipt comes last and decides.
`+ 0` keeps the planner off the index by party and time, which also reads every receipt of the party: 1,700 single uploads a second became 860 by it."""


async def _receipts(connection: Connection[Any], questions: Sequence[Question]) -> None:
    rows = await connection.fetch(
        _RECEIPTS, [question.party for question in questions], [question.file for question in questions], [question.key for question in questions]
    )
    for row in rows:
        question = questions[row["place"] - 1]
        question.first, question.other = row["id"], row["fingerprint"] != question.file


async def _zones(connection: Connection[Any], residents: set[UUID]) -> dict[UUID, str | None]:
    if not residents:
        return {}
    rows = await connection.fetch(
        "SELECT r.id, r.zone FROM residents r JOIN unnest($1::smallint[], $2::uuid[]) AS w(bucket, id) ON r.bucket = w.bucket AND r.id = w.id",
        [bucket_of(resident) for resident in residents], list(residents),
    )  # fmt: skip
    return {row["id"]: row["zone"] for row in rows}
