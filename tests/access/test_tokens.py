"""The token endpoint over HTTP: who gets a token, and every assertion that must not."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from hub.access import keys

pytestmark = pytest.mark.anyio

BASE = "http://hub.example"


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def content(token: str) -> dict[str, Any]:
    """The claims of a token, unverified."""
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


async def refused(http: httpx.AsyncClient, form: dict[str, str], error: str = "invalid_client", path: str = "/oauth/token") -> None:
    """The answer is RFC 6749's, is not kept anywhere, and quotes nothing of what was sent."""
    answer = await http.post(path, data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert set(answer.json()) == {"error", "error_description"}
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert not any(value in answer.text for name, value in form.items() if len(value) > 3 and name not in ("scope", "grant_type"))


async def test_a_party_gets_a_token_for_its_first_purpose(http: httpx.AsyncClient, register: Any) -> None:
    hospital = await register("hospital", purposes=("TREAT", "HRESCH"))
    answer = await http.post("/oauth/token", data=hospital.form(scope="system/*.cruds patient/*.rs intake.write"))
    assert answer.status_code == 200
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("bearer", 300, "system/*.rs intake.write")
    claims = content(body["access_token"])
    assert claims["exp"] - claims["iat"] == 300
    assert {name: claims[name] for name in ("iss", "aud", "sub", "party", "party_id", "scope", "purpose", "purposes")} == {
        "iss": BASE, "aud": f"{BASE}/fhir", "sub": hospital.id, "party": hospital.party.number, "party_id": str(hospital.party.id),
        "scope": "system/*.rs intake.write", "purpose": "TREAT", "purposes": ["TREAT", "HRESCH"],
    }  # fmt: skip


async def test_the_published_key_verifies_the_token(http: httpx.AsyncClient, register: Any) -> None:
    token = await (await register()).token(http)
    (key,) = (await http.get("/oauth/jwks")).json()["keys"]
    assert "d" not in key
    assert jwt.decode(token, ECKey.import_key(key), algorithms=["ES256"]).header["kid"] == key["kid"]


async def test_a_party_without_purposes_gets_a_token_without_one(http: httpx.AsyncClient, register: Any) -> None:
    centre = await register("fitness-center")
    claims = content(await centre.token(http, scope="intake.write"))
    assert ("purpose" in claims, claims["purposes"]) == (False, [])


async def test_a_client_may_bind_its_token_to_one_of_its_purposes(http: httpx.AsyncClient, register: Any) -> None:
    hospital = await register("hospital", purposes=("TREAT", "HRESCH"))
    assert content(await hospital.token(http, purpose="HRESCH"))["purposes"] == ["HRESCH"]
    by_header = await http.post("/oauth/token", data=hospital.form(), headers={"X-Purpose-Of-Use": "HRESCH"})
    assert content(by_header.json()["access_token"])["purpose"] == "HRESCH"
    await refused(http, hospital.form(purpose="PUBHLTH"), "invalid_request")


@pytest.mark.parametrize("algorithm", ["RS384", "PS256", "ES256"])
async def test_other_registered_algorithms_are_taken(http: httpx.AsyncClient, register: Any, algorithm: str) -> None:
    key = (ECKey.generate_key("P-256") if algorithm == "ES256" else RSAKey.generate_key(2048)).as_dict(private=True) | {"kid": "k1"}
    public = {name: key[name] for name in ("kty", "kid", "crv", "x", "y", "n", "e") if name in key}
    client = await register(key=key, jwks={"keys": [public]})
    answer = await http.post("/oauth/token", data=client.form(client.assertion(header={"alg": algorithm})))
    assert answer.status_code == 200, answer.text


async def test_a_key_registered_for_one_algorithm_serves_no_other(http: httpx.AsyncClient, register: Any) -> None:
    key = RSAKey.generate_key(2048).as_dict(private=True) | {"kid": "k1"}
    client = await register(key=key, jwks={"keys": [{name: key[name] for name in ("kty", "kid", "n", "e")} | {"alg": "PS256"}]})
    await refused(http, client.form(client.assertion(header={"alg": "RS384"})))
    assert (await http.post("/oauth/token", data=client.form(client.assertion(header={"alg": "PS256"})))).status_code == 200


async def test_an_assertion_must_be_right_in_every_claim(http: httpx.AsyncClient, register: Any) -> None:
    client, other = await register(), await register()
    now = int(time.time())
    wrong = {
        **{f"no {name}": client.assertion(without=name) for name in ("iss", "sub", "aud", "exp", "jti")},
        "expired": client.assertion(iat=now - 200, exp=now - 1),
        "valid for 30 years": client.assertion(exp=now + 30 * 365 * 86400),
        "valid for 302 seconds": client.assertion(exp=now + 302),
        "exp is infinite": client.assertion(exp=float("inf")),
        "exp is not a number": client.assertion(exp=float("nan")),
        "exp is text": client.assertion(exp=str(now + 60)),
        "exp is true": client.assertion(exp=True),
        "iat in two minutes": client.assertion(iat=now + 120),
        "nbf in two minutes": client.assertion(nbf=now + 120),
        "aud of another endpoint": client.assertion(aud=f"{BASE}/oauth/introspect"),
        "aud of the FHIR base": client.assertion(aud=f"{BASE}/fhir"),
        "aud with a slash more": client.assertion(aud=f"{BASE}/oauth/token/"),
        "two audiences": client.assertion(aud=[f"{BASE}/oauth/token", "https://other.example/token"]),
        "empty aud": client.assertion(aud=[]),
        "iss is another": client.assertion(iss=other.id),
        "sub is another": client.assertion(sub=other.id),
        "both are another": client.assertion(iss=other.id, sub=other.id),
        "unknown client": client.assertion(iss="hospital-000000000000", sub="hospital-000000000000"),
        "client with a NUL": client.assertion(iss="hospital\x00", sub="hospital\x00"),
        "client with a surrogate": client.assertion(iss="\ud800", sub="\ud800"),
        "sub is a list": client.assertion(sub=[client.id]),
        "jti is empty": client.assertion(jti=""),
        "jti is a number": client.assertion(jti=7),
    }
    for assertion in wrong.values():
        await refused(http, client.form(assertion))


async def test_an_assertion_at_the_edges_is_taken(http: httpx.AsyncClient, register: Any) -> None:
    client = await register()
    now = int(time.time())
    for good in (
        client.assertion(aud=[f"{BASE}/oauth/token"]),
        client.assertion(exp=now + 300),
        client.assertion(iat=now + 50),
        client.assertion(without="iat"),
        client.assertion(header={"typ": None}),
        client.assertion(jti="\ud800"),
    ):
        assert (await http.post("/oauth/token", data=client.form(good))).status_code == 200


async def test_an_assertion_must_be_signed_by_the_registered_key(http: httpx.AsyncClient, register: Any) -> None:
    client, other = await register(), await register()
    stranger, public = ECKey.generate_key("P-384"), ECKey.import_key(client.key).as_pem(private=False)
    stranger_jwk = {name: value for name, value in stranger.as_dict(private=False).items() if name in ("kty", "crv", "x", "y")}
    head, body, signature = client.assertion().split(".")
    wrong = {
        "stranger's key": client.assertion(sign_with=stranger),
        "other client's key": client.assertion(sign_with=ECKey.import_key(other.key), header={"kid": other.key["kid"]}),
        "unknown kid": client.assertion(header={"kid": "unknown"}),
        "no kid": client.assertion(header={"kid": None}),
        "another curve": client.assertion(sign_with=ECKey.generate_key("P-256"), header={"alg": "ES256"}),
        "jwk in the header": client.assertion(sign_with=stranger, header={"jwk": stranger_jwk}),
        "jku in the header": client.assertion(header={"jku": "https://evil.example/jwks"}),
        "x5u in the header": client.assertion(header={"x5u": "https://evil.example/cert"}),
        "an access token's type": client.assertion(header={"typ": "at+jwt"}),
    }
    by_hmac = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': client.key['kid']})}.{body}"
    wrong |= {
        "HS256 over the public PEM": f"{by_hmac}.{encoded(hmac.digest(public, by_hmac.encode(), 'sha256'))}",
        "alg none": f"{encoded({'alg': 'none', 'typ': 'JWT', 'kid': client.key['kid']})}.{body}.",
        "alg none, signed": f"{encoded({'alg': 'none', 'typ': 'JWT', 'kid': client.key['kid']})}.{body}.{signature}",
        "alg a list": f"{encoded({'alg': ['ES384'], 'kid': client.key['kid']})}.{body}.{signature}",
        "kid a list": f"{encoded({'alg': 'ES384', 'kid': [client.key['kid']]})}.{body}.{signature}",
        "crit unknown": f"{encoded({'alg': 'ES384', 'kid': client.key['kid'], 'crit': ['x'], 'x': 1})}.{body}.{signature}",
        "b64 false": f"{encoded({'alg': 'ES384', 'kid': client.key['kid'], 'crit': ['b64'], 'b64': False})}.{body}.{signature}",
        "claims changed": f"{head}.{encoded(content(client.assertion()))}.{signature}",
        "no signature": f"{head}.{body}.",
        "zero signature": f"{head}.{body}.{encoded(bytes(96))}",
        "claims a list": f"{head}.{encoded([1])}.{signature}",
        "claims very deep": f"{head}.{encoded(b'[' * 11000)}.{signature}",
        "over 16 KB": client.assertion(padding="x" * 16 * 1024),
        "one word": "assertion",
        "dots": "..",
        "not ASCII": "é.é.é",
    }
    for assertion in wrong.values():
        await refused(http, client.form(assertion))


async def test_a_removed_key_is_refused_and_the_added_one_taken(http: httpx.AsyncClient, register: Any, hub: Any) -> None:
    client = await register()
    private, public = keys.new_client_key()
    async with hub.database.connection() as connection:
        await connection.execute("UPDATE parties SET jwks = $2 WHERE client_id = $1", client.id, msgspec.json.encode(public).decode())
    await refused(http, client.form())
    client.key = private
    assert await client.token(http)


async def test_a_short_or_symmetric_registered_key_is_refused(http: httpx.AsyncClient, register: Any) -> None:
    with warnings.catch_warnings():  # joserfc warns of the key size
        warnings.simplefilter("ignore")
        short = RSAKey.generate_key(1024).as_dict(private=True) | {"kid": "k1"}
        client = await register(key=short, jwks={"keys": [{name: short[name] for name in ("kty", "kid", "n", "e")}]})
        await refused(http, client.form(client.assertion(header={"alg": "RS384"})))
    symmetric = OctKey.generate_key(256)
    client = await register(key={"kty": "oct", "kid": "k1"}, jwks={"keys": [symmetric.as_dict() | {"kid": "k1"}]})
    await refused(http, client.form(client.assertion(sign_with=symmetric, header={"alg": "HS256"})))


async def test_an_assertion_serves_once(http: httpx.AsyncClient, register: Any) -> None:
    client = await register()
    assertion = client.assertion()
    assert (await http.post("/oauth/token", data=client.form(assertion))).status_code == 200
    await refused(http, client.form(assertion))
    await refused(http, client.form(client.assertion(jti=content(assertion)["jti"])))


async def test_a_jti_of_another_client_does_not_stand_in_the_way(http: httpx.AsyncClient, register: Any) -> None:
    one, two = await register(), await register()
    for client in (one, two):
        assert (await http.post("/oauth/token", data=client.form(client.assertion(jti="same")))).status_code == 200


async def test_of_fifty_parallel_uses_exactly_one_succeeds(http: httpx.AsyncClient, register: Any) -> None:
    client = await register()
    form = client.form()
    answers = await asyncio.gather(*(http.post("/oauth/token", data=form) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49
    assert {answer.json()["error"] for answer in answers if answer.status_code == 400} == {"invalid_client"}


async def test_a_used_assertion_is_refused_by_a_worker_that_started_later(
    http: httpx.AsyncClient, register: Any, second_worker: Any, browser: Callable[[Any], httpx.AsyncClient]
) -> None:
    client = await register()
    form = client.form()
    assert (await http.post("/oauth/token", data=form)).status_code == 200
    async with browser(second_worker) as there:
        await refused(there, form)


async def test_used_assertions_are_forgotten_when_they_are_long_expired(http: httpx.AsyncClient, register: Any, hub: Any) -> None:
    client = await register()
    await client.token(http)
    async with hub.database.connection() as connection:
        await connection.execute("UPDATE assertions SET expires = expires - interval '1 day' WHERE client_id = $1", client.id)
        await client.token(http)
        assert await connection.fetchval("SELECT count(*) FROM assertions WHERE client_id = $1", client.id) == 1


async def test_other_grants_and_broken_requests_are_refused_in_their_own_words(http: httpx.AsyncClient, register: Any) -> None:
    client, insurer = await register(), await register("insurer")
    for grant in ("password", "authorization_code", "refresh_token", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"):
        await refused(http, client.form(grant_type=grant), "unsupported_grant_type")
    await refused(http, client.form(grant_type=None), "invalid_request")
    await refused(http, client.form(client_assertion_type="urn:other"))
    await refused(http, client.form(client_assertion_type=None))
    await refused(http, client.form() | {"client_assertion": ""})
    await refused(http, client.form(client_id=insurer.id), "invalid_request")
    await refused(http, client.form(scope=None), "invalid_scope")
    await refused(http, client.form(scope="system/Observation.sr"), "invalid_scope")
    await refused(http, client.form(scope="patient/*.rs"), "invalid_scope")
    await refused(http, insurer.form(scope="intake.write"), "invalid_scope")


async def test_a_body_that_is_no_small_form_is_refused(http: httpx.AsyncClient, register: Any) -> None:
    client = await register()
    form = client.form()
    assert (await http.post("/oauth/token", json=form)).json()["error"] == "invalid_request"
    assert (await http.post("/oauth/token", data=form, params={"scope": "x"})).status_code == 200
    twice = httpx.QueryParams(client.form()).add("scope", "system/*.cruds")
    head = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await http.post("/oauth/token", content=str(twice), headers=head)).json()["error"] == "invalid_request"
    assert (await http.post("/oauth/token", content=b"grant_type=%ff", headers=head)).json()["error"] == "invalid_request"
    large = await http.post("/oauth/token", content=b"a" * 100_000, headers=head)
    assert (large.status_code, large.json()["error"]) == (413, "invalid_request")


async def test_a_client_secret_in_the_header_is_answered_with_401(http: httpx.AsyncClient, register: Any) -> None:
    client = await register()
    answer = await http.post("/oauth/token", data={"grant_type": "client_credentials", "scope": "system/*.rs"}, auth=(client.id, "secret"))
    assert (answer.status_code, answer.json()["error"], answer.headers["www-authenticate"]) == (401, "invalid_client", "Basic")


async def test_introspection_answers_only_the_owner(http: httpx.AsyncClient, register: Any) -> None:
    owner, other = await register(), await register()
    token = await owner.token(http)
    mine = (await http.post("/oauth/introspect", data=owner.form(token=token))).json()
    assert (mine["active"], mine["client_id"], mine["scope"], mine["purpose"]) == (True, owner.id, "system/*.rs", "TREAT")
    assert (await http.post("/oauth/introspect", data=other.form(token=token))).json() == {"active": False}
    assert (await http.post("/oauth/introspect", data=owner.form(token="x.y.z"))).json() == {"active": False}
    assert (await http.post("/oauth/introspect", data=owner.form(token=owner.assertion()))).json() == {"active": False}
    await refused(http, {"token": token}, path="/oauth/introspect")


async def test_an_assertion_for_introspection_gets_no_token(http: httpx.AsyncClient, register: Any) -> None:
    client = await register()
    elsewhere = client.assertion(aud=f"{BASE}/oauth/introspect")
    assert (await http.post("/oauth/introspect", data=client.form(elsewhere, token="x"))).status_code == 200
    await refused(http, client.form(client.assertion(aud=f"{BASE}/oauth/introspect")))


async def test_a_revoked_token_is_refused_at_once(http: httpx.AsyncClient, register: Any) -> None:
    owner, other = await register(), await register()
    token = await owner.token(http)
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await http.post("/oauth/revoke", data=other.form(token=token))).status_code == 200
    assert (await http.get("/fhir/Observation", headers=bearer)).status_code == 200
    assert (await http.post("/oauth/revoke", data=owner.form(token=token))).status_code == 200
    assert (await http.get("/fhir/Observation", headers=bearer)).status_code == 401
    assert (await http.post("/oauth/introspect", data=owner.form(token=token))).json() == {"active": False}
    assert (await http.post("/oauth/revoke", data=owner.form(token="nonsense"))).status_code == 200
