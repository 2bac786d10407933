"""Consent-change notices: a receiver that a Consent names is told, signed, that it was given, changed or withdrawn, until it confirms.

Owed in the transaction that changed the Consent (`hub/store/writer.py`), sent by the delivery worker: at least once, in order per Consent.
They hold ids and the kind of change, nothing of what was recorded or permitted; signed as `hub/delivery/webhooks.py` says. Withdrawal never
waits for them: it holds on the next request.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import msgspec

from hub.audit.trail import Entry
from hub.delivery import webhooks
from hub.delivery.resting import Resting
from hub.service import Hub
from hub.store.database import Connection
from hub.store.ids import bucket_of

_NEXT = """SELECT n.*, p.id AS party, p.notify_to FROM consent_notices n JOIN parties p ON p.number = n.receiver AND p.notify_to IS NOT NULL
WHERE n.status = 'owed' AND n.next_at <= now() AND n.receiver <> ALL($1::int[]) AND NOT EXISTS (
  SELECT FROM consent_notices earlier WHERE earlier.bucket = n.bucket AND earlier.consent = n.consent AND earlier.receiver = n.receiver
  AND earlier.status = 'owed' AND earlier.version < n.version)
ORDER BY n.id LIMIT 1 FOR UPDATE OF n SKIP LOCKED"""


class Notice(msgspec.Struct, frozen=True):
    """One notice as the resident sees it: `confirmed_at` is None while the receiver has not confirmed; dead: it will not be tried again."""

    consent: UUID
    receiver: int
    change: str
    told_at: datetime
    confirmed_at: datetime | None
    dead: bool


async def of_resident(connection: Connection[Any], resident: UUID) -> list[Notice]:
    """The newest notice of each Consent and receiver."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (consent, receiver) consent, receiver, change, created AS told_at, status, done FROM consent_notices "
        "WHERE bucket = $1 AND resident = $2 ORDER BY consent, receiver, version DESC",
        bucket_of(resident), resident,
    )  # fmt: skip
    return [_notice(row) for row in rows]


def _notice(row: Any) -> Notice:
    confirmed = row["done"] if row["status"] == "acknowledged" else None
    return Notice(row["consent"], row["receiver"], row["change"], row["told_at"], confirmed, row["status"] == "dead")


async def send_one(hub: Hub, http: httpx.AsyncClient, resting: Resting) -> bool:
    """Take and settle one owed notice. False when nothing is due."""
    async with hub.database.connection() as connection, connection.transaction():
        row = await connection.fetchrow(_NEXT, resting.now())
        if row is None:
            return False
        attempts = row["attempts"] + 1
        status, reason = await webhooks.post(hub, http, row["notify_to"], _message(hub, row), f"{row['consent']}.{row['version']}", attempts)
        resting.end(row["receiver"], reason)
        await connection.execute(
            "UPDATE consent_notices SET status = $3, attempts = $4, reason = $5, next_at = now() + make_interval(secs => $6), "
            "done = CASE WHEN $3 = 'owed' THEN NULL ELSE clock_timestamp() END WHERE bucket = $1 AND id = $2",
            row["bucket"], row["id"], status, attempts, reason, webhooks.wait_s(attempts),
        )  # fmt: skip
        if status == "acknowledged":
            reference = f"Organization/{row['party']}"
            await hub.trail.note(Entry(actor=reference, action="consent-notice", outcome="acknowledged", resident=row["resident"], party=row["receiver"]))
    return True


def _message(hub: Hub, row: Any) -> dict[str, Any]:
    return {
        "event": "consent-changed", "change": row["change"], "patient": f"Patient/{row['resident']}", "consent": f"Consent/{row['consent']}",
        "version": row["version"], "recipient": f"Organization/{row['party']}", "at": row["created"], "issuer": hub.settings.base_url,
    }  # fmt: skip


async def listing(connection: Connection[Any]) -> list[dict[str, Any]]:
    """Notices per receiver and state, as `worker.listing` has deliveries."""
    rows = await connection.fetch(
        "SELECT p.name AS receiver, n.status, n.reason, count(*) AS count, max(n.attempts) AS attempts, min(n.created) AS oldest FROM consent_notices n "
        "JOIN parties p ON p.number = n.receiver GROUP BY p.name, n.status, n.reason ORDER BY p.name, n.status"
    )
    return [dict(row) | {"oldest": row["oldest"].isoformat(), "ids": None, "what": "consent-notice"} for row in rows]
