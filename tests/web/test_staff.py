"""The people of an organization: invited by its lead, in by a code of their own, out from the next request on, and all of it on record."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.web.town import PASSWORD, Place, Visitor, token

NAMED = re.compile(r'(?:href|action)="/account/staff/([0-9a-f-]{36})(?:/withdraw)?"[^§]*?<span class="unseen"> ([^<]+)</span>')


@pytest.fixture(autouse=True)
def as_it_was(place: Place) -> Iterator[None]:
    """The people of the town as they were."""
    yield
    place.rows("DELETE FROM invitations")
    place.rows("DELETE FROM accounts WHERE 'account:' || id IN (SELECT rule FROM audit WHERE action = 'staff-join')")


def invited(visitor: Visitor, name: str = "钱老师", **more: str) -> str:
    answer = visitor.send_form("/account/staff/invite", name=name, **{"role": "staff"} | more)
    assert answer.status_code == 200, answer.text
    return " ".join(re.findall(r"<span>([2-9A-Z]{4})</span>", answer.text))


def join(browser: Visitor, code: str, login: str, password: str = PASSWORD) -> Any:
    """Take up an invitation."""
    return browser.post("/join", data={"csrf": token(browser.show("/join")), "code": code, "login": login, "password": password})


def ids(lead: Visitor) -> dict[str, str]:
    """Name to the id behind it."""
    return {name: id_ for id_, name in NAMED.findall(lead.show("/account/staff"))}


def test_a_colleague_comes_in_by_a_code_and_is_out_from_the_next_request_on(place: Place) -> None:
    with place.browse("lead") as lead, place.browse() as browser, place.browse() as other:
        assert 'href="/account/staff"' in lead.show("/account")
        code = invited(lead)
        assert "等他用邀请码" in lead.show("/account/staff")
        assert code not in lead.show("/account/staff"), "shown once"
        assert join(browser, code.lower(), "qian").headers["location"] == "/center"
        assert browser.get("/center").status_code == 200
        again = join(other, code, "qian2")
        assert again.status_code == 404
        assert "邀请码不对" in again.text
        their = ids(lead)["钱老师"]
        assert f'action="/account/staff/{their}/end"' in lead.show(f"/account/staff/{their}")
        lead.send_form(f"/account/staff/{their}/end")
        assert lead.get(f"/account/staff/{their}").status_code == 404
        assert browser.get("/center").status_code == 303
        with pytest.raises(AssertionError), place.browse("qian"):
            pass
        page = lead.show("/account/staff")
        assert "停掉的账号" in page
        for said in ("邀请了", "来了", "停了账号"):
            assert said in page, said
        assert "钱老师" in page


def test_a_party_keeps_one_lead_and_a_lead_is_one_from_the_next_request_on(place: Place) -> None:
    with place.browse("lead") as lead, place.browse("colleague") as colleague:
        own, other = ids(lead)["赵主任"], ids(lead)["王老师"]
        assert lead.send_form(f"/account/staff/{own}/lead").status_code == 409
        assert lead.send_form(f"/account/staff/{own}/end").status_code == 409
        assert "要留一个管账号的人" in lead.send_form(f"/account/staff/{own}/end").text
        assert colleague.get("/account/staff").status_code == 403
        lead.send_form(f"/account/staff/{other}/lead", lead="1")
        assert colleague.get("/account/staff").status_code == 200
        lead.send_form(f"/account/staff/{other}/lead")
        assert colleague.get("/account/staff").status_code == 403


def test_nobody_else_manages_them_and_other_parties_people_are_nobody(place: Place) -> None:
    theirs = place.rows("SELECT id FROM accounts WHERE role = 'doctor' LIMIT 1")[0]["id"]
    with place.browse("lead") as lead, place.browse("staff") as staff, place.browse("li") as resident, place.browse("admin") as admin:
        mine = ids(lead)["陈老师"]
        for visitor in (staff, resident, admin):
            assert visitor.get("/account/staff").status_code == 403
            assert visitor.send_form("/account/staff/invite", name="x", role="staff").status_code == 403
            assert visitor.send_form(f"/account/staff/{mine}/end").status_code == 403
        for other in (theirs, uuid4()):
            answers = [lead.send_form(f"/account/staff/{other}/{act}") for act in ("end", "lead", "withdraw")]
            assert [answer.status_code for answer in answers] == [404, 404, 404]
            assert lead.get(f"/account/staff/{other}").status_code == 404
        assert lead.send_form("/account/staff/invite", name="x", role="doctor").status_code == 400, "a centre has no doctors"
        assert lead.send_form("/account/staff/invite", name=" ", role="staff").status_code == 400
        assert lead.post("/account/staff/invite", data={"csrf": "forged", "name": "x", "role": "staff"}).status_code == 403
        assert staff.get("/center").status_code == 200, "nothing happened to them"
        assert place.rows("SELECT count(*) AS n FROM invitations")[0]["n"] == 0


def test_a_code_is_kept_until_name_and_password_will_do_and_can_be_taken_back(place: Place) -> None:
    with place.browse("lead") as lead, place.browse() as browser:
        code = invited(lead, "孙老师")
        for login, password, status, said in (("sun", "short", 400, "密码要 10"), ("staff", PASSWORD, 409, "有人用了"), (" ", PASSWORD, 400, "")):
            refused = join(browser, code, login, password)
            assert refused.status_code == status
            assert said in refused.text
            assert password not in refused.text
        lead.send_form(f"/account/staff/{ids(lead)['孙老师']}/withdraw")
        assert join(browser, code, "sun").status_code == 404
        old = invited(lead, "周老师")
        place.rows("UPDATE invitations SET expires = now()")
        assert join(browser, old, "zhou").status_code == 404


def test_a_lead_confirms_that_it_is_them(place: Place) -> None:
    with place.browse("lead") as lead:
        lead.show("/account/staff")
        place.rows("UPDATE sessions SET created = created - interval '11 minutes' WHERE csrf = $1", lead.csrf)
        answer = lead.send_form("/account/staff/invite", name="x", role="staff")
        assert answer.headers["location"].startswith("/sign-in?again=1")
        assert place.rows("SELECT count(*) AS n FROM invitations")[0]["n"] == 0


@pytest.mark.parametrize("step", ["lead", "end"])
def test_who_is_no_lead_any_more_leaves_no_code_behind(place: Place, step: str) -> None:
    """A way back in for somebody who saw it coming: a code that they kept for themselves."""
    login = f"leaving-{step}"
    with place.browse("lead") as lead, place.browse() as leaving, place.browse() as browser:
        assert join(leaving, invited(lead, login, lead="1"), login).status_code == 303
        leaving.show("/account/staff")
        kept, colleagues = invited(leaving, "回头客", lead="1"), invited(lead, "钱老师")
        lead.show("/account/staff")
        lead.send_form(f"/account/staff/{ids(lead)[login]}/{step}")
        assert "回头客" not in lead.show("/account/staff")
        refused = join(browser, kept, f"back-{step}")
        assert refused.status_code == 404
        assert "邀请码不对" in refused.text
        assert join(browser, colleagues, f"qian-{step}").status_code == 303, "what a lead of today gave stays good"


def test_a_lead_who_is_none_any_more_changes_nothing_by_a_form_that_waited(place: Place) -> None:
    """Two leads who end each other at the same moment: who is ended first does not end the other all the same."""
    with place.browse("lead") as lead, place.browse() as leaving, ThreadPoolExecutor(1) as beside:
        assert join(leaving, invited(lead, "钱老师", lead="1"), "qian-waits").status_code == 303
        leaving.show("/account/staff")
        mine, theirs = ids(lead)["赵主任"], ids(lead)["钱老师"]

        async def overtaken() -> int:
            connection = await asyncpg.connect(place.database)
            try:
                async with connection.transaction():
                    await connection.execute("SELECT FROM parties WHERE number = (SELECT party FROM accounts WHERE id = $1) FOR UPDATE", theirs)
                    sent = asyncio.create_task(asyncio.to_thread(leaving.send_form, f"/account/staff/{mine}/lead"))
                    while not sent.done() and not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                        pass
                    await connection.execute("UPDATE accounts SET lead = false WHERE id = $1", theirs)
                return (await sent).status_code
            finally:
                await connection.close()

        assert beside.submit(asyncio.run, overtaken()).result() == 403
        assert lead.get("/account/staff").status_code == 200
