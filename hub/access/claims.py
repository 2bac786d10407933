"""Signed claims (JWT): the one place of the code base where any are opened.

joserfc checks signature and key type; what its defaults leave open is closed here: size before parsing, an explicit list of
algorithms, no key or key address taken from the header, every claim we rely on present, one audience, and a life of five
minutes at most.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey
from joserfc.util import urlsafe_b64decode

from schemas.errors import Unauthenticated

ALGORITHMS = ("ES384", "RS384", "ES256", "PS256")
"""What a client may sign with; each key fits one curve, or RSA of 2048 bits and more."""

LONGEST = 16 * 1024
LIFE_S = 300
SKEW_S = 60

_FOREIGN_KEYS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
_ESSENTIAL = ("iss", "sub", "aud", "exp", "jti")
_BROKEN = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error)
_MIN_RSA_BITS = 2048

Header = dict[str, Any]
Claims = dict[str, Any]
FindKey = Callable[[Header], Key]


def opened(token: str, find_key: FindKey, *, algorithms: tuple[str, ...], types: tuple[str | None, ...], issuer: str,
           audiences: tuple[str, ...], now: float) -> Claims:  # fmt: skip
    """The claims of `token`, verified in every respect but replay. Raises Unauthenticated.

    types:     values its header's `typ` may have, lower case; None = absent
    audiences: any one of them, alone, must be the token's audience
    now:       seconds since 1970
    """
    _refuse_unless(len(token) <= LONGEST, "The token is too long.")
    try:
        verified = jwt.decode(token, lambda signed: _found(signed.headers(), find_key, types), algorithms=algorithms)
    except _BROKEN:
        raise refusal("The token's signature or form is not valid.") from None
    _check(verified.claims, issuer, audiences, now)
    return verified.claims


def subject(token: str) -> str:
    """The `sub` a token states, unverified: only to find whose keys to verify it with. Raises Unauthenticated."""
    _refuse_unless(len(token) <= LONGEST, "The token is too long.")
    try:
        stated = json.loads(jws.extract_compact(token.encode()).payload)["sub"]
    except _BROKEN:
        raise refusal("The token's form is not valid.") from None
    _refuse_unless(isinstance(stated, str), "The token names no subject.")
    return str(stated)


def fitting(jwks: Any, header: Header) -> Key:
    """The registered public key that `header` names by `kid`, when its type and `alg` fit. Raises Unauthenticated."""
    kid, algorithm = header.get("kid"), header.get("alg")
    for member in jwks["keys"]:
        if isinstance(kid, str) and member.get("kid") == kid and member.get("alg", algorithm) == algorithm:
            return public_key(member)
    raise refusal("The token's key is not registered.")


def public_key(member: dict[str, Any]) -> Key:
    """The public half of a registered JWK. Raises Unauthenticated for what is neither EC nor RSA of 2048 bits."""
    if member.get("kty") == "EC":
        return ECKey.import_key({name: member[name] for name in ("kty", "crv", "x", "y", "use", "key_ops") if name in member})
    _refuse_unless(member.get("kty") == "RSA", "The registered key is of no type the hub takes.")
    modulus = int.from_bytes(urlsafe_b64decode(member["n"].encode()), "big")
    _refuse_unless(modulus.bit_length() >= _MIN_RSA_BITS, "The registered key is too short.")
    return RSAKey.import_key({name: member[name] for name in ("kty", "n", "e", "use", "key_ops") if name in member})


def refusal(message: str) -> Unauthenticated:
    """An Unauthenticated in OAuth's words."""
    advice = "Sign a new token with the registered key, for this address, valid for at most 300 seconds."
    return Unauthenticated(message, code="invalid_client", advice=advice)


def _found(header: Header, find_key: FindKey, types: tuple[str | None, ...]) -> Key:
    kind = header.get("typ")
    _refuse_unless(not _FOREIGN_KEYS & header.keys(), "The token's header names a key of its own.")
    _refuse_unless((kind.lower() if isinstance(kind, str) else kind) in types, "The token is of another type.")
    return find_key(header)


def _check(claims: Claims, issuer: str, audiences: tuple[str, ...], now: float) -> None:
    needed: jwt.ClaimsOption = {"essential": True}
    registry = jwt.JWTClaimsRegistry(now=int(now), leeway=SKEW_S, **dict.fromkeys(_ESSENTIAL, needed))
    try:
        registry.validate(claims)
    except JoseError:
        raise refusal("A claim of the token is missing or not valid.") from None
    _refuse_unless(claims["iss"] == issuer, "The token is from another issuer.")
    _refuse_unless(any(claims["aud"] in (url, [url]) for url in audiences), "The token is for another address.")
    _refuse_unless(now < claims["exp"] <= now + LIFE_S, "The token is expired, or valid for too long.")


def _refuse_unless(condition: bool, message: str) -> None:
    if not condition:
        raise refusal(message)
