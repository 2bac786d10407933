"""The FastAPI application: front doors mounted, errors rendered at the edge, a request id on every answer."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import service
from hub.access.requests import BEGAN
from hub.access.signin import router as signin
from hub.access.tokens import router as oauth
from hub.defects import places
from hub.exchange import explained, formats, terminology
from hub.exchange import routes as exchange_routes
from hub.intake import routes as intake_routes
from hub.settings import Settings
from hub.store.keyring import Keyring
from hub.store.migrate import NEWEST
from hub.web.pages import Pages
from hub.web.pages import mount as mount_pages
from schemas.errors import KineHubError, NotAcceptable, Unauthenticated, Unavailable

log = logging.getLogger("kinehub")
REQUESTS = Counter("kinehub_requests_total", "Requests by door, method and status", ("door", "method", "status"))
VERSION = "0.1.0"


def application(settings: Settings, dsn: str) -> FastAPI:
    """The hub as an ASGI application over the database at `dsn`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.opened(settings, dsn) as hub:
            app.state.hub = hub
            yield

    app = Described(title="KineHub", version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.pages = Pages(settings)
    app.router.routes += [*exchange_routes.hot_routes(), *intake_routes.hot_routes()]
    for router in (oauth, intake_routes.router, explained.router, terminology.router, exchange_routes.router, signin):
        app.include_router(router)
    mount_pages(app)
    _health(app)
    app.add_middleware(Named)
    app.exception_handler(KineHubError)(_known_error)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http_error)
    return app


class Described(FastAPI):
    """An application whose description holds the shapes of our own JSON."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = intake_routes.with_shapes(super().openapi())
        return self.openapi_schema


def _health(app: FastAPI) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "up"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> Response:
        async with request.app.state.hub.database.connection() as connection:
            revision = await connection.fetchval("SELECT version_num FROM alembic_version")
        status = "not migrated" if revision != NEWEST else await _keys(request.app.state.hub.keyring)
        return Response(orjson.dumps({"status": status}), 200 if status == "ready" else 503, media_type="application/json")

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _keys(keyring: Keyring) -> str:
    try:
        await keyring.aside(keyring.check)
    except Unavailable as error:
        return error.message
    return "ready"


class Named:
    """Plain ASGI, as every request passes here: a request id, `nosniff`, one count per door, method and status, and the last word on defects.

    HEAD is answered as GET, with its decision and its audit, and without its body (R4 http.html#head).

    A defect stops here: what is raised further would be logged by the server below with its text.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = os.urandom(16).hex()
        BEGAN.set(time.monotonic())
        scope.setdefault("state", {})["request_id"] = request_id
        started, is_head = False, scope["method"] == "HEAD"

        async def named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.setdefault("X-Content-Type-Options", "nosniff")
                status = message["status"]
                REQUESTS.labels(_door(scope["path"]) if status != 404 else "other", scope["method"] if scope["method"] in METHODS else "other", status).inc()
            await send({**message, "body": b""} if is_head and message["type"] == "http.response.body" else message)

        try:
            if scope["path"].startswith("/fhir/"):
                formats.check_asked(scope["query_string"], scope["headers"])
            await self.app({**scope, "method": "GET"} if is_head else scope, receive, named)
        except NotAcceptable as error:
            await rendered(Request(scope), error.status, error.code, error.message, error.advice, error.field)(scope, receive, named)
        except Exception as error:
            log.error("request %s: %s", request_id, places(error))  # noqa: TRY400 - the text may quote a value
            if not started:
                await _defect(Request(scope))(scope, receive, named)


def _door(path: str) -> str:
    """The first part of a path, when it is one of ours: a label must not grow with what people type."""
    door = path.split("/", 2)[1]
    return door if door in DOORS else "other"


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
DOORS = frozenset({"fhir", "intake", "oauth", "resident", "hospital", "center", "city", "admin", "sign-in", "healthz", "readyz", "metrics", "static"})
ISSUE_TYPES = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    406: "not-supported",
    409: "conflict",
    410: "deleted",
    412: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "processing",
    429: "throttled",
    503: "transient",
}


def rendered(request: Request, status: int, code: str, message: str, advice: str = "", field: str = "", row: int | None = None) -> Response:
    """An error as its door speaks: OperationOutcome under /fhir, problem+json elsewhere. Never the asked id, a value or a trace."""
    headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": "Bearer"} if status == 401 else {}) | ({"Retry-After": "2"} if status == 503 else {})
    if request.url.path.startswith("/fhir"):
        issue: dict[str, Any] = {"severity": "error", "code": ISSUE_TYPES.get(status, "exception"), "diagnostics": f"{message} {advice}".strip()}
        if field:
            issue["expression"] = [field]
        return Response(orjson.dumps({"resourceType": "OperationOutcome", "issue": [issue]}), status, headers, "application/fhir+json")
    problem = {
        "type": f"https://kinehub.org/problems/{code}",
        "title": message,
        "status": status,
        "code": code,
        "detail": advice,
        "field": field,
        "row": row,
    }
    return Response(orjson.dumps({key: value for key, value in problem.items() if value not in ("", None)}), status, headers, "application/problem+json")


async def _known_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, KineHubError)
    if error.status >= 500:
        log.error("request %s: %s", request.state.request_id, type(error).__name__)
    if isinstance(error, Unauthenticated) and (redirect := request.app.state.pages.sign_in_redirect(request)):
        return redirect  # type: ignore[no-any-return]  # app.state is untyped
    return rendered(request, error.status, error.code, error.message, error.advice, error.field, error.row)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = ", ".join(sorted({str(part["loc"][-1]) for part in error.errors()}))
    return rendered(request, 400, "invalid-request", f"Check: {fields}.")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {404: "There is nothing here.", 405: "This method is not offered here."}.get(error.status_code, "The request was not accepted.")
    answer = rendered(request, error.status_code, "not-found" if error.status_code == 404 else "invalid-request", message)
    answer.headers.update(error.headers or {})
    if "GET" in answer.headers.get("Allow", "").split(", "):
        answer.headers["Allow"] += ", HEAD"
    return answer


def _defect(request: Request) -> Response:
    return rendered(request, 500, "defect", "Something went wrong on our side.", "Tell us the X-Request-Id.")
