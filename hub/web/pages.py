"""Rendering: templates, language, large type or compact, and the headers every page carries. And which portals are mounted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hub.access import sessions
from hub.access.sessions import may
from hub.access.signin import local
from hub.settings import Settings
from hub.web import charts, dates, faults, locales, looks, sharing, words
from mappings.sources import KINDS_TAKEN
from schemas.classes import NAMES
from schemas.errors import KineHubError, Unauthenticated
from schemas.flags import ROUTINE
from schemas.measures import MEASURES
from schemas.standard import STANDARD

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
PORTALS = ("/resident", "/hospital", "/center", "/admin", "/city", "/account")
VIEWS = ("large", "compact")
VIEW_COOKIE = "kinehub_view"
YEAR_S = 365 * 86_400

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    # Not no-referrer: browsers then send `Origin: null` with forms, which the origin check could not tell from a stranger's.
    "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}  # fmt: skip


class Pages:
    """Renders templates for requests. One per application, as `app.state.pages`."""

    def __init__(self, settings: Settings) -> None:
        self._default, self._secure = settings.locale, settings.base_url.startswith("https://")
        self._templates = _environment()

    def speak(self, request: Request) -> None:
        """Set the language for what follows in this request."""
        locales.LANGUAGE.set(locales.choose(request, self._default))

    def render(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        """The page `template` as an answer to `request`."""
        self.speak(request)
        view = _chosen(request.query_params.get("view"), VIEWS) or _chosen(request.cookies.get(VIEW_COOKIE), VIEWS) or "large"
        language = locales.LANGUAGE.get()
        page = self._templates.get_template(template).render(
            request=request,
            view=view,
            language=language,
            switch=_switch(request),
            portal=request.url.path.split("/")[1],
            may=partial(may, context.get("person")),
            **{"person": None} | context,
        )
        response = HTMLResponse(page, status, HEADERS | {"Content-Language": language})
        for name, cookie, value in (("lang", locales.COOKIE, language), ("view", VIEW_COOKIE, view)):
            if request.query_params.get(name) == value:
                response.set_cookie(cookie, value, max_age=YEAR_S, secure=self._secure, httponly=True, samesite="lax")
        return response

    def sign_in_redirect(self, request: Request) -> Response | None:
        """To the sign-in page and back, for a browser that reads a portal's page; None for everything else."""
        path = request.url.path
        if request.method not in ("GET", "HEAD") or not any(path == portal or path.startswith(f"{portal}/") for portal in PORTALS):
            return None
        return to_sign_in(path)

    def said(self, error: KineHubError) -> str:
        """An error of ours in one sentence, in words of the request's language."""
        return faults.file(error.code, error.message, error.advice)

    def problem(self, request: Request, error: KineHubError) -> Response:
        """An error of ours as a page, in words of the request's language; never a value, an id or a trace."""
        if isinstance(error, Unauthenticated):
            again = error.code == "sign-in-again"
            return to_sign_in(_page_of(request) if again else "/" + request.url.path.split("/")[1], again=again)
        return self.render(request, "problem.html", error.status, code=error.code, message=error.message, advice=error.advice)


def _page_of(request: Request) -> str:
    """The page to come back to: the one asked for, or the one that a form was on."""
    if request.method in ("GET", "HEAD"):
        return request.url.path + (f"?{request.url.query}" if request.url.query else "")
    came = _CAME.match(request.headers.get("referer", ""))
    return came[2] if came and came[1] == request.headers.get("host") and local(came[2]) else "/" + request.url.path.split("/")[1]


_CAME = re.compile(r"https?://([^/]*)(/[^#]*)")


def to_sign_in(path: str, *, again: bool = False) -> Response:
    return RedirectResponse(f"/sign-in?{'again=1&' if again else ''}next={quote(path, safe='/')}", 303, headers={"Cache-Control": "no-store"})


def see(path: str) -> Response:
    """After a form: read the page at `path`."""
    return RedirectResponse(path, 303, headers={"Cache-Control": "no-store"})


class Page(APIRoute):
    """A portal's route: sets the language, and shows our errors as pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            pages = pages_of(request)
            pages.speak(request)
            try:
                return await _once(request, answer)
            except sessions.Done as done:
                return see(done.led) if done.led else pages.problem(request, done)
            except KineHubError as error:
                if error.status >= 500:
                    raise
                stranger = error.status == 401 and error.code != "sign-in-again"
                return (pages.sign_in_redirect(request) if stranger else None) or pages.problem(request, error)
            finally:
                await looks.note(request)

        return handler


async def _once(request: Request, answer: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
    form, response = await sessions.claim(request), None
    try:
        response = await answer(request)
        return response
    finally:
        if form:
            await sessions.settle(request, form, response)


def once() -> Markup:
    """What a form carries that is carried out once, however often it is sent. What only shows less does without: it is done each time."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(sessions.ONCE_FIELD, sessions.new_once())


def pages_of(request: Request) -> Pages:
    found = request.app.state.pages
    assert isinstance(found, Pages)
    return found


def download(content: bytes, filename: str, media_type: str) -> Response:
    """A file for the person who asked, which no cache keeps."""
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename)}",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content, 200, headers | {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}, media_type)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )  # fmt: skip
    environment.install_gettext_callables(locales.gettext, locales.ngettext, newstyle=True)  # type: ignore[attr-defined]  # of the extension
    environment.globals |= {
        "charts": charts, "dates": dates, "words": words, "faults": faults, "pick": locales.pick, "asset": asset, "once": once, "listed": sharing.listed,
        "LANGUAGES": locales.LANGUAGES, "PURPOSES": looks.PURPOSES, "NAMES": NAMES, "MEASURES": MEASURES, "ROUTINE": ROUTINE,
        "TEMPLATES": {kind: (STANDARD[kind].zh, STANDARD[kind].en) for kind in KINDS_TAKEN},
    }  # fmt: skip
    return environment


def asset(name: str) -> str:
    """A static file's URL with its hash, so that it may be kept for long."""
    if name not in _HASHES:
        _HASHES[name] = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={_HASHES[name]}"


_HASHES: dict[str, str] = {}


def _chosen(wish: str | None, known: tuple[str, ...]) -> str | None:
    return wish if wish in known else None


def _switch(request: Request) -> Callable[..., str]:
    """The address of this page with some of its query changed; of the portal's first page after a form."""
    path = request.url.path if request.method == "GET" else "/" + request.url.path.split("/")[1]
    query = dict(request.query_params) if request.method == "GET" else {}

    def switched(**changed: str) -> str:
        return f"{path}?" + "&".join(f"{quote(name)}={quote(value)}" for name, value in (query | changed).items())

    return switched


class _Static(StaticFiles):
    async def get_response(self, path: str, scope: Any) -> Response:
        response = await super().get_response(path, scope)
        response.headers.setdefault("Cache-Control", "public, max-age=31536000, immutable" if b"v=" in scope["query_string"] else "public, max-age=300")
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def portals() -> tuple[ModuleType, ...]:
    """The modules of pages, in the order in which their routes are tried."""
    from hub.web import (
        account,
        alerts,
        answers,
        assisted,
        assists,
        brakes,
        center,
        curves,
        deaths,
        downloads,
        emergencies,
        family,
        given,
        grants,
        hospital,
        log,
        petitions,
        quality,
        reference,
        resident,
        staff,
        standard,
        visits,
    )

    return (
        grants, given, assisted, brakes, visits, petitions, answers, log, alerts, downloads, resident, curves, quality, assists, center, hospital, emergencies,
        family, deaths, staff, account, reference, standard,
    )  # fmt: skip


def mount(app: FastAPI) -> None:
    """The portals and what they are drawn with."""
    from hub.web import standard

    app.mount("/static", _Static(directory=STATIC), name="static")
    app.include_router(standard.documents)
    for module in portals():
        app.include_router(module.router, include_in_schema=False)
