"""Alerts that a source got worse or fell silent: owed to webhooks in the run's transaction, signed, sent by the delivery worker until they are taken.

They say which source, when, and both scores; nothing of a resident. Signed as `hub/delivery/webhooks.py` says.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx

from hub.delivery import address, webhooks
from hub.delivery.resting import Resting
from hub.service import Hub
from hub.store.database import Connection
from schemas.errors import NotFound

_NEXT = """SELECT a.id, a.attempts, a.hook, h.url, q.id AS run, q.scope, q.started, q.score, q.usual, p.id AS party FROM quality_alerts a
JOIN quality_hooks h ON h.id = a.hook JOIN quality_runs q ON q.id = a.run JOIN parties p ON p.number = q.party
WHERE a.status = 'owed' AND a.next_at <= now() AND h.id <> ALL($1::uuid[]) ORDER BY a.id LIMIT 1 FOR UPDATE OF a SKIP LOCKED"""


async def register(connection: Connection[Any], url: str, party: int | None) -> UUID:
    """Tell `url` when a source gets worse, one party or any. Raises BadRequest for what is no address."""
    return await connection.fetchval(  # type: ignore[no-any-return]  # asyncpg is untyped
        "INSERT INTO quality_hooks (id, party, url) VALUES ($1, $2, $3) RETURNING id", uuid4(), party, address.checked(url)
    )  # fmt: skip


async def remove(connection: Connection[Any], hook: UUID) -> None:
    """Tell it nothing more. Raises NotFound."""
    async with connection.transaction():
        await connection.execute("DELETE FROM quality_alerts WHERE hook = $1 AND status = 'owed'", hook)
        if not await connection.fetchval("DELETE FROM quality_hooks WHERE id = $1 RETURNING id", hook):
            raise NotFound("There is no such webhook.")


async def hooks(connection: Connection[Any]) -> list[dict[str, Any]]:
    """Every webhook with what it is owed."""
    rows = await connection.fetch(
        "SELECT h.id, p.id AS party, h.url, count(a.id) FILTER (WHERE a.status = 'owed') AS owed, count(a.id) FILTER (WHERE a.status = 'dead') AS dead "
        "FROM quality_hooks h LEFT JOIN parties p ON p.number = h.party LEFT JOIN quality_alerts a ON a.hook = h.id GROUP BY h.id, p.id ORDER BY h.created"
    )
    return [dict(row) for row in rows]


async def owe(connection: Connection[Any], run: UUID, party: int) -> None:
    """Owe an alert to every webhook of this source and of the hub, in the run's own transaction."""
    await connection.execute("INSERT INTO quality_alerts (hook, run) SELECT id, $1 FROM quality_hooks WHERE party IS NULL OR party = $2", run, party)


async def send_one(hub: Hub, http: httpx.AsyncClient, resting: Resting) -> bool:
    """Take and settle one owed alert. False when nothing is due."""
    async with hub.database.connection() as connection, connection.transaction():
        row = await connection.fetchrow(_NEXT, resting.now())
        if row is None:
            return False
        attempts = row["attempts"] + 1
        status, reason = await webhooks.post(hub, http, row["url"], _message(hub, row), f"{row['run']}", attempts)
        resting.end(row["hook"], reason)
        await connection.execute(
            "UPDATE quality_alerts SET status = $2, attempts = $3, reason = $4, next_at = now() + make_interval(secs => $5) WHERE id = $1",
            row["id"], status, attempts, reason, webhooks.wait_s(attempts),
        )  # fmt: skip
    return True


def _message(hub: Hub, row: Any) -> dict[str, Any]:
    return {
        "event": "source-silent" if row["scope"] == "silence" else "quality-degraded",
        "source": f"Organization/{row['party']}", "scope": row["scope"], "at": row["started"], "score": row["score"],
        "usual": row["usual"], "report": f"{hub.settings.base_url}/center/quality/{row['run']}",
    }  # fmt: skip
