"""The delivery worker: takes what is owed from the outbox, opens it under a fresh consent decision, sends it, notes the answer.

At least once, in order per resident and receiver. The outbox row is the truth and its own queue: a row is taken with
FOR UPDATE SKIP LOCKED, held while it is sent, and changed in the same transaction, so a killed worker leaves it owed.
Retries back off to an hour and go on for a week; what the receiver refuses for good becomes a dead letter, listed and replayable.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import orjson
from asyncpg import Record as Row

from hub import service
from hub.access.keys import client_assertion
from hub.audit import disclosed
from hub.audit.trail import Entry
from hub.defects import places
from hub.delivery import notices
from hub.delivery.address import origin
from hub.delivery.resting import Resting
from hub.intake.pending import expire
from hub.quality import alerts
from hub.quality import worker as quality
from hub.service import Hub
from hub.settings import Settings
from hub.store import parties, relabel
from hub.store.parties import Party
from hub.store.vault import Asked
from schemas.errors import NotFound, SealError

log = logging.getLogger("kinehub.delivery")

MOST_ATTEMPTS = 200
"""With back-off to an hour: a little over a week."""
LONGEST_WAIT_S = 3600.0
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
LONGEST_SENDING_S = 60.0
"""For all of one attempt: a receiver that answers byte by byte holds its lane and its transaction no longer."""
LONGEST_ANSWER = 256 * 1024
PLAIN = {"Accept-Encoding": "identity"}
IDLE_S = 0.5
WEBHOOK_S = 1.0
SWEEP_S = 600.0
LANES = 4
"""Rows sent at once: a receiver that does not answer holds one lane, and rests in between (`hub/delivery/resting.py`)."""

_NEXT = """SELECT o.* FROM outbox o WHERE o.status = 'owed' AND o.next_at <= now() AND o.receiver <> ALL($1::int[]) AND NOT EXISTS (
  SELECT FROM outbox earlier WHERE earlier.bucket = o.bucket AND earlier.resident = o.resident AND earlier.receiver = o.receiver
  AND earlier.status = 'owed' AND earlier.id < o.id)
ORDER BY o.id LIMIT 1 FOR UPDATE OF o SKIP LOCKED"""


Send = Callable[[Hub, httpx.AsyncClient, Resting], Awaitable[bool]]
Tokens = dict[int, tuple[str, float]]
"""By receiver, its token and until when it is good, on the event loop's clock; an empty one where none is asked for."""


class Answer(msgspec.Struct, frozen=True):
    """What became of one attempt: `acknowledged`, `suppressed`, `owed` (try again) or `dead`."""

    status: str
    reason: str | None = None


async def run(settings: Settings, dsn: str, stop: asyncio.Event) -> None:
    """Deliver until `stop` is set."""
    async with service.opened(settings, dsn) as hub, httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, headers=PLAIN, mounts=_here()) as http:
        tokens, resting = Tokens(), Resting()
        lanes = (_loop(hub, http, tokens, resting, stop) for _ in range(LANES))
        sent = (_send_all(hub, http, stop, send, name) for name, send in (("alerts", alerts.send_one), ("notices", notices.send_one)))
        await asyncio.gather(_sweep(hub, stop), _relabel(hub, stop), *sent, quality.watch(hub, dsn, stop), *lanes)


def _here() -> dict[str, httpx.AsyncBaseTransport]:
    """Plain http goes to this machine alone (`hub/delivery/address.py`), and so through no proxy of the environment's."""
    return {"http://": httpx.AsyncHTTPTransport()}


async def _loop(hub: Hub, http: httpx.AsyncClient, tokens: Tokens, resting: Resting, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            busy = await deliver_one(hub, http, tokens, resting)
        except Exception as error:
            log.warning("delivery paused: %s", places(error))
            busy = False
        if not busy:
            await _idle(stop, IDLE_S)


async def _send_all(hub: Hub, http: httpx.AsyncClient, stop: asyncio.Event, send: Send, name: str) -> None:
    """Send what webhooks are owed: of sources that got worse, of consents that changed."""
    resting = Resting()
    while not stop.is_set():
        try:
            busy = await send(hub, http, resting)
        except Exception as error:
            log.warning("%s paused: %s", name, places(error))
            busy = False
        if not busy:
            await _idle(stop, WEBHOOK_S)


async def _sweep(hub: Hub, stop: asyncio.Event) -> None:
    """Every ten minutes, delete what waited for its resident too long."""
    while not stop.is_set():
        try:
            await expire(hub)
        except Exception as error:
            log.warning("sweeping failed: %s", places(error))
        await _idle(stop, SWEEP_S)


async def _relabel(hub: Hub, stop: asyncio.Event) -> None:
    """After a release with new label rules, bring what is stored to them."""
    while not stop.is_set():
        try:
            await relabel.catch_up(hub, stop)
        except Exception as error:
            log.warning("relabelling paused: %s", places(error))
            await _idle(stop, SWEEP_S)
        else:
            return


async def _idle(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def deliver_one(hub: Hub, http: httpx.AsyncClient, tokens: Tokens, resting: Resting) -> bool:
    """Take and settle one owed row. False when nothing is due."""
    async with hub.database.connection() as connection, connection.transaction():
        row = await connection.fetchrow(_NEXT, resting.now())
        if row is None:
            return False
        party = await parties.by_number(connection, row["receiver"])
        resting.begin(row["receiver"])
        try:
            answer = await _attempt(hub, connection, http, tokens, party, row)
        except Exception as error:  # else this row would be the next one again, before everybody else's
            log.error("delivery %d: %s", row["id"], places(error))  # noqa: TRY400 - the text may quote a value
            answer = Answer("owed", "a defect of the hub's own, named in its log")
        if answer.status == "suppressed":
            resting.spare(row["receiver"])
        else:
            resting.end(row["receiver"], answer.reason if answer.status == "owed" else None)
        attempts = row["attempts"] + 1
        if answer.status == "owed" and attempts >= MOST_ATTEMPTS:
            answer = Answer("dead", f"gave up after {attempts} attempts: {answer.reason}")
        await connection.execute(
            "UPDATE outbox SET status = $3, attempts = $4, reason = $5, done = CASE WHEN $3 = 'owed' THEN NULL ELSE now() END, "
            "next_at = now() + make_interval(secs => $6) WHERE bucket = $1 AND id = $2",
            row["bucket"], row["id"], answer.status, attempts, answer.reason, wait_s(attempts) if answer.status == "owed" else 0.0,
        )  # fmt: skip
    return True


def wait_s(attempts: int) -> float:
    """Seconds until the next attempt: doubling from one second to an hour, with jitter so that many do not come at once."""
    return min(LONGEST_WAIT_S, 2.0 ** min(attempts - 1, 12)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


async def _attempt(hub: Hub, connection: Any, http: httpx.AsyncClient, tokens: Tokens, party: Party, row: Row) -> Answer:
    if party.deliver_to is None:
        return Answer("suppressed", "not sent: the receiver takes no deliveries")
    try:
        opened = await _bundle(hub, connection, party, row)
        if opened and _held(tokens, party) is None:
            async with asyncio.timeout(LONGEST_SENDING_S):
                await _fetch_token(hub, http, tokens, party)
            opened = await _bundle(hub, connection, party, row)  # anew: consent may have been withdrawn while the receiver took its time
        if opened is None:
            return Answer("suppressed", "held back: no consent reaches it; owed again when the resident's consents change")
        bundle, rule = opened
        await hub.trail.note(Entry(
            actor=party.reference, action="deliver", outcome="sent", resident=row["resident"], party=party.number, purpose=purpose_of(party), rule=rule,
            detail=hub.vault.seal_detail(row["resident"], _told(bundle)),
        ))  # fmt: skip
        async with asyncio.timeout(LONGEST_SENDING_S):
            return await _send(http, tokens, party, bundle, f"{row['record']}.{row['version']}")
    except (NotFound, SealError):
        return Answer("suppressed", "not sent: the resident or the record does not exist any more")
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        return Answer("owed", str(error) if isinstance(error, _Unusable) else type(error).__name__)


def _told(bundle: bytes) -> disclosed.Detail:
    """What a Bundle discloses, out of what is sent."""
    sent = [(one["resource"]["resourceType"], orjson.dumps(one["resource"])) for one in orjson.loads(bundle)["entry"]]
    return disclosed.resources(sent, sum(disclosed.is_cut(raw) for _, raw in sent))


def purpose_of(party: Party) -> str | None:
    """The purpose a party receives deliveries for: the first it is registered for."""
    return party.agreed_purposes[0] if party.agreed_purposes else None


async def _bundle(hub: Hub, connection: Any, party: Party, row: Row) -> tuple[bytes, str | None] | None:
    """The record's present version as a transaction Bundle, as far as consent reaches right now, and the rules; None when it does not."""
    asked = Asked(
        resident=row["resident"], actor=party.reference, acts_for=party.reference, purpose=purpose_of(party), party=party.number, action="disclose"
    )
    found = await hub.vault.one(connection, asked, row["record"])
    if found is None:
        return None
    (disclosed,) = hub.vault.disclose(found[0], [found[1]])
    if not disclosed.resources:
        return None
    entries = []
    for _, body in disclosed.resources:
        resource = orjson.loads(body)
        resource.get("meta", {}).pop("versionId", None)
        reference = f"{resource['resourceType']}/{resource['id']}"
        entries.append({"fullUrl": f"{hub.settings.base_url}/fhir/{reference}", "resource": resource, "request": {"method": "PUT", "url": reference}})
    bundle = {"resourceType": "Bundle", "type": "transaction", "timestamp": datetime.now(UTC).isoformat(timespec="seconds"), "entry": entries}
    return orjson.dumps(bundle), ", ".join(disclosed.rules) or None


async def _send(http: httpx.AsyncClient, tokens: Tokens, party: Party, bundle: bytes, key: str) -> Answer:
    assert party.deliver_to is not None
    headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json", "Idempotency-Key": key}
    if token := _held(tokens, party):
        headers["Authorization"] = f"Bearer {token}"
    async with http.stream("POST", party.deliver_to, content=bundle, headers=headers) as response:
        await _body(response)
    if response.is_success:
        return Answer("acknowledged")
    if response.status_code == 401:
        tokens.pop(party.number, None)
    if response.status_code in (401, 403, 408, 409, 423, 425, 429) or response.status_code >= 500:
        return Answer("owed", f"HTTP {response.status_code}")
    return Answer("dead", f"the receiver refused it: HTTP {response.status_code}")


def _held(tokens: Tokens, party: Party) -> str | None:
    """The receiver's token, empty where it asks for none; None before it was fetched, and when it is too old."""
    token, until = tokens.get(party.number, ("", 0.0))
    return token if until > asyncio.get_running_loop().time() else None


async def _fetch_token(hub: Hub, http: httpx.AsyncClient, tokens: Tokens, party: Party) -> None:
    """Get a Backend Services token for the receiver from the endpoint it is registered with or names itself; an empty one where it has none."""
    assert party.deliver_to is not None
    now = asyncio.get_running_loop().time()
    endpoint = party.token_url or await _discovered(http, party.deliver_to)
    if endpoint is None:
        tokens[party.number] = ("", now + LONGEST_SENDING_S)
        return
    key = hub.keyring.signing_key()
    assertion = client_assertion(hub.settings.base_url, key.as_dict(private=True), endpoint)
    _, answer = await _asked(http, "POST", endpoint, {
        "grant_type": "client_credentials", "scope": "system/*.cu", "client_assertion": assertion,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    })  # fmt: skip
    token, life = answer.get("access_token"), answer.get("expires_in", 60)
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not isinstance(life, int | float):
        raise _Unusable("its token endpoint gave no token")
    tokens[party.number] = (token, now + max(1.0, min(float(life), LONGEST_WAIT_S) - 10))


async def _discovered(http: httpx.AsyncClient, base: str) -> str | None:
    """The token endpoint that the receiver's SMART configuration names; None where it has no configuration.

    A token goes to who issued it and nobody else: otherwise a receiver could name another's endpoint and be handed a token for it.
    One that lies elsewhere is for an operator to register.
    """
    status, configuration = await _asked(http, "GET", f"{base.rstrip('/')}/.well-known/smart-configuration")
    if status == 404:
        return None
    endpoint = str(configuration.get("token_endpoint", ""))
    if origin(endpoint) != origin(base):
        raise _Unusable("its token endpoint is at another origin")
    return endpoint


class _Unusable(httpx.HTTPError):
    """What a receiver says of how to reach it cannot be followed."""


async def _asked(http: httpx.AsyncClient, method: str, url: str, form: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of an answer; no object for 404. Raises httpx.HTTPError for any other answer that is not one."""
    async with http.stream(method, url, data=form) as response:
        if response.status_code == 404 and form is None:
            return 404, {}
        response.raise_for_status()
        body = await _body(response)
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise _Unusable("its answer is not a JSON object")
    return response.status_code, found


async def _body(response: httpx.Response) -> bytes:
    """A short answer as it came: packed ones were not asked for, and unpack to any length."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise _Unusable("its answer is packed")
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > LONGEST_ANSWER:
            raise _Unusable("its answer is too long")
    return body


async def listing(connection: Any) -> list[dict[str, Any]]:
    """What is owed, sent, suppressed and dead, and why: per receiver and state, then every dead letter."""
    rows = await connection.fetch(
        "SELECT p.name AS receiver, o.status, o.reason, count(*) AS count, max(o.attempts) AS attempts, min(o.created) AS oldest, "
        "array_agg(o.id ORDER BY o.id) FILTER (WHERE o.status = 'dead') AS ids FROM outbox o JOIN parties p ON p.number = o.receiver "
        "GROUP BY p.name, o.status, o.reason ORDER BY p.name, o.status"
    )
    return [dict(row) | {"oldest": row["oldest"].isoformat(), "what": "record"} for row in rows] + await notices.listing(connection)


async def replay(connection: Any, ids: list[int]) -> int:
    """Owe dead letters again. Returns how many."""
    rows = await connection.fetch(
        "UPDATE outbox SET status = 'owed', attempts = 0, reason = NULL, next_at = now(), done = NULL "
        "WHERE id = ANY($1::bigint[]) AND status = 'dead' RETURNING id",
        ids,
    )
    return len(rows)
