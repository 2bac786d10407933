"""The token endpoint (OAuth 2 client credentials, SMART Backend Services), introspection, revocation and the hub's public key.

An access token is a signed JWT (RFC 9068) of five minutes: who (party), for what (purpose of use), how far (scope). What was
sent in is never quoted in an answer.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from joserfc import jwt

from hub.access import assertions, claims, known, requests, scopes
from hub.access.requests import PURPOSE_HEADER, hub_of
from schemas.errors import BadRequest, KineHubError, TooLarge, Unauthenticated

if TYPE_CHECKING:
    from hub.service import Hub
    from hub.store.parties import Party

LIFE_S = 300

router = APIRouter(tags=["OAuth 2"])

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}

Answer = Callable[["Hub", Request, Mapping[str, str]], Awaitable[dict[str, Any]]]


@router.post("/oauth/token")
async def token(request: Request) -> JSONResponse:
    """An access token for a party, by `client_credentials` with `private_key_jwt`."""
    return await _answered(request, _token)


@router.post("/oauth/introspect")
async def introspect(request: Request) -> JSONResponse:
    """RFC 7662, answered only to the client that owns the token; to others every token is inactive."""
    return await _answered(request, _introspect)


@router.post("/oauth/revoke")
async def revoke(request: Request) -> JSONResponse:
    """RFC 7009: a token of the client's own is refused from now on; on other workers within `known.RECHECK_S`."""
    return await _answered(request, _revoke)


@router.get("/oauth/jwks")
async def jwks(request: Request) -> JSONResponse:
    """The key that the hub's tokens and audit roots are signed with."""
    key = hub_of(request).keyring.signing_key()
    public = key.as_dict(private=False) | {"kid": key.thumbprint(), "use": "sig", "alg": "ES256"}
    return JSONResponse({"keys": [public]}, headers={"Cache-Control": "public, max-age=300"})


def issued(hub: Hub, party: Party, granted: tuple[scopes.Scope, ...], purposes: tuple[str, ...], now: float) -> str:
    """A signed access token; `purposes[0]` is the one it acts for unless a request chooses another of them."""
    key = hub.keyring.signing_key()
    at = int(now)
    content: dict[str, Any] = {
        "iss": hub.settings.base_url, "aud": f"{hub.settings.base_url}/fhir", "sub": party.client_id, "client_id": party.client_id,
        "party": party.number, "party_id": str(party.id), "scope": scopes.written(granted), "purposes": list(purposes),
        "jti": token_urlsafe(16), "iat": at, "exp": at + LIFE_S,
    }  # fmt: skip
    if purposes:
        content["purpose"] = purposes[0]
    return jwt.encode({"alg": "ES256", "typ": known.TYPE, "kid": key.thumbprint()}, content, key, algorithms=["ES256"])


async def _token(hub: Hub, request: Request, fields: Mapping[str, str]) -> dict[str, Any]:
    if "grant_type" not in fields:
        raise BadRequest("grant_type is missing.", code="invalid_request")
    if fields["grant_type"] != "client_credentials":
        raise BadRequest("Only the grant client_credentials is given here.", code="unsupported_grant_type")
    party = await assertions.authenticated(hub.database, fields, (f"{hub.settings.base_url}/oauth/token",))
    granted = scopes.narrowed(scopes.parse(fields.get("scope", "")), party.kind)
    if not granted:
        raise BadRequest("Nothing of the scope asked for can be given to this client.", code="invalid_scope")
    purposes = _purposes(party, fields.get("purpose") or request.headers.get(PURPOSE_HEADER))
    access_token = issued(hub, party, granted, purposes, time.time())
    return {"access_token": access_token, "token_type": "bearer", "expires_in": LIFE_S, "scope": scopes.written(granted)}


def _purposes(party: Party, chosen: str | None) -> tuple[str, ...]:
    """All the party's purposes, or only the chosen one: a token that names its purpose is bound to it."""
    if chosen is None:
        return party.agreed_purposes
    if chosen not in party.agreed_purposes:
        raise BadRequest("The client is not registered for this purpose of use.", code="invalid_request")
    return (chosen,)


async def _introspect(hub: Hub, _request: Request, fields: Mapping[str, str]) -> dict[str, Any]:
    content = await _owned(hub, fields, "/oauth/introspect")
    if content is None:
        return {"active": False}
    wanted = ("scope", "client_id", "exp", "iat", "iss", "sub", "aud", "jti", "purpose")
    return {"active": True, "token_type": "bearer"} | {name: content[name] for name in wanted if name in content}


async def _revoke(hub: Hub, _request: Request, fields: Mapping[str, str]) -> dict[str, Any]:
    content = await _owned(hub, fields, "/oauth/revoke")
    if content is not None:
        async with hub.database.connection() as connection:
            await assertions.noted(connection, known.revoked(content["sub"]), content["jti"], content["exp"])
        known.forget(hub, fields["token"])
    return {}


async def _owned(hub: Hub, fields: Mapping[str, str], path: str) -> claims.Claims | None:
    """The claims of the token that the form asks about, when it is live and belongs to the client that asks."""
    base = hub.settings.base_url
    party = await assertions.authenticated(hub.database, fields, (f"{base}/oauth/token", f"{base}{path}"))
    try:
        content = (await known.token(hub, fields.get("token", ""))).claims
    except Unauthenticated:
        return None
    return content if content["sub"] == party.client_id else None


async def _answered(request: Request, answer: Answer) -> JSONResponse:
    if request.headers.get("authorization", "").lower().startswith("basic "):
        # RFC 6749 5.2: a client that tried this header hears 401 and its scheme, though only assertions are taken.
        refusal = claims.refusal("The client must authenticate with a signed assertion.")
        return JSONResponse(_error(refusal), 401, _NO_STORE | {"WWW-Authenticate": "Basic"})
    try:
        return JSONResponse(await answer(hub_of(request), request, await requests.fields(request)), headers=_NO_STORE)
    except (BadRequest, Unauthenticated, TooLarge) as error:
        return JSONResponse(_error(error), 413 if isinstance(error, TooLarge) else 400, _NO_STORE)


def _error(error: KineHubError) -> dict[str, str]:
    return {"error": error.code, "error_description": error.message}
