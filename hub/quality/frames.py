"""Records as tables of figures, one a kind: what the expectations look at. No names, no identifiers; a row is known by its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from hub.store.database import Connection
from hub.store.ids import bucket_of
from hub.store.vault import KIND_NUMBERS, Measured
from schemas.flags import ROUTINE
from schemas.quality import INTAKE, Rule, breaks, concerns, rules_of

FLAGGED = "flagged"
NEW_START_DAYS = 30
"""A person who comes back after this many days starts anew: no gap."""


class Frame(msgspec.Struct, frozen=True):
    """The figures of a kind's records, and the rules that concern them."""

    kind: str
    rows: list[dict[str, float]]
    rules: list[Rule]

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys([*(name for rule in self.rules for name in rule.columns), *(name for row in self.rows for name in row)]))


def frames(measured: Sequence[Measured], more: dict[UUID, dict[str, float]]) -> dict[str, Frame]:
    """A frame a kind. `more` are figures that only a look at neighbouring records gives (`neighbours`)."""
    rows: dict[str, list[dict[str, float]]] = {}
    for one in measured:
        rows.setdefault(one.kind, []).append(figures(one, more))
    return {kind: Frame(kind, found, _concerning(kind, found)) for kind, found in rows.items()}


def intake(arrived: int, refused: int, waiting: int) -> dict[str, Frame]:
    """The rows of receipts as a frame of their own: receipts count them, nobody is in it."""
    rows = [{"refused": 1.0, "waiting": 0.0}] * refused + [{"refused": 0.0, "waiting": 1.0}] * waiting
    rows += [{"refused": 0.0, "waiting": 0.0}] * (arrived - len(rows))
    return {INTAKE: Frame(INTAKE, rows, list(rules_of(INTAKE)))} if rows else {}


def figures(one: Measured, more: dict[UUID, dict[str, float]]) -> dict[str, float]:
    """All figures of a record, and whether it carries a flag that counts and says more than how a value came about."""
    found = one.figures | more.get(one.id, {})
    doubtful = any(code not in ROUTINE for code, _ in one.flags) or any(rule.is_scored for rule in broken(one, found))
    return found | {FLAGGED: float(doubtful)}


def _concerning(kind: str, rows: Sequence[dict[str, float]]) -> list[Rule]:
    """Rules about figures that at least one record states; what must be there concerns every batch."""
    stated = {name for row in rows for name in row}
    return [rule for rule in rules_of(kind) if rule.form == "present" or (stated.issuperset(rule.columns) and any(concerns(rule, row) for row in rows))]


def judged(rule: Rule, rows: Iterable[dict[str, float]]) -> tuple[int, int]:
    """How many records break a rule, of how many that it says something about."""
    of = [row for row in rows if rule.form == "present" or (all(name in row for name in rule.columns) and concerns(rule, row))]
    return sum(breaks(rule, row) for row in of), len(of)


def broken(one: Measured, row: dict[str, float]) -> list[Rule]:
    """The rules about single records that one breaks."""
    return [rule for rule in rules_of(one.kind) if rule.flag and breaks(rule, row)]


_TWINS = """SELECT d.id, count(o.id) AS n FROM records d JOIN unnest($1::smallint[], $2::uuid[]) AS w(bucket, id) ON d.bucket = w.bucket AND d.id = w.id
JOIN records o ON o.bucket = d.bucket AND o.resident = d.resident AND o.kind = d.kind AND o.party = d.party AND o.id <> d.id AND NOT o.deleted
  AND o.starts BETWEEN d.starts - interval '59 seconds' AND d.starts + interval '59 seconds'
WHERE d.kind <> $3 GROUP BY d.id"""

_EARLIER = """SELECT d.id, extract(epoch FROM d.starts - max(o.starts))::float8 / 86400 AS days FROM records d
JOIN unnest($1::smallint[], $2::uuid[]) AS w(bucket, id) ON d.bucket = w.bucket AND d.id = w.id
JOIN records o ON o.bucket = d.bucket AND o.resident = d.resident AND o.kind = d.kind AND o.party = d.party AND o.starts < d.starts AND NOT o.deleted
WHERE d.kind = $3 GROUP BY d.id, d.starts"""


async def neighbours(connection: Connection[Any], measured: Sequence[Measured]) -> dict[UUID, dict[str, float]]:
    """Records of the same source and person at the same moment (`twins`), and days missed since the one before (`gap_days`)."""
    ids = [one.id for one in measured]
    places = [bucket_of(one) for one in ids], ids
    twins = {row["id"]: float(row["n"]) for row in await connection.fetch(_TWINS, *places, KIND_NUMBERS["vital"])}
    earlier = {row["id"]: row["days"] for row in await connection.fetch(_EARLIER, *places, KIND_NUMBERS["day-summary"])}
    readings = Counter(_reading(one) for one in measured if one.kind == "vital")
    return {one.id: _beside(one, twins, earlier, readings) for one in measured}


def _reading(one: Measured) -> tuple[object, ...]:
    """Vital signs are told apart by what they measure, which only their content says: those of one run alone are compared."""
    return one.resident, one.starts.replace(second=0, microsecond=0), frozenset(one.figures), one.figures.get("ordinal")


def _beside(one: Measured, twins: dict[UUID, float], earlier: dict[UUID, float], readings: Counter[tuple[object, ...]]) -> dict[str, float]:
    found = {"twins": readings[_reading(one)] - 1.0 if one.kind == "vital" else twins.get(one.id, 0.0)}
    days = earlier.get(one.id)
    return found | ({"gap_days": round(days) - 1.0} if days is not None and days <= NEW_START_DAYS else {})
