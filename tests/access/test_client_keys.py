"""The client's side: keys made here work at the token endpoint, and only public keys are registered."""

from __future__ import annotations

import warnings
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from hub.access import keys
from schemas.errors import BadRequest, Unauthenticated, Unavailable

pytestmark = pytest.mark.anyio

TOKEN_URL = "http://hub.example/oauth/token"


async def test_a_new_key_fetches_a_token_that_reads(http: httpx.AsyncClient, register: Any) -> None:
    client = await register(purposes=("TREAT", "HRESCH"))
    token = await keys.fetch_token(http, TOKEN_URL, client.id, client.key, "system/*.rs", "HRESCH")
    assert (token.expires_in, token.scope) == (300, "system/*.rs")
    answer = await http.get("/fhir/Observation", headers={"Authorization": f"Bearer {token.access_token}"})
    assert answer.json()["purpose"] == "HRESCH"


async def test_a_refusal_says_its_reason_and_no_more(http: httpx.AsyncClient, register: Any) -> None:
    client, other = await register(), await register("insurer")
    with pytest.raises(Unauthenticated) as refusal:
        await keys.fetch_token(http, TOKEN_URL, client.id, other.key, "system/*.rs")
    assert refusal.value.code == "invalid_client"
    with pytest.raises(Unauthenticated) as refusal:
        await keys.fetch_token(http, TOKEN_URL, other.id, other.key, "intake.write")
    assert refusal.value.code == "invalid_scope"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [(500, "", Unavailable), (503, "{}", Unavailable), (429, "{}", Unavailable), (200, "<html>", Unavailable), (200, "[]", Unavailable),
     (401, "<html>", Unauthenticated), (400, '{"error": ["x"]}', Unauthenticated), (400, "[]", Unauthenticated), (302, "", Unauthenticated)],
)  # fmt: skip
async def test_a_foreign_endpoint_may_answer_anything(status: int, body: str, error: type[Exception]) -> None:
    key, _ = keys.new_client_key()
    answer = httpx.MockTransport(lambda _request: httpx.Response(status, text=body))
    async with httpx.AsyncClient(transport=answer) as http:
        with pytest.raises(error):
            await keys.fetch_token(http, "http://city.example/token", "hub", key, "system/*.cruds")


async def test_an_endpoint_that_is_not_reached_is_unavailable() -> None:
    def down(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down")

    async with httpx.AsyncClient(transport=httpx.MockTransport(down)) as http:
        with pytest.raises(Unavailable):
            await keys.fetch_token(http, "http://city.example/token", "hub", keys.new_client_key()[0], "system/*.cruds")


async def test_a_public_or_foreign_key_signs_nothing() -> None:
    private, public = keys.new_client_key()
    for wrong in (public["keys"][0], {}, {"kty": "EC"}, OctKey.generate_key(256).as_dict(), {"kty": "RSA", "n": 7}):
        with pytest.raises(BadRequest):
            keys.client_assertion("hub", wrong, TOKEN_URL)
    assert keys.client_assertion("hub", private, TOKEN_URL).count(".") == 2


async def test_only_public_keys_of_sufficient_strength_are_registered() -> None:
    private, public = keys.new_client_key()
    rsa = RSAKey.generate_key(2048).as_dict(private=False) | {"kid": "r", "alg": "RS384"}
    assert keys.registrable(public) == public
    assert keys.registrable({"keys": [rsa]}) == {"keys": [rsa]}
    with warnings.catch_warnings():  # joserfc warns of the key size
        warnings.simplefilter("ignore")
        short = RSAKey.generate_key(1024).as_dict(private=False) | {"kid": "s"}
    no_kid = {name: value for name, value in public["keys"][0].items() if name != "kid"}
    p521 = ECKey.generate_key("P-521").as_dict(private=False) | {"kid": "p"}
    symmetric = OctKey.generate_key(256).as_dict() | {"kid": "k"}
    for member in (private, short, no_kid, p521, symmetric, rsa | {"alg": "RS256"}, public["keys"][0] | {"alg": "ES256"}, "x"):
        with pytest.raises(BadRequest):
            keys.registrable({"keys": [member]})
    for wrong in (None, [], {"keys": {}}, {"keys": []}, "x"):
        with pytest.raises(BadRequest):
            keys.registrable(wrong)
