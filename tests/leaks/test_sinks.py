"""What stays behind when a denied reader has gone through every door: logs, metrics, tables and the audit, and whether each denial is in it."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import pytest

from hub.store.tables import metadata
from tests.leaks.attacks import no_consent
from tests.leaks.exits import EXITS, Ask, unknown
from tests.leaks.town import Case, Leaks, Stage

AUDITED = ("read", "vread", "hist", "search", "count", "every", "portal", "sampled")
"""Ways out at which a refusal is an entry: those that reach the vault with a resident's id."""


async def everything(leaks: Leaks, case: Case, resident: UUID, ids: list[str]) -> None:
    for way in EXITS.values():
        await way(Ask(leaks, leaks.denied, resident, ids, case))


def test_no_log_metric_or_clear_column_holds_what_was_hidden(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    leaks = stage.leaks
    case = stage.run(no_consent(leaks))
    stage.run(everything(leaks, case, case.hidden, case.ids))
    scanner = case.plants.scanner()
    assert not scanner.found(caplog.text.encode())
    assert not scanner.found(stage.run(_metrics(leaks)))
    found = {name: seen for name in metadata.tables if (seen := scanner.found(stage.run(_table(leaks, name))))}
    assert not found


async def _metrics(leaks: Leaks) -> bytes:
    return (await leaks.city.http.get("/metrics")).content


async def _table(leaks: Leaks, name: str) -> bytes:
    rows = await leaks.rows(f"SELECT * FROM {name}")
    return b"\n".join(_written(value) for row in rows for value in row.values())


def _written(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.mark.parametrize("exit_", AUDITED)
def test_each_denial_is_in_the_audit_and_costs_as_much_as_for_nobody(stage: Stage, exit_: str) -> None:
    """A18, R: as many entries for a resident who did not agree as for one of whom nothing is known, none of which names a rule."""
    leaks = stage.leaks
    case = stage.run(no_consent(leaks))
    counts = []
    for resident, ids in ((case.hidden, case.ids), (case.absent, unknown(case.ids, case.absent))):
        before = stage.run(_entries(leaks))
        stage.run(EXITS[exit_](Ask(leaks, leaks.denied, resident, ids, case)))
        after = stage.run(_entries(leaks))
        counts.append(len(after) - len(before))
        assert all(entry["rule"] is None and entry["outcome"] != "shown" for entry in after[len(before) :])
    assert counts[0] == counts[1] > 0


async def _entries(leaks: Leaks) -> list[Any]:
    return await leaks.rows("SELECT * FROM audit WHERE party = $1 ORDER BY chain, seq", leaks.denied.hospital.number)
