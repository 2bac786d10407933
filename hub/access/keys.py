"""The client's side of Backend Services: keys, assertions, fetching a token. For the command line, delivery and tests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Any

import httpx
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey

from hub.access import assertions, claims
from schemas.errors import BadRequest, KineHubError, Unauthenticated, Unavailable

_CODES = ("invalid_client", "invalid_scope", "invalid_request", "unauthorized_client", "unsupported_grant_type")
_BY_CURVE = {"P-384": "ES384", "P-256": "ES256"}


class Token(msgspec.Struct, frozen=True):
    """A token endpoint's answer."""

    access_token: str
    expires_in: int
    scope: str = ""


def new_client_key() -> tuple[dict[str, Any], dict[str, Any]]:
    """A new ES384 key: the private JWK, and the JWKS with its public half to register. `kid` is its thumbprint (RFC 7638)."""
    key = ECKey.generate_key("P-384", private=True)
    named = {"kid": key.thumbprint(), "use": "sig", "alg": "ES384"}
    return dict(key.as_dict(private=True)) | named, {"keys": [dict(key.as_dict(private=False)) | named]}


def registrable(jwks: Any) -> dict[str, Any]:
    """A JWKS as it may be registered. Raises BadRequest for private or symmetric keys, keys without `kid`, and none at all."""
    members = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(members, list) or not members:
        raise BadRequest('A key set is {"keys": […]} with at least one key.', field="jwks")
    return {"keys": [_registrable(member) for member in members]}


def _registrable(member: Any) -> dict[str, Any]:
    if not isinstance(member, dict) or not isinstance(member.get("kid"), str) or not member["kid"]:
        raise BadRequest("Every key needs a kid.", field="jwks")
    if {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & member.keys():
        advice = "Treat that key as known to others."
        raise BadRequest("A private or symmetric key was given; register the public half only.", field="jwks", advice=advice)
    try:
        algorithm = _algorithm(claims.public_key(member))
    except (Unauthenticated, JoseError, ValueError, TypeError, KeyError):
        raise BadRequest("Keys must be EC (P-384 or P-256) or RSA of at least 2048 bits.", field="jwks") from None
    if member.get("alg", algorithm) not in (("RS384", "PS256") if member["kty"] == "RSA" else (algorithm,)):
        raise BadRequest(f"A key's alg must be one of {', '.join(claims.ALGORITHMS)} and fit the key.", field="jwks")
    return member


def client_assertion(client_id: str, key: Mapping[str, Any], token_url: str, now: float | None = None) -> str:
    """A signed assertion of 60 seconds for the token endpoint at `token_url`. Raises BadRequest when `key` is no private JWK."""
    private = _private(key)
    at = int(time.time() if now is None else now)
    content = {"iss": client_id, "sub": client_id, "aud": token_url, "iat": at, "exp": at + 60, "jti": token_urlsafe(24)}
    algorithm = str(key.get("alg") or _algorithm(private))
    return jwt.encode({"alg": algorithm, "typ": "JWT", "kid": key.get("kid") or private.thumbprint()}, content, private, algorithms=claims.ALGORITHMS)


def _private(key: Mapping[str, Any]) -> Key:
    try:
        private = (RSAKey if key.get("kty") == "RSA" else ECKey).import_key(dict(key))
    except (JoseError, ValueError, TypeError, KeyError):
        raise BadRequest("The key file holds no private JWK.", field="key") from None
    if not private.is_private:
        raise BadRequest("The key file holds only a public key.", field="key")
    return private


def _algorithm(key: Key) -> str:
    return _BY_CURVE[key.curve_name] if isinstance(key, ECKey) else "RS384"


async def fetch_token(http: httpx.AsyncClient, token_url: str, client_id: str, key: Mapping[str, Any], scope: str,
                      purpose: str | None = None) -> Token:  # fmt: skip
    """A token from any Backend Services endpoint. Raises Unauthenticated when refused, Unavailable when not reached."""
    assertion = client_assertion(client_id, key, token_url)
    form = {"grant_type": "client_credentials", "scope": scope, "client_assertion_type": assertions.TYPE, "client_assertion": assertion}
    try:
        response = await http.post(token_url, data=form | ({"purpose": purpose} if purpose else {}), headers={"Accept": "application/json"})
    except httpx.HTTPError:
        raise Unavailable("The token endpoint cannot be reached.") from None
    if response.status_code != 200:
        raise _refusal(response)
    try:
        return msgspec.json.decode(response.content, type=Token)
    except msgspec.MsgspecError:
        raise Unavailable("The token endpoint's answer cannot be read.") from None


def _refusal(response: httpx.Response) -> KineHubError:
    if response.is_server_error or response.status_code in (408, 429):
        return Unavailable(f"The token endpoint answered {response.status_code}.")
    try:
        code = msgspec.json.decode(response.content, type=dict[str, Any]).get("error")
    except msgspec.MsgspecError:
        code = None
    known = code if code in _CODES else "error"
    advice = "Check client id, key, scope and the hub's address."
    return Unauthenticated(f"The token endpoint refused the client: {known}.", code=known, advice=advice)
