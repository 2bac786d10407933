"""Every door of the portals: who may enter, what a form must carry, which headers a page has."""

from __future__ import annotations

import re

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from hub.web import pages, quality, reference, standard
from tests.web.town import Place

ID = "7f3c94e0-0d1a-4c1e-9d55-3b1f0a6c2e48"
"""Of nobody; the same in every process, so that tests keep their names."""
PAGES = {
    "wang": [
        "/resident", "/resident/records", "/resident/looks", "/resident/grants", "/resident/grants/new", "/resident/more", "/resident/sources",
        "/resident/code", "/resident/petitions", "/resident/emergencies", "/resident/family", "/resident/alerts", "/resident/review", "/resident/downloads",
        "/resident/family/new", "/resident/after",
        "/resident/records/print", "/account",
    ],
    "doctor": ["/hospital", "/hospital/code", "/hospital/emergency", "/hospital/reviews", f"/hospital/patients/{ID}", "/hospital/petitions", "/account"],
    "staff": ["/center", "/center/petitions", "/center/assist", "/center/assist/form", "/account"],
    "admin": ["/admin", "/admin/petitions", "/admin/deaths"],
    "city": ["/city"],
}
FORMS = {
    "wang": [
        "/resident/stop-all", f"/resident/grants/{ID}/stop", f"/resident/grants/{ID}/again", "/resident/grants/new", "/resident/pause", "/resident/resume",
        f"/resident/sources/{ID}/shut", f"/resident/sources/{ID}/open", "/resident/code", "/resident/code/cancel", "/resident/petitions/new",
        "/resident/looks/1/1", f"/resident/emergencies/{ID}/end", "/resident/alerts/seen", "/resident/review", "/resident/after",
        "/resident/family/invite", "/resident/family/accept", "/resident/family/self", "/account/sessions/others/end", "/account/passkeys/x/remove",
        "/account/passkeys/x/name",
        f"/resident/assists/{ID}/dispute", f"/resident/family/{ID}/act", f"/resident/family/{ID}/agree", f"/resident/family/{ID}/end",
    ],
    "doctor": [
        "/hospital", "/hospital/code", f"/hospital/petitions/{ID}", "/hospital/emergency", "/hospital/emergency/end", f"/hospital/reviews/{ID}",
    ],
    "admin": [f"/admin/petitions/{ID}", "/admin/deaths", *(f"/admin/deaths/{ID}/{act}" for act in ("confirm", "withdraw"))],
    "lead": ["/account/staff/invite", *(f"/account/staff/{ID}/{act}" for act in ("withdraw", "lead", "end"))],
    "staff": [
        f"/center/petitions/{ID}", "/center/preview", f"/center/preview/{ID}/accept", f"/center/receipts/{ID}/pending/1",
        "/center/assist", *(f"/center/assist/{ID}/{step}" for step in ("grant", "stop", "resume", "paper", "ask", "confirm", "cancel")),
    ],
}
DOWNLOADS = [
    "/hospital/emergency/patient",
    "/resident/looks/head", "/resident/looks/1/1", "/resident/looks/1/1/proof", "/resident/petitions/new", "/resident/petitions/result",
    f"/resident/petitions/{ID}",
    f"/hospital/petitions/{ID}", f"/center/petitions/{ID}", f"/admin/petitions/{ID}",
    "/resident/records.csv", "/resident/records.pdf", "/resident/looks/log.csv", "/resident/looks/log.json",
    "/account/passkeys/x", "/account/staff", f"/account/staff/{ID}",
    f"/resident/assists/{ID}", f"/resident/assists/{ID}/paper", f"/center/assist/{ID}",
    *(f"/center/assist/{ID}/{step}" for step in ("grant", "stop", "form", "paper")),
    f"/resident/family/{ID}",
    "/resident/download", f"/resident/records/{ID}", f"/resident/grants/{ID}", f"/resident/grants/{ID}/receipt.json", f"/resident/grants/{ID}/preview",
    f"/hospital/patients/{ID}/sessions.csv", f"/center/preview/{ID}", f"/center/preview/{ID}/marked", f"/center/receipts/{ID}",
]  # fmt: skip


ELSEWHERE = (quality, reference, standard)
"""Reports without anybody's values (tests/quality), and what is for everybody (tests/web/test_standard.py)."""


def routes(router: APIRouter) -> list[tuple[str, str]]:
    return [(method, route.path) for route in router.routes if isinstance(route, APIRoute) for method in route.methods]


def test_every_route_of_the_portals_is_tried_below() -> None:
    tried = {("GET", path) for listed in PAGES.values() for path in listed} | {("GET", path) for path in DOWNLOADS}
    tried |= {("POST", path) for listed in FORMS.values() for path in listed}
    known = [route for module in pages.portals() if module not in ELSEWHERE for route in routes(module.router)]
    shapes = {(method, re.compile(re.sub(r"{[a-z_]+}", "[^/]+", path))) for method, path in known}
    assert len(known) == 118
    assert not [shape for method, shape in shapes if not any(method == how and shape.fullmatch(path) for how, path in tried)]


@pytest.mark.parametrize("path", sorted({path for listed in PAGES.values() for path in listed} | set(DOWNLOADS)))
def test_a_stranger_is_led_to_the_sign_in(place: Place, path: str) -> None:
    with place.browse() as stranger:
        answer = stranger.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/sign-in?next={path}"


@pytest.mark.parametrize(("login", "path"), [(login, path) for login, listed in FORMS.items() for path in listed])
def test_a_form_without_the_sessions_token_is_refused(place: Place, login: str, path: str) -> None:
    with place.browse(login) as visitor:
        for fields in ({}, {"csrf": "x" * 43}):
            sent = visitor.post(path, data=fields, files={"file": ("a.csv", b"a")} if path.endswith(("/preview", "/paper")) else None)
            assert sent.status_code == 403, sent.text
        foreign = visitor.post(path, data={"csrf": visitor.csrf}, headers={"Origin": "https://evil.example"})
        assert foreign.status_code in (400, 403)
        assert place.town.consent.hex


@pytest.mark.parametrize("path", [path for listed in FORMS.values() for path in listed])
def test_a_stranger_cannot_send_a_form(place: Place, path: str) -> None:
    with place.browse() as stranger:
        assert stranger.post(path, data={"csrf": "x"}).status_code == 303


@pytest.mark.parametrize("login", list(PAGES))
def test_each_role_sees_its_own_portal_only(place: Place, login: str) -> None:
    with place.browse(login) as visitor:
        for other, listed in PAGES.items():
            for path in set(listed) - {"/account"}:
                status = visitor.get(path).status_code
                assert status == (200 if other == login else 404 if path in ("/admin", "/city") else 403), path


@pytest.mark.parametrize(("login", "path"), [(login, path) for login, listed in PAGES.items() for path in listed] + [(None, "/sign-in")])
def test_pages_carry_their_headers_and_nothing_inline(place: Place, login: str | None, path: str) -> None:
    with place.browse(login) as visitor:
        answer = visitor.get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=\"/static/)|(?:src|href|action)=\"(?:https?:)?//", answer.text)


def test_what_is_shown_on_pages_is_escaped(place: Place) -> None:
    with place.browse("wang") as visitor:
        page = visitor.show("/resident/grants/new?find=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in page


def test_an_error_is_a_page_that_quotes_nothing(place: Place) -> None:
    with place.browse("staff") as visitor:
        answer = visitor.get(f"/center/receipts/{ID}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert ID not in answer.text.replace(f"/center/receipts/{ID}?", "")


def test_language_and_type_size_are_kept(place: Place) -> None:
    with place.browse("wang") as visitor:
        assert '<html lang="zh-CN">' in visitor.show("/resident")
        assert '<html lang="en">' in visitor.show("/resident?lang=en&view=compact")
        page = visitor.show("/resident")
        assert '<html lang="en">' in page
        assert 'class="compact resident"' in page
        assert '<html lang="en">' in visitor.show("/resident?lang=xx")


def test_static_files_may_be_kept_and_pages_name_their_hash(place: Place) -> None:
    with place.browse() as visitor:
        found = re.search(r'href="(/static/app\.css\?v=[0-9a-f]{12})"', visitor.show("/sign-in"))
        assert found
        assert "immutable" in visitor.get(found[1]).headers["cache-control"]
        assert visitor.get("/static/../pages.py").status_code == 404
