"""Passkeys (WebAuthn): registered by a person who is signed in, found by the authenticator itself at sign-in.

User verification (PIN, finger, face) is required in both; no attestation is asked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import webauthn
from asyncpg import UniqueViolationError
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from hub.access import sessions
from hub.access.sessions import Person, Session
from hub.store.database import Connection
from hub.store.keyring import Keyring
from schemas.errors import BadRequest, Conflict, NotFound, Unauthenticated

if TYPE_CHECKING:
    from hub.settings import Settings

_REQUIRED = UserVerificationRequirement.REQUIRED
_TIMEOUT_MS = int(sessions.CHALLENGE.total_seconds() * 1000)
_MOST_PER_ACCOUNT = 20
LONGEST_NAME = 40


def credential(body: bytes) -> dict[str, Any]:
    """The browser's answer. Raises BadRequest."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadRequest("The body must be the JSON of a passkey credential.") from None


async def registration_options(connection: Connection[Any], settings: Settings, session: Session, person: Person, now: datetime) -> str:
    """Options for `navigator.credentials.create()`, as JSON."""
    held = await connection.fetch("SELECT credential FROM passkeys WHERE account = $1", person.account)
    if len(held) >= _MOST_PER_ACCOUNT:
        raise Conflict("This account has very many passkeys already.")
    options = webauthn.generate_registration_options(
        rp_id=_rp_id(settings), rp_name="KineHub", user_id=person.account.bytes, user_name=person.name, user_display_name=person.name,
        challenge=await sessions.challenge(connection, session.token, "register", now), timeout=_TIMEOUT_MS,
        attestation=AttestationConveyancePreference.NONE, exclude_credentials=[PublicKeyCredentialDescriptor(id=row["credential"]) for row in held],
        authenticator_selection=AuthenticatorSelectionCriteria(resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_REQUIRED),
    )  # fmt: skip
    return webauthn.options_to_json(options)


async def register(
    connection: Connection[Any], settings: Settings, session: Session, person: Person, answer: dict[str, Any], now: datetime, device: str = ""
) -> None:
    """Keep a new passkey. Raises Unauthenticated when the answer does not verify, Conflict when the passkey is known."""
    challenge = await sessions.spend_challenge(connection, session.token, "register", now)
    try:
        made = webauthn.verify_registration_response(
            credential=answer, expected_challenge=challenge, expected_rp_id=_rp_id(settings), expected_origin=_origin(settings),
            require_user_verification=False,  # asked for below, where it is told in words of its own
        )  # fmt: skip
    except Exception:  # the library lets errors of its CBOR and certificate parsers through
        raise _refusal() from None
    if not made.user_verified:
        raise _not_verified()
    try:
        await connection.execute(
            "INSERT INTO passkeys (credential, account, public_key, sign_count, device) VALUES ($1, $2, $3, $4, $5)",
            made.credential_id, person.account, made.credential_public_key, made.sign_count, device,
        )  # fmt: skip
    except UniqueViolationError:
        raise Conflict("This passkey is registered already.") from None


class Passkey(msgspec.Struct, frozen=True):
    """A passkey of an account for its list. `key` names it and signs nobody in; `name` is what the person called it."""

    key: str
    name: str
    device: str
    created: datetime
    used: datetime | None


async def of_account(connection: Connection[Any], keyring: Keyring, account: UUID) -> list[Passkey]:
    """The passkeys of an account, the oldest first."""
    rows = await connection.fetch("SELECT credential, name, device, created, used FROM passkeys WHERE account = $1 ORDER BY created, credential", account)
    return [Passkey(sessions.key_of(row["credential"]), _opened(keyring, row), row["device"], row["created"], row["used"]) for row in rows]


def _opened(keyring: Keyring, row: Any) -> str:
    return keyring.hub_sealer("passkeys").open(row["name"], b"name", row["credential"]).decode() if row["name"] is not None else ""


async def rename(connection: Connection[Any], keyring: Keyring, account: UUID, key: str, name: str) -> None:
    """Call a passkey something else; an empty name gives it back that of its device. Raises BadRequest, NotFound."""
    plain = " ".join(name.split())
    if len(plain) > LONGEST_NAME:
        raise BadRequest(f"A name has up to {LONGEST_NAME} letters.", field="name")
    credential = await _credential_of(connection, account, key)
    sealed = keyring.hub_sealer("passkeys").seal(plain.encode(), b"name", credential) if plain else None
    await connection.execute("UPDATE passkeys SET name = $2 WHERE credential = $1", credential, sealed)


async def remove(connection: Connection[Any], account: UUID, key: str) -> None:
    """It signs nobody in any more. Raises NotFound, or Conflict for the only way in that the account has."""
    async with connection.transaction():
        password = await connection.fetchval("SELECT password FROM accounts WHERE id = $1 FOR UPDATE", account)
        credential = await _credential_of(connection, account, key)
        if password is None and await connection.fetchval("SELECT count(*) FROM passkeys WHERE account = $1", account) < 2:
            raise Conflict("This is the only way in that the account has.", code="last-way-in", advice="Add another passkey first.")
        await connection.execute("DELETE FROM passkeys WHERE credential = $1", credential)


async def _credential_of(connection: Connection[Any], account: UUID, key: str) -> bytes:
    for row in await connection.fetch("SELECT credential FROM passkeys WHERE account = $1", account):
        if sessions.key_of(row["credential"]) == key:
            return bytes(row["credential"])
    raise NotFound("There is no such passkey.")


async def authentication_options(connection: Connection[Any], settings: Settings, session: Session, now: datetime) -> str:
    """Options for `navigator.credentials.get()`, as JSON; they name no credential, so they tell nothing about accounts."""
    challenge = await sessions.challenge(connection, session.token, "sign-in", now)
    options = webauthn.generate_authentication_options(rp_id=_rp_id(settings), challenge=challenge, timeout=_TIMEOUT_MS, user_verification=_REQUIRED)
    return webauthn.options_to_json(options)


async def signed_in(connection: Connection[Any], settings: Settings, session: Session, answer: dict[str, Any], now: datetime) -> UUID:
    """The account whose passkey answered this session's challenge. Raises Unauthenticated, in the same words whatever was wrong."""
    challenge = await sessions.spend_challenge(connection, session.token, "sign-in", now)
    row = await connection.fetchrow(_KNOWN, _credential_id(answer))
    if row is None:
        raise _refusal()
    try:
        proof = webauthn.verify_authentication_response(
            credential=answer, expected_challenge=challenge, expected_rp_id=_rp_id(settings), expected_origin=_origin(settings),
            credential_public_key=row["public_key"], credential_current_sign_count=row["sign_count"], require_user_verification=False,
        )  # fmt: skip
    except Exception:  # as above
        raise _refusal() from None
    if not proof.user_verified:  # told to the passkey's holder alone: whoever has no such passkey was refused before
        raise _not_verified()
    if not _user_fits(answer, row["account"]) or not await _counted(connection, row["credential"], proof.new_sign_count):
        raise _refusal()
    return UUID(bytes=row["account"].bytes)


_KNOWN = """SELECT credential, account, public_key, sign_count FROM passkeys JOIN accounts a ON a.id = account
WHERE credential = $1 AND a.ended IS NULL"""


async def _counted(connection: Connection[Any], credential_id: bytes, count: int) -> bool:
    """Take over the signature counter; False when another sign-in has moved it on meanwhile (a copied authenticator)."""
    status = await connection.execute(
        "UPDATE passkeys SET sign_count = $2, used = now() WHERE credential = $1 AND (sign_count < $2 OR sign_count = 0 AND $2 = 0)", credential_id, count
    )
    return bool(status == "UPDATE 1")


def _user_fits(answer: dict[str, Any], account: UUID) -> bool:
    handle = answer["response"].get("userHandle")
    return handle is None or base64url_to_bytes(handle) == account.bytes


def _credential_id(answer: dict[str, Any]) -> bytes:
    stated = answer.get("rawId")
    try:
        return base64url_to_bytes(stated) if isinstance(stated, str) else b""
    except ValueError:
        return b""


def _refusal() -> Unauthenticated:
    return Unauthenticated("The passkey was not accepted.", code="sign-in-failed", advice="Begin again, or use another way to sign in.")


def _not_verified() -> Unauthenticated:
    return Unauthenticated(
        "The device did not check that it is you.", code="not-verified", advice="Confirm with a finger, your face or the screen lock, or use your password."
    )


def _rp_id(settings: Settings) -> str:
    return urlsplit(settings.base_url).hostname or "localhost"


def _origin(settings: Settings) -> str:
    base = urlsplit(settings.base_url)
    return f"{base.scheme}://{base.netloc}"
