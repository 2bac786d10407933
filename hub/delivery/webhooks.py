"""A signed message to somebody's webhook: posted once, and when to try again. What is owed, and to whom, is the caller's table.

The body is signed as a detached JWS (ES256, RFC 7515 appendix F) with the hub's key of `/oauth/jwks`, in `X-KineHub-Signature`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
from joserfc import jws

from hub.service import Hub

MOST_ATTEMPTS = 200
"""With back-off to an hour: a little over a week."""
LONGEST_WAIT_S = 3600.0
LONGEST_SENDING_S = 30.0
"""For all of one attempt: an answer that comes letter by letter holds up nobody else for longer."""


def wait_s(attempts: int) -> float:
    """Seconds until the next attempt: doubling from two seconds to an hour."""
    return min(LONGEST_WAIT_S, 2.0 ** min(attempts, 12))


async def post(hub: Hub, http: httpx.AsyncClient, url: str, message: Mapping[str, Any], key: str, attempts: int) -> tuple[str, str | None]:
    """Post a message for the `attempts`-th time; `acknowledged` by any 2xx, else `owed` and why, or `dead` when it was tried long enough."""
    body = msgspec.json.encode(message)
    headers = {"Content-Type": "application/json", "X-KineHub-Signature": signature(hub, body), "Idempotency-Key": key}
    try:
        async with asyncio.timeout(LONGEST_SENDING_S), http.stream("POST", url, content=body, headers=headers) as answer:
            reason = None if answer.is_success else f"HTTP {answer.status_code}"  # the answer's own body is nobody's concern
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        reason = type(error).__name__
    if reason is None:
        return "acknowledged", None
    return "dead" if attempts >= MOST_ATTEMPTS else "owed", reason


def signature(hub: Hub, body: bytes) -> str:
    """`header..signature` of a JWS whose payload is the body that goes with it."""
    key = hub.keyring.signing_key()
    header, _, signed = jws.serialize_compact({"alg": "ES256", "kid": key.thumbprint()}, body, key).split(".")
    return f"{header}..{signed}"
