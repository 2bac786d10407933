"""Who calls: from the Authorization header only, for a purpose the token carries, while the party is registered."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from hub.access import known
from schemas.errors import Unauthenticated

pytestmark = pytest.mark.anyio

BASE = "http://hub.example"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def read(http: httpx.AsyncClient, token: str, **headers: str) -> httpx.Response:
    return await http.get("/fhir/Observation", headers=bearer(token) | headers)


async def test_a_token_names_its_party_and_purpose(http: httpx.AsyncClient, register: Any) -> None:
    client = await register()
    token = await client.token(http)
    for _ in range(2):  # verified, then remembered
        answer = await read(http, token)
        assert answer.json() == {"party": client.party.number, "actor": client.party.reference, "purpose": "TREAT"}


async def test_a_header_chooses_among_the_purposes_and_never_adds(http: httpx.AsyncClient, register: Any) -> None:
    client = await register(purposes=("TREAT", "HRESCH"))
    token = await client.token(http)
    assert (await read(http, token, **{"X-Purpose-Of-Use": "HRESCH"})).json()["purpose"] == "HRESCH"
    assert (await read(http, token)).json()["purpose"] == "TREAT"
    assert (await read(http, token, **{"X-Purpose-Of-Use": "PUBHLTH"})).status_code == 403
    assert (await read(http, token, **{"X-Purpose-Of-Use": ""})).status_code == 403
    bound = await client.token(http, purpose="TREAT")
    assert (await read(http, bound, **{"X-Purpose-Of-Use": "HRESCH"})).status_code == 403


async def test_a_party_without_purpose_cannot_choose_one(http: httpx.AsyncClient, register: Any) -> None:
    token = await (await register("fitness-center")).token(http)
    assert (await read(http, token)).json()["purpose"] is None
    assert (await read(http, token, **{"X-Purpose-Of-Use": "TREAT"})).status_code == 403


async def test_a_token_anywhere_but_in_the_header_is_refused(http: httpx.AsyncClient, register: Any) -> None:
    token = await (await register()).token(http)
    assert (await http.get("/fhir/Observation", params={"access_token": token})).status_code == 401
    assert (await http.get("/fhir/Observation", params={"access_token": token}, headers=bearer(token))).status_code == 401
    assert (await http.get("/fhir/Observation", headers={"Cookie": f"access_token={token}"})).status_code == 401
    assert (await http.request("GET", "/fhir/Observation", data={"access_token": token})).status_code == 401
    assert (await http.get("/fhir/Observation", headers=[("Authorization", f"Bearer {token}")] * 2)).status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x.y.z", "Bearer é.é.é", "Bearer " + "x" * 20_000, "DPoP x"])
async def test_other_headers_are_refused(http: httpx.AsyncClient, header: str) -> None:
    assert (await http.get("/fhir/Observation", headers={"Authorization": header.encode()})).status_code == 401


async def test_only_tokens_of_this_hub_for_its_fhir_base_are_taken(http: httpx.AsyncClient, register: Any, hub: Any) -> None:
    client = await register()
    own, now = hub.keyring.signing_key(), int(time.time())
    good = {
        "iss": BASE, "aud": f"{BASE}/fhir", "sub": client.id, "party": client.party.number, "party_id": str(client.party.id),
        "scope": "system/*.rs", "purposes": ["TREAT"], "exp": now + 100,
    }  # fmt: skip

    def signed(key: ECKey = own, typ: str = "at+jwt", without: str = "", **changed: Any) -> str:
        content = good | {"jti": str(time.perf_counter_ns())} | changed
        content.pop(without, None)
        return jwt.encode({"alg": "ES256", "typ": typ, "kid": own.thumbprint()}, content, key, algorithms=["ES256"])

    assert (await read(http, signed())).status_code == 200
    wrong = {
        "another audience": signed(aud=f"{BASE}/oauth/token"),
        "another hub's base": signed(aud="http://other.example/fhir"),
        "several audiences": signed(aud=[f"{BASE}/fhir", "http://other.example/fhir"]),
        "another issuer": signed(iss="http://other.example"),
        "another key": signed(ECKey.generate_key("P-256")),
        "another type": signed(typ="JWT"),
        "expired": signed(exp=now - 1),
        "30 years": signed(exp=now + 30 * 365 * 86400),
        **{f"no {name}": signed(without=name) for name in ("iss", "aud", "sub", "exp", "jti")},
        "the client's assertion": client.assertion(aud=f"{BASE}/fhir"),
    }
    for token in wrong.values():
        assert (await read(http, token)).status_code == 401


async def test_scopes_bound_what_a_token_may_do(http: httpx.AsyncClient, register: Any) -> None:
    client = await register()
    narrow = await client.token(http, scope="system/Patient.rs system/Observation.r")
    assert (await read(http, narrow)).status_code == 403
    assert (await http.post("/intake/fit", headers=bearer(narrow))).status_code == 403
    assert (await http.post("/intake/fit", headers=bearer(await client.token(http, scope="intake.write")))).status_code == 200


async def test_a_remembered_token_ends_when_it_expires(http: httpx.AsyncClient, register: Any, hub: Any) -> None:
    token = await (await register()).token(http)
    assert (await read(http, token)).status_code == 200
    with pytest.raises(Unauthenticated):
        await known.token(hub, token, time.time() + 301)


async def test_a_revocation_on_another_worker_is_heard_of_in_seconds(http: httpx.AsyncClient, register: Any, hub: Any) -> None:
    client = await register()
    token = await client.token(http)
    assert (await read(http, token)).status_code == 200
    async with hub.database.connection() as connection:  # what a revocation on another worker leaves behind
        claims = known.verified(hub, token, time.time())
        await known.assertions.noted(connection, known.revoked(client.id), claims["jti"], claims["exp"])
    with pytest.raises(Unauthenticated):
        await known.token(hub, token, time.time() + known.RECHECK_S + 1)
    assert (await read(http, token)).status_code == 401


async def test_a_removed_party_and_a_removed_purpose_end_with_the_next_check(http: httpx.AsyncClient, register: Any, second_worker: Any) -> None:
    client = await register(purposes=("TREAT", "HRESCH"))
    token = await client.token(http)
    assert (await read(http, token)).json()["purpose"] == "TREAT"
    async with second_worker.database.connection() as connection:
        await connection.execute("UPDATE parties SET purposes = '{HRESCH}' WHERE client_id = $1", client.id)
        start = time.time()
        assert (await known.token(second_worker, token, start + known.RECHECK_S + 1)).claims["purposes"] == ["HRESCH"]
        await connection.execute("DELETE FROM parties WHERE client_id = $1", client.id)
        with pytest.raises(Unauthenticated):
            await known.token(second_worker, token, start + 2 * known.RECHECK_S + 2)
