"""Reports of runs: what was expected of a batch and kept, by how many records. Sealed under the hub's key; no values of a person in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record as Row

from hub.store.database import Connection
from hub.store.keyring import Keyring
from schemas.errors import NotFound


class Expected(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether an expectation was met, and by how many records of how many it was not. Never a value.

    rule: a rule's code, or `mean:COLUMN`, `median:COLUMN`, `share:flagged` against the source's own 30 days before
    """

    kind: str
    rule: str
    dimension: str
    success: bool
    failed: int = 0
    of: int = 0


class Report(msgspec.Struct, frozen=True):
    """Shares by dimension, every expectation, and how many records of each kind there were."""

    shares: dict[str, float]
    results: list[Expected]
    kinds: dict[str, int]


class Kept(msgspec.Struct, frozen=True):
    """A run as its party may read it."""

    id: UUID
    party: int
    scope: str
    started: datetime
    receipts: list[UUID]
    records: int
    score: float | None
    usual: float | None
    degraded: bool
    engine: str
    arrived: int
    refused: int
    waiting: int


def seal_report(keyring: Keyring, run: UUID, report: Report) -> bytes:
    return keyring.hub_sealer("quality_runs").seal(msgspec.msgpack.encode(report), run.bytes)


def _kept(row: Row) -> Kept:
    return Kept(**{name: row[name] for name in Kept.__struct_fields__})


_COLUMNS = ", ".join(Kept.__struct_fields__)


async def read(connection: Connection[Any], keyring: Keyring, party: int, run: UUID) -> tuple[Kept, Report]:
    """A run of a party with its report. Raises NotFound for anyone else's, as for one that never was."""
    row = await connection.fetchrow("SELECT * FROM quality_runs WHERE id = $1 AND party = $2", run, party)
    if row is None:
        raise NotFound("There is no such report.")
    return _kept(row), msgspec.msgpack.decode(keyring.hub_sealer("quality_runs").open(row["body"], run.bytes), type=Report)


async def latest(connection: Connection[Any], party: int, most: int = 60, scope: str | None = None) -> list[Kept]:
    """A party's newest runs, newest first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM quality_runs WHERE party = $1 AND ($3::text IS NULL OR scope = $3) ORDER BY started DESC LIMIT $2",  # noqa: S608
        party, most, scope,
    )  # fmt: skip
    return [_kept(row) for row in rows]


async def standing(connection: Connection[Any]) -> dict[int, Kept]:
    """The newest run of every party."""
    rows = await connection.fetch(f"SELECT DISTINCT ON (party) {_COLUMNS} FROM quality_runs ORDER BY party, started DESC")  # noqa: S608 - constant columns
    return {row["party"]: _kept(row) for row in rows}


async def of_receipt(connection: Connection[Any], party: int, receipt: UUID) -> Kept | None:
    """The run that judged a receipt, once one has."""
    row = await connection.fetchrow(
        f"SELECT {', '.join('q.' + name for name in Kept.__struct_fields__)} FROM receipts r JOIN quality_runs q ON q.id = r.quality "  # noqa: S608
        "WHERE r.id = $1 AND r.party = $2", receipt, party,
    )  # fmt: skip
    return _kept(row) if row else None
