"""Passkeys over HTTP, with an authenticator in software that can also do everything wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from typing import Any
from uuid import UUID, uuid4

import cbor2
import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from hub.access import sessions
from schemas.errors import Unauthenticated

pytestmark = pytest.mark.anyio

PASSWORD = "a long walk by the river"
ORIGIN, RP_ID = "http://hub.example", "hub.example"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Authenticator:
    """A phone with one ES256 passkey."""

    def __init__(self) -> None:
        self.key, self.id, self.count = ec.generate_private_key(ec.SECP256R1()), token_bytes(16), 0
        self.user: str | None = None

    def data(self, flags: int, rp_id: str, extra: bytes = b"") -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + struct.pack(">I", self.count) + extra

    def make(self, options: dict[str, Any], *, origin: str = ORIGIN, rp_id: str = RP_ID, verified: bool = True) -> dict[str, Any]:
        """Answer to `navigator.credentials.create()`."""
        self.user = options["user"]["id"]
        point = self.key.public_key().public_numbers()
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})
        attested = bytes(16) + struct.pack(">H", len(self.id)) + self.id + public
        flags = PRESENT | ATTESTED | (VERIFIED if verified else 0)
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": self.data(flags, rp_id, attested)})
        client = json.dumps({"type": "webauthn.create", "challenge": options["challenge"], "origin": origin}).encode()
        return self._credential({"clientDataJSON": b64(client), "attestationObject": b64(statement)})

    def answer(self, options: dict[str, Any], *, origin: str = ORIGIN, rp_id: str = RP_ID, verified: bool = True, type_: str = "webauthn.get",
               count: int | None = None, user: str | None = None) -> dict[str, Any]:  # fmt: skip
        """Answer to `navigator.credentials.get()`."""
        self.count = self.count + 1 if count is None else count
        data = self.data(PRESENT | (VERIFIED if verified else 0), rp_id)
        client = json.dumps({"type": type_, "challenge": options["challenge"], "origin": origin}).encode()
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._credential(
            {"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": user or self.user}
        )

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        return {"id": b64(self.id), "rawId": b64(self.id), "type": "public-key", "response": response, "clientExtensionResults": {}}


async def guest(http: httpx.AsyncClient) -> dict[str, str]:
    """Open the sign-in page; the header with its CSRF token."""
    page = await http.get("/sign-in")
    return {"X-CSRF-Token": re.search(r"csrf=(\S+)", page.text)[1]}  # type: ignore[index]


async def asked(http: httpx.AsyncClient, headers: dict[str, str], path: str = "/sign-in/passkey") -> dict[str, Any]:
    answer = await http.post(f"{path}/options", headers=headers)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    return dict(answer.json())


@pytest.fixture
async def phone(hub: Any, account: Any, browser: Callable[[Any], httpx.AsyncClient]) -> Authenticator:
    """An authenticator registered by a resident who signed in by password."""
    authenticator, login = Authenticator(), uuid4().hex
    await account(login, password=PASSWORD)
    async with browser(hub) as http:
        csrf = (await guest(http))["X-CSRF-Token"]
        await http.post("/sign-in", data={"login": login, "password": PASSWORD, "csrf": csrf})
        headers = {"X-CSRF-Token": (await http.get("/resident")).json()["csrf"]}
        options = await asked(http, headers, "/account/passkeys")
        assert options["authenticatorSelection"]["userVerification"] == "required"
        made = await http.post("/account/passkeys", json=authenticator.make(options), headers=headers)
        assert made.status_code == 201, made.text
    return authenticator


async def test_a_passkey_signs_its_owner_in(http: httpx.AsyncClient, phone: Authenticator) -> None:
    headers = await guest(http)
    before = http.cookies["kinehub_session"]
    options = await asked(http, headers)
    assert (options["rpId"], options["userVerification"], options.get("allowCredentials", [])) == (RP_ID, "required", [])
    entered = await http.post("/sign-in/passkey", params={"next": "/resident/log"}, json=phone.answer(options), headers=headers)
    assert (entered.status_code, entered.json()) == (200, {"next": "/resident/log"})
    assert http.cookies["kinehub_session"] != before
    assert (await http.get("/resident")).json()["name"] == "李娜"


async def test_every_wrong_answer_is_refused_in_the_same_words(http: httpx.AsyncClient, phone: Authenticator) -> None:
    headers = await guest(http)
    stranger = Authenticator()
    impostor = Authenticator()
    impostor.id, impostor.user, impostor.count = phone.id, phone.user, 100

    async def answered(make: Callable[[dict[str, Any]], Any]) -> tuple[int, str]:
        answer = await http.post("/sign-in/passkey", json=make(await asked(http, headers)), headers=headers)
        return answer.status_code, answer.text

    wrong: list[Callable[[dict[str, Any]], Any]] = [
        stranger.answer,
        impostor.answer,
        lambda options: phone.answer(options, origin="https://evil.example"),
        lambda options: phone.answer(options, rp_id="evil.example"),
        lambda options: stranger.answer(options, verified=False),
        lambda options: impostor.answer(options, verified=False),
        lambda options: phone.answer(options, type_="webauthn.create"),
        lambda options: phone.answer(options, user=b64(UUID(int=1).bytes)),
        lambda options: phone.answer(options | {"challenge": b64(token_bytes(32))}),
        lambda options: phone.answer(options) | {"id": b64(b"other")},
        lambda options: phone.answer(options) | {"rawId": 7},
        lambda options: phone.answer(options) | {"rawId": "é"},
        lambda options: phone.answer(options) | {"response": {}},
        lambda options: phone.answer(options) | {"response": None},
        lambda _options: {},
        lambda options: phone.answer(options, count=100),
        lambda options: phone.answer(options, count=99),
        lambda options: phone.answer(options, count=0),
    ]
    assert (await answered(lambda options: phone.answer(options, count=100)))[0] == 200
    await http.post("/sign-out", data={"csrf": (await http.get("/resident")).json()["csrf"]})
    headers, phone.count = await guest(http), 200
    answers = {await answered(make) for make in wrong}
    assert len(answers) == 1
    assert answers.pop()[0] == 401
    assert (await http.get("/resident")).status_code == 401
    assert (await answered(lambda options: phone.answer(options, count=101)))[0] == 200


async def test_a_passkey_that_did_not_check_who_holds_it_is_refused_and_told_why(http: httpx.AsyncClient, phone: Authenticator) -> None:
    headers = await guest(http)
    unverified = await http.post("/sign-in/passkey", json=phone.answer(await asked(http, headers), verified=False), headers=headers)
    assert (unverified.status_code, unverified.json()["code"]) == (401, "not-verified")
    assert (await http.get("/resident")).status_code == 401
    assert (await http.post("/sign-in/passkey", json=phone.answer(await asked(http, headers)), headers=headers)).status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b'{"a":' * 20_000, b"\xff"])
async def test_a_body_that_is_no_credential_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    headers = await guest(http)
    await asked(http, headers)
    assert (await http.post("/sign-in/passkey", content=body, headers=headers)).status_code in (400, 413)


async def test_a_challenge_serves_once_and_only_in_its_own_session(
    http: httpx.AsyncClient, hub: Any, phone: Authenticator, browser: Callable[[Any], httpx.AsyncClient]
) -> None:
    headers = await guest(http)
    first = await asked(http, headers)
    async with browser(hub) as thief:
        theirs = await guest(thief)
        await asked(thief, theirs)
        assert (await thief.post("/sign-in/passkey", json=phone.answer(first), headers=theirs)).status_code == 401
    wrong = phone.answer(first, origin="https://evil.example")
    assert (await http.post("/sign-in/passkey", json=wrong, headers=headers)).status_code == 401
    assert (await http.post("/sign-in/passkey", json=phone.answer(first), headers=headers)).status_code == 401


async def test_a_challenge_ends_after_five_minutes_and_serves_its_own_purpose(hub: Any) -> None:
    now = datetime.now(UTC)
    async with hub.database.connection() as connection:
        token = sessions.digest(await sessions.begin(connection, None, now))
        for purpose, later in (("sign-in", timedelta(minutes=5, seconds=1)), ("register", timedelta())):
            await sessions.challenge(connection, token, "sign-in", now)
            with pytest.raises(Unauthenticated):
                await sessions.spend_challenge(connection, token, purpose, now + later)
        fresh = await sessions.challenge(connection, token, "sign-in", now)
        assert await sessions.spend_challenge(connection, token, "sign-in", now + timedelta(minutes=4, seconds=59)) == fresh


async def test_passkeys_are_added_only_by_who_is_signed_in_and_verified(http: httpx.AsyncClient, account: Any, phone: Authenticator) -> None:
    headers, login = await guest(http), uuid4().hex
    assert (await http.post("/account/passkeys/options", headers=headers)).status_code == 401
    await account(login, password=PASSWORD)
    await http.post("/sign-in", data={"login": login, "password": PASSWORD, "csrf": headers["X-CSRF-Token"]})
    assert (await http.post("/account/passkeys/options")).status_code == 403
    headers = {"X-CSRF-Token": (await http.get("/resident")).json()["csrf"]}

    async def added(**wrong: Any) -> int:
        options = await asked(http, headers, "/account/passkeys")
        return (await http.post("/account/passkeys", json=Authenticator().make(options, **wrong), headers=headers)).status_code

    assert [await added(origin="https://evil.example"), await added(rp_id="evil.example"), await added(verified=False)] == [401] * 3
    assert await added() == 201
    taken = phone.make(await asked(http, headers, "/account/passkeys"))
    assert (await http.post("/account/passkeys", json=taken, headers=headers)).status_code == 409
    options = await asked(http, headers, "/account/passkeys")
    assert len(options["excludeCredentials"]) == 1
