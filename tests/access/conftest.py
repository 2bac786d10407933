"""A small application with the access routers over a real hub, and a signer for every kind of wrong assertion."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from secrets import token_urlsafe
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from hub.access import accounts, caller, keys, sessions, signin, tokens
from hub.audit.trail import Trail
from hub.settings import Settings
from hub.store import keyring, migrate, parties
from hub.store.database import Database, claim
from schemas.errors import KineHubError
from tests.databases import a_database

BASE = "http://hub.example"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def settings(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings over one migrated database for all tests of access: each has parties and accounts of its own."""
    folder = tmp_path_factory.mktemp("access")
    keyring.create(folder / "keyring.json")
    with a_database(postgres_dsn, "access") as url:
        migrate.upgrade(url)
        yield Settings(data_dir=folder, database_url=url, keyring=folder / "keyring.json", base_url=BASE)


class Hub(msgspec.Struct, frozen=True):
    """The parts of the hub that access stands on, each of them real."""

    settings: Settings
    database: Database
    keyring: keyring.Keyring
    trail: Trail


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[Hub]:
    ring, database = keyring.Keyring(settings.keyring), Database(str(settings.database_url))
    await claim(database, ring)
    trail = await Trail.start(database, ring, settings.data_dir)
    yield Hub(settings, database, ring, trail)
    await trail.stop()
    await database.close()


@pytest.fixture
async def hub(settings: Settings) -> AsyncIterator[Hub]:
    async with started(settings) as hub:
        yield hub


@pytest.fixture
async def second_worker(settings: Settings, hub: Hub) -> AsyncIterator[Hub]:
    """Another process's hub over the same database and keyring."""
    async with started(settings) as other:
        yield other


class Pages:
    """Shows what a page was given."""

    def render(self, request: Request, template: str, **context: Any) -> HTMLResponse:
        return HTMLResponse(f"{template} csrf={context['csrf']} next={context['next']} error={context['error']}")


def application(hub: Hub) -> FastAPI:
    """The access routers, and a few doors that stand for the rest of the hub."""
    app = FastAPI()
    app.state.hub, app.state.pages = hub, Pages()
    app.include_router(tokens.router)
    app.include_router(signin.router)

    @app.exception_handler(KineHubError)
    async def _refused(_request: Request, error: KineHubError) -> JSONResponse:
        return JSONResponse({"code": error.code, "message": error.message}, error.status)

    @app.get("/fhir/Observation")
    async def _observations(request: Request) -> dict[str, Any]:
        who = await caller.caller(request)
        caller.require(who, "Observation", "s")
        return {"party": who.party, "actor": who.actor, "purpose": who.purpose}

    @app.post("/intake/fit")
    async def _intake(request: Request) -> dict[str, Any]:
        caller.require_upload(await caller.caller(request))
        return {}

    @app.api_route("/resident", methods=["GET", "POST"])
    async def _resident(request: Request) -> dict[str, Any]:
        person = await sessions.require_person(request, "resident")
        return {"name": person.name, "resident": str(person.resident), "csrf": person.csrf}

    return app


@pytest.fixture
def browser() -> Callable[[Hub], httpx.AsyncClient]:
    """A client over the application of a hub; each has its own cookies."""

    def _browser(hub: Hub) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(application(hub)), base_url=hub.settings.base_url)

    return _browser


@pytest.fixture
async def http(hub: Hub, browser: Callable[[Hub], httpx.AsyncClient]) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(hub) as client:
        yield client


class Client:
    """A registered party with its private key."""

    def __init__(self, party: parties.Party, key: dict[str, Any]) -> None:
        self.party, self.key, self.id = party, key, party.client_id

    def assertion(self, *, sign_with: Any = None, header: dict[str, Any] | None = None, without: str = "", **changed: Any) -> str:
        """A good assertion, but for what is named."""
        now = int(time.time())
        content = {"iss": self.id, "sub": self.id, "aud": f"{BASE}/oauth/token", "iat": now, "exp": now + 120, "jti": token_urlsafe(12)} | changed
        content.pop(without, None)
        head = {"alg": "ES384", "typ": "JWT", "kid": self.key["kid"]} | (header or {})
        key = sign_with or (RSAKey if self.key["kty"] == "RSA" else ECKey).import_key(self.key)
        shown = {name: value for name, value in head.items() if value is not None}
        return jws.serialize_compact(shown, json.dumps(content), key, algorithms=[head["alg"]])

    def form(self, assertion: str | None = None, **changed: str | None) -> dict[str, str]:
        """A good token request, but for what is named."""
        fields = {
            "grant_type": "client_credentials", "scope": "system/*.rs", "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion or self.assertion(),
        } | changed  # fmt: skip
        return {name: value for name, value in fields.items() if value is not None}

    async def token(self, http: httpx.AsyncClient, **changed: str | None) -> str:
        answer = await http.post("/oauth/token", data=self.form(**changed))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


Register = Callable[..., Any]


@pytest.fixture
def register(hub: Hub) -> Register:
    """Registers a party: `await register("hospital", purposes=(…))`."""

    async def _register(kind: str = "hospital", key: dict[str, Any] | None = None, jwks: dict[str, Any] | None = None, **more: Any) -> Client:
        private, public = keys.new_client_key()
        async with hub.database.connection() as connection:
            party = await parties.add(connection, name="某单位", kind=kind, jwks=jwks or public, **more)
        return Client(party, key or private)

    return _register


@pytest.fixture
def account(hub: Hub) -> Callable[..., Any]:
    """Adds an account, a resident's unless said otherwise: `await account("li.na", password=…)`."""

    async def _account(login: str, *, role: str = "resident", **more: Any) -> UUID:
        if role == "resident":
            more.setdefault("resident", UUID(int=7))
        async with hub.database.connection() as connection:
            return await accounts.add(connection, hub.keyring, login=login, name="李娜", role=role, **more)

    return _account
