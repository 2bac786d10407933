"""Sessions over HTTP: begun before sign-in, renewed by it, ended by time, by the person and by the server."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from hub.access import accounts, sessions, signin

pytestmark = pytest.mark.anyio

PASSWORD = "a long walk by the river"
COOKIE = "kinehub_session"


@pytest.fixture
async def login(account: Any) -> str:
    """The sign-in name of a resident of the test's own."""
    name = uuid4().hex
    await account(name, password=PASSWORD)
    return name


async def begun(http: httpx.AsyncClient) -> str:
    """Open the sign-in page; its CSRF token."""
    page = await http.get("/sign-in")
    assert page.status_code == 200
    return re.search(r"csrf=(\S+)", page.text)[1]  # type: ignore[index]


async def enter(http: httpx.AsyncClient, login: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    return await http.post("/sign-in", data={"login": login, "password": password, "csrf": await begun(http)} | more)


@pytest.fixture
async def inside(http: httpx.AsyncClient, login: str) -> httpx.AsyncClient:
    """A browser that is signed in."""
    assert (await enter(http, login)).status_code == 303
    return http


async def csrf_of(http: httpx.AsyncClient) -> str:
    return str((await http.get("/resident")).json()["csrf"])


async def test_a_resident_signs_in_and_out(http: httpx.AsyncClient, login: str) -> None:
    entered = await enter(http, login)
    assert (entered.status_code, entered.headers["location"], entered.headers["cache-control"]) == (303, "/resident", "no-store")
    assert (await http.get("/resident")).json()["name"] == "李娜"
    assert (await http.get("/sign-in")).headers["location"] == "/resident"
    cookie = http.cookies[COOKIE]
    left = await http.post("/sign-out", data={"csrf": await csrf_of(http)})
    assert (left.status_code, left.headers["clear-site-data"]) == (303, '"cache", "storage"')
    assert COOKIE not in http.cookies
    assert (await http.get("/resident", headers={"Cookie": f"{COOKIE}={cookie}"})).status_code == 401


async def test_a_wrong_password_is_answered_with_the_page(http: httpx.AsyncClient, login: str) -> None:
    for name in (login, "nobody at all"):
        answer = await enter(http, name, "not the password")
        assert answer.status_code == 401
        assert "error=sign-in-failed" in answer.text
        assert name not in answer.text
    assert (await http.get("/resident")).status_code == 401


async def test_signing_in_makes_a_new_session_and_ends_the_old_one(hub: Any, http: httpx.AsyncClient, login: str) -> None:
    csrf = await begun(http)
    before = http.cookies[COOKIE]
    await http.post("/sign-in", data={"login": login, "password": PASSWORD, "csrf": csrf})
    assert http.cookies[COOKIE] != before
    assert await csrf_of(http) != csrf
    assert not await live(hub, before, datetime.now(UTC))
    first = http.cookies[COOKIE]
    await http.post("/sign-in", data={"login": login, "password": PASSWORD, "csrf": await csrf_of(http)})
    assert http.cookies[COOKIE] != first
    assert not await live(hub, first, datetime.now(UTC))


async def test_a_sign_in_from_elsewhere_is_refused(http: httpx.AsyncClient, login: str) -> None:
    csrf = await begun(http)
    good = {"login": login, "password": PASSWORD, "csrf": csrf}
    for form, headers in (
        (good | {"csrf": "x"}, {}),
        ({"login": login, "password": PASSWORD}, {}),
        (good, {"Origin": "https://evil.example"}),
        (good, {"Origin": "null"}),
        (good, {"Origin": "http://hub.example.evil.example"}),
        (good, {"Sec-Fetch-Site": "cross-site"}),
        (good, {"Sec-Fetch-Site": "same-site"}),
    ):
        assert (await http.post("/sign-in", data=form, headers=headers)).status_code == 403
    assert (await http.post("/sign-in", data=good, headers={"Origin": "http://hub.example", "Sec-Fetch-Site": "same-origin"})).status_code == 303


async def test_a_sign_in_without_the_page_is_refused(http: httpx.AsyncClient, login: str) -> None:
    assert (await http.post("/sign-in", data={"login": login, "password": PASSWORD, "csrf": ""})).status_code == 403


async def test_another_sessions_csrf_token_does_not_serve(hub: Any, inside: httpx.AsyncClient, browser: Callable[[Any], httpx.AsyncClient]) -> None:
    async with browser(hub) as stranger:
        foreign = await begun(stranger)
    assert (await inside.post("/resident", data={"csrf": foreign})).status_code == 403


async def test_unsafe_methods_need_the_csrf_token_in_header_or_form(inside: httpx.AsyncClient) -> None:
    csrf = await csrf_of(inside)
    assert (await inside.post("/resident", data={"csrf": csrf})).status_code == 200
    assert (await inside.post("/resident", json={}, headers={"X-CSRF-Token": csrf})).status_code == 200
    assert (await inside.post("/resident", json={"csrf": csrf})).status_code == 403
    assert (await inside.post("/resident", params={"csrf": csrf})).status_code == 403
    assert (await inside.post("/resident")).status_code == 403
    assert (await inside.post("/resident", headers={"X-CSRF-Token": csrf[:-1]})).status_code == 403
    assert (await inside.post("/resident", data={"csrf": csrf}, headers={"Origin": "https://evil.example"})).status_code == 403


async def test_a_page_of_another_role_is_refused(http: httpx.AsyncClient, account: Any, register: Any) -> None:
    centre = await register("fitness-center")
    await account(f"staff {centre.id}", role="staff", party=centre.party.number, password=PASSWORD)
    assert (await enter(http, f"staff {centre.id}")).headers["location"] == "/center"
    assert (await http.get("/resident")).status_code == 403


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        ("/resident?page=2", "/resident?page=2"), ("https://evil.example/", ""), ("//evil.example", ""), ("/\\evil.example", ""),
        ("\\\\evil.example", ""), ("/\t/evil.example", ""), ("javascript:alert(1)", ""), ("/a\r\nSet-Cookie: x=1", ""), ("resident", ""),
        ("", ""), ("/" + "a" * 3000, ""),
    ],
)  # fmt: skip
async def test_sign_in_leads_to_pages_of_ours_only(wanted: str, where: str) -> None:
    assert signin.local(wanted) == where


async def test_where_to_go_on_survives_the_sign_in(http: httpx.AsyncClient, login: str) -> None:
    assert (await enter(http, login, next="/resident/grants")).headers["location"] == "/resident/grants"
    assert (await http.get("/sign-in", params={"next": "/resident/log"})).headers["location"] == "/resident/log"
    assert (await http.get("/sign-in", params={"next": "//evil.example"})).headers["location"] == "/resident"


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    http: httpx.AsyncClient, hub: Any, browser: Callable[[Any], httpx.AsyncClient]
) -> None:
    plain = (await http.get("/sign-in")).headers["set-cookie"]
    assert plain.startswith("kinehub_session=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(plain.split("; "))
    assert "Secure" not in plain
    secure_hub = msgspec.structs.replace(hub, settings=msgspec.structs.replace(hub.settings, base_url="https://hub.example"))
    async with browser(secure_hub) as over_tls:
        secure = (await over_tls.get("/sign-in")).headers["set-cookie"]
    assert secure.startswith("__Host-kinehub_session=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(secure.split("; "))
    assert "Domain" not in secure


async def test_the_table_does_not_hold_the_cookie(http: httpx.AsyncClient, hub: Any) -> None:
    await begun(http)
    async with hub.database.connection() as connection:
        rows = str(await connection.fetch("SELECT sessions::text FROM sessions"))
    assert http.cookies[COOKIE] not in rows


async def a_session(hub: Any, account: UUID | None, now: datetime) -> str:
    async with hub.database.connection() as connection:
        return await sessions.begin(connection, account, now)


async def live(hub: Any, cookie: str, now: datetime) -> bool:
    return await sessions.found(hub.database, hub.keyring, cookie, now) is not None


async def test_a_session_ends_after_half_an_hour_without_a_request(hub: Any, account: Any) -> None:
    start = datetime.now(UTC)
    cookie = await a_session(hub, await account(uuid4().hex), start)
    assert await live(hub, cookie, start + timedelta(minutes=29))
    assert await live(hub, cookie, start + timedelta(minutes=58))
    assert not await live(hub, cookie, start + timedelta(minutes=88, seconds=1))


async def test_a_session_ends_after_twelve_hours_in_any_case(hub: Any, account: Any) -> None:
    start = datetime.now(UTC)
    cookie = await a_session(hub, await account(uuid4().hex), start)
    for minutes in range(0, 12 * 60, 25):
        assert await live(hub, cookie, start + timedelta(minutes=minutes))
    assert not await live(hub, cookie, start + timedelta(hours=12))


async def test_revoking_ends_every_session_of_an_account(hub: Any, account: Any) -> None:
    now, made = datetime.now(UTC), await account(uuid4().hex, password=PASSWORD)
    cookies = [await a_session(hub, made, now) for _ in range(3)]
    other = await a_session(hub, await account(uuid4().hex), now)
    async with hub.database.connection() as connection:
        await sessions.revoke_all(connection, made)
    assert not any([await live(hub, cookie, now) for cookie in cookies])
    assert await live(hub, other, now)


async def test_a_new_password_ends_every_session(hub: Any, inside: httpx.AsyncClient, login: str) -> None:
    made = await accounts.signed_in(hub.database, hub.keyring, login, PASSWORD, datetime.now(UTC))
    async with hub.database.connection() as connection:
        await accounts.set_password(connection, made, "another walk by the river")
    assert (await inside.get("/resident")).status_code == 401


async def test_a_session_of_a_removed_account_is_none(hub: Any, account: Any) -> None:
    now, made = datetime.now(UTC), await account(uuid4().hex)
    cookie = await a_session(hub, made, now)
    async with hub.database.connection() as connection:
        await connection.execute("DELETE FROM accounts WHERE id = $1", made)
    assert not await live(hub, cookie, now)


async def test_a_session_works_on_every_worker(inside: httpx.AsyncClient, second_worker: Any, browser: Callable[[Any], httpx.AsyncClient]) -> None:
    async with browser(second_worker) as there:
        there.cookies = inside.cookies
        assert (await there.get("/resident")).status_code == 200


async def test_sign_ins_are_in_the_audit_trail(hub: Any, http: httpx.AsyncClient, login: str) -> None:
    async with hub.database.connection() as connection:
        before = await connection.fetchval("SELECT count(*) FROM audit WHERE action = 'sign-in'")
        await enter(http, login, "not the password")
        await enter(http, login)
        rows = await connection.fetch("SELECT actor, outcome FROM audit WHERE action = 'sign-in' ORDER BY at DESC, seq DESC LIMIT 2")
        assert await connection.fetchval("SELECT count(*) FROM audit WHERE action = 'sign-in'") == before + 2
    assert {(row["actor"].partition("/")[0], row["outcome"]) for row in rows} == {("Account", "success"), ("unknown", "refused")}
