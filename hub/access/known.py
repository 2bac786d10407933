"""Access tokens seen by this process: each verified once, then remembered by its hash until it expires.

Whether a token was revoked, and what its party is still registered for, is asked again every RECHECK_S seconds.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec
from joserfc.jwk import ECKey

from hub.access import assertions, claims
from hub.store import parties
from hub.store.parties import Party
from schemas.errors import NotFound

if TYPE_CHECKING:
    from hub.service import Hub
    from hub.store.database import Connection

TYPE = "at+jwt"
RECHECK_S = 10
"""Seconds within which every worker refuses a revoked token and a removed party."""

_MOST = 4096
_Key = tuple[str, str, bytes]

_REVOKED = "SELECT EXISTS (SELECT FROM assertions WHERE client_id = $1 AND jti = $2)"


class Known(msgspec.Struct):
    """A verified token's claims, its `purposes` cut to what its party is registered for; `face` is for whoever wants to keep what it made of them."""

    claims: claims.Claims
    party: Party
    checked: float
    face: Any = None


_known: OrderedDict[_Key, Known] = OrderedDict()


async def token(hub: Hub, access_token: str, now: float | None = None) -> Known:
    """What is known of a live token of this hub. Raises Unauthenticated. `now` in seconds since 1970: the clock, unless named."""
    key = _key(hub, access_token)
    now = time.time() if now is None else now
    known = _known.get(key)
    if known is None or not known.checked <= now < min(known.claims["exp"], known.checked + RECHECK_S):
        _known.pop(key, None)
        known = _known[key] = await _checked(hub, access_token, now)
        if len(_known) > _MOST:
            _known.popitem(last=False)
    else:
        _known.move_to_end(key)
    return known


def forget(hub: Hub, access_token: str) -> None:
    """Check this token anew when it is next shown here."""
    _known.pop(_key(hub, access_token), None)


def verified(hub: Hub, access_token: str, now: float) -> claims.Claims:
    """The claims of an access token of this hub; revoked or not. Raises Unauthenticated."""
    key = hub.keyring.signing_key()
    base = hub.settings.base_url

    def own(header: claims.Header) -> ECKey:
        if header.get("kid") != key.thumbprint():
            raise claims.refusal("The token was not signed by this hub.")
        return key

    return claims.opened(access_token, own, algorithms=("ES256",), types=(TYPE,), issuer=base, audiences=(f"{base}/fhir",), now=now)


def revoked(client_id: str) -> str:
    """Under which name the revoked tokens of a client are noted in the table of used assertions."""
    return f"revoked:{client_id}"


def _key(hub: Hub, access_token: str) -> _Key:
    return hub.keyring.id, hub.settings.base_url, hashlib.sha256(access_token.encode()).digest()


async def _checked(hub: Hub, access_token: str, now: float) -> Known:
    content = verified(hub, access_token, now)
    async with hub.database.connection() as connection:
        party = await _live_party(connection, content)
    return Known(content | {"purposes": [purpose for purpose in content["purposes"] if purpose in party.purposes]}, party, now)


async def _live_party(connection: Connection[Any], content: claims.Claims) -> Party:
    who = content["sub"]
    try:
        party = await parties.by_number(connection, content["party"])
    except NotFound:
        raise claims.refusal("The token was revoked.") from None
    if party.client_id != who or await connection.fetchval(_REVOKED, revoked(who), assertions.digest(content["jti"])):
        raise claims.refusal("The token was revoked.")
    return party
