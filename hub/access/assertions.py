"""Who a client is: a party, by `private_key_jwt` (RFC 7523, SMART Backend Services). Each assertion serves once."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hub.access import claims
from hub.store import parties
from hub.store.database import Connection, Database
from hub.store.parties import Party
from schemas.errors import BadRequest, NotFound

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_TYPES = (None, "jwt", "client-authentication+jwt")


async def authenticated(database: Database, fields: Mapping[str, str], audiences: tuple[str, ...], now: float | None = None) -> Party:
    """The party whose assertion stands in `fields`. Raises Unauthenticated (`invalid_client`) or BadRequest (`invalid_request`).

    The use of the assertion is committed before this returns, on whichever worker: a second use of it finds that.
    """
    if fields.get("client_assertion_type") != TYPE or not fields.get("client_assertion"):
        raise claims.refusal("The client must authenticate with a signed assertion.")
    token = fields["client_assertion"]
    client_id = claims.subject(token)
    if fields.get("client_id", client_id) != client_id:
        raise BadRequest("client_id is not the one of the assertion.", code="invalid_request")
    async with database.connection() as connection:
        party = await _party(connection, client_id)
        verified = claims.opened(token, lambda header: claims.fitting(party.jwks, header), algorithms=claims.ALGORITHMS, types=_TYPES,
                                 issuer=client_id, audiences=audiences, now=time.time() if now is None else now)  # fmt: skip
        if not await noted(connection, client_id, verified["jti"], verified["exp"]):
            raise claims.refusal("The assertion was used before.")
    return party


async def _party(connection: Connection[Any], client_id: str) -> Party:
    try:
        return await parties.by_client(connection, client_id if _CLIENT_ID.fullmatch(client_id) else "")
    except NotFound:
        raise claims.refusal("The client is not known, or its key is not registered.") from None


async def noted(connection: Connection[Any], client_id: str, jti: str, exp: float) -> bool:
    """Note a token's `jti` until it expires; False when it was noted before. Exactly one of any number of callers gets True."""
    expires = datetime.fromtimestamp(exp, UTC)
    insert = "INSERT INTO assertions (client_id, jti, expires) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
    status = await connection.execute(insert, client_id, digest(jti), expires)
    await _sweep(connection, client_id)
    return bool(status == "INSERT 0 1")


def digest(jti: str) -> bytes:
    """A `jti` as the table holds it."""
    return hashlib.sha256(jti.encode("utf-8", "surrogatepass")).digest()


async def _sweep(connection: Connection[Any], client_id: str) -> None:
    # Ten minutes later than they expire, so that a worker whose clock is behind cannot be shown one again.
    await connection.execute(
        "DELETE FROM assertions WHERE (client_id, jti) IN (SELECT client_id, jti FROM assertions "
        "WHERE client_id = $1 AND expires < now() - interval '10 minutes' LIMIT 100 FOR UPDATE SKIP LOCKED)",
        client_id,
    )
