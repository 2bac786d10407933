"""Who calls, on every request under /fhir and /intake: the party of a Bearer token, and the purpose it acts for."""

from __future__ import annotations

from typing import cast
from uuid import UUID

import msgspec
from fastapi import Request

from hub.access import claims, known, scopes
from hub.access.requests import PURPOSE_HEADER, hub_of
from hub.store.parties import Party
from schemas.errors import Refused, Unauthenticated

__all__ = ["Caller", "bearer", "caller", "require", "require_upload"]


class Caller(msgspec.Struct, frozen=True):
    """A party, authenticated for one request.

    purpose:  v3 PurposeOfUse code, or None: then no purpose-limited permit matches
    purposes: what a request may choose from
    """

    party: int
    party_id: UUID
    client_id: str
    scopes: tuple[scopes.Scope, ...]
    purpose: str | None
    purposes: tuple[str, ...]
    registered: Party
    """The party as it is registered; at most `known.RECHECK_S` seconds old."""

    @property
    def reference(self) -> str:
        """The party's FHIR Organization."""
        return self.registered.reference

    @property
    def actor(self) -> str:
        """Who the audit trail names."""
        return self.reference


async def caller(request: Request) -> Caller:
    """The party that calls. Raises Unauthenticated, or Refused when it chooses a purpose its token does not carry."""
    found = await _authenticated(request)
    purpose = request.headers.get(PURPOSE_HEADER)
    if purpose is None or purpose == found.purpose:
        return found
    if purpose not in found.purposes:
        raise Refused("The token was not issued for this purpose of use.", advice="Ask for a token for it, if the party is registered for it.")
    return msgspec.structs.replace(found, purpose=purpose)


def require(who: Caller, type_: str, letter: str) -> None:
    """Raises Refused unless the caller's scopes cover `letter` (c r u d s) on resources of `type_`."""
    if not scopes.allows(who.scopes, type_, letter):
        raise Refused("The token's scope does not cover this.", advice=f"Ask for system/{type_}.{letter}.", code="insufficient_scope")


def require_upload(who: Caller) -> None:
    """Raises Refused unless the caller may upload."""
    if not scopes.may_upload(who.scopes):
        raise Refused("The token's scope does not cover uploads.", advice="Ask for intake.write.", code="insufficient_scope")


def bearer(request: Request) -> str:
    """The token of the one `Authorization: Bearer` header. Raises Unauthenticated, also for a token in the URL."""
    if b"access_token=" in request.scope["query_string"]:
        raise _unauthenticated("A token belongs in the Authorization header, never in a URL.")
    headers = request.headers.getlist("authorization")
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token or len(token) > claims.LONGEST:
        raise _unauthenticated("A Bearer token is needed.")
    return token


def _unauthenticated(message: str) -> Unauthenticated:
    return Unauthenticated(message, advice="Get a token from /oauth/token and send it as Authorization: Bearer.")


async def _authenticated(request: Request) -> Caller:
    token = bearer(request)
    try:
        held = await known.token(hub_of(request), token)
    except Unauthenticated:
        raise _unauthenticated("The token is not valid, or not any more.") from None
    if held.face is None:
        held.face = _caller(held)
    return cast(Caller, held.face)


def _caller(held: known.Known) -> Caller:
    content = held.claims
    purposes = tuple(content["purposes"])
    return Caller(
        party=content["party"], party_id=UUID(content["party_id"]), client_id=content["sub"], scopes=scopes.parse(content["scope"]),
        purpose=purposes[0] if purposes else None, purposes=purposes, registered=held.party,
    )  # fmt: skip
