"""A24, the expired delegate: whose right to act has ended gets, on a live session, at every way out a representative can reach, what a stranger gets."""

from __future__ import annotations

import io
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from pypdf import PdfReader

from hub.access import accounts
from hub.store import erasure
from hub.store.ids import bucket_of
from schemas.labels import LOCAL as SENSITIVITY
from tests.builders import BASE
from tests.leaks.attacks import ORDINARY, died
from tests.leaks.exits import Answer, scanned, told, unknown
from tests.leaks.town import Leaks, Stage
from tests.planted import Plants
from tests.web.town import PASSWORD, token

YEAR = (datetime.now(UTC) + timedelta(hours=8)).year


class Delegate(msgspec.Struct):
    """A resident's account that acts, or acted, for `whom`. `acting` is what its session says, `code` a visit code it made; `order`: the number of `whom`."""

    leaks: Leaks
    browser: httpx.AsyncClient
    account: UUID
    whom: UUID
    order: int
    acting: UUID
    plants: Plants
    ids: list[str]
    code: str = ""

    async def asks(self, method: str, path: str, **fields: str) -> Answer:
        """One request, in a session that says it acts."""
        await self.leaks.rows("UPDATE sessions SET acting = $1 WHERE account = $2", self.acting, self.account)
        form = {"csrf": token((await self.browser.get("/account")).text)} | fields if method == "POST" else None
        answer = await self.browser.request(method, path, data=form)
        is_pdf = answer.headers.get("content-type") == "application/pdf"
        return Answer(f"{method} {path}", answer.status_code, tuple(answer.headers.multi_items()), _set(answer.content) if is_pdf else answer.content)


def _set(pdf: bytes) -> bytes:
    """The text of a PDF without the line ends that type-setting put in."""
    return "".join("".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(pdf)).pages).encode()


async def _account(leaks: Leaks) -> tuple[httpx.AsyncClient, UUID]:
    """A resident with nothing of their own, signed in."""
    mine, login = await leaks.resident(), uuid4().hex
    async with leaks.city.hub.database.connection() as connection:
        made = await accounts.add(connection, leaks.city.hub.keyring, login=login, name="王秀英", role="resident", password=PASSWORD, resident=mine)
    browser = httpx.AsyncClient(transport=leaks.city.http._transport, base_url=BASE, timeout=60)
    page = await browser.get("/sign-in")
    await browser.post("/sign-in", data={"csrf": token(page.text), "login": login, "password": PASSWORD, "next": ""})
    return browser, made


async def delegate(leaks: Leaks, relation: str, age: int) -> Delegate:
    """Somebody with every right over a resident of this age who has records."""
    whom, plants, acting = await leaks.resident(birth_date=date(YEAR - age, 1, 5)), Plants(), uuid4()
    order = leaks.order
    await leaks.plant(whom, plants, ORDINARY)
    await leaks.agree(whom, leaks.allowed, {"type": "permit", "securityLabel": [{"system": SENSITIVITY, "code": "MINOR14"}]})
    browser, account = await _account(leaks)
    await leaks.rows(
        "INSERT INTO representatives (bucket, id, resident, account, relation, rights) VALUES ($1, $2, $3, $4, $5, '{look,grant,stop,visit,ask,download}')",
        bucket_of(whom), acting, whom, account, relation,
    )  # fmt: skip
    made = Delegate(leaks, browser, account, whom, order, acting, plants, await leaks.shown(whom, plants))
    code = await made.asks("POST", "/resident/code", kinds="activity", hours="2")
    made.code = "".join(re.findall(r"<span>(\d{3})</span>", code.body.decode()))
    assert len(made.code) == 9
    return made


Exit = Callable[[Delegate, list[str], UUID], Awaitable[list[Answer]]]


def _records(ids: list[str]) -> list[str]:
    return list(dict.fromkeys(one.partition("/")[2][:36] for one in ids))


async def portal(one: Delegate, ids: list[str], whom: UUID) -> list[Answer]:
    pages = ("", "/records", "/looks", "/grants", "/sources", "/more", "/family", "/emergencies", "/alerts", "/petitions", "/grants/new")
    found = [await one.asks("GET", f"/resident{page}") for page in pages]
    return found + [await one.asks("GET", f"/resident/{place}{record}") for record in _records(ids)[:4] for place in ("records/", "petitions/new?record=")]


async def dl(one: Delegate, ids: list[str], whom: UUID) -> list[Answer]:
    paths = ("downloads", "download", "records.csv", "records.pdf", "records/print", "looks/head", "looks/log.csv", "looks/log.json")
    return [await one.asks("GET", f"/resident/{path}") for path in paths]


async def forms(one: Delegate, ids: list[str], whom: UUID) -> list[Answer]:
    """What a form does, and says."""
    (first, *_) = _records(ids)
    return [
        await one.asks("POST", "/resident/code", kinds="activity", hours="2"), await one.asks("POST", "/resident/code/cancel"),
        await one.asks("POST", "/resident/petitions/new", record=first, kind="correction", words="x"),
        await one.asks("POST", "/resident/resume"), await one.asks("POST", "/resident/pause"), await one.asks("POST", "/resident/stop-all"),
    ]  # fmt: skip


async def fhir(one: Delegate, ids: list[str], whom: UUID) -> list[Answer]:
    """In their own sign-in: it knows nothing of whom they act for, before or after."""
    found = [await one.asks("GET", f"/fhir/{path}{rest}") for path in ids[:3] for rest in ("", "/_history", "/_history/1")]
    found += [await one.asks("GET", f"/fhir/{type_}?patient={whom}&_total=accurate") for type_ in ("Observation", "Consent", "AuditEvent", "RelatedPerson")]
    paths = (f"RelatedPerson/{one.acting}", f"Patient/{whom}", f"Patient/{whom}/$everything")
    return found + [await one.asks("GET", f"/fhir/{path}") for path in paths]


EXITS: dict[str, Exit] = {"portal": portal, "dl": dl, "forms": forms, "fhir": fhir}

End = Callable[[Delegate], Awaitable[Any]]


def _born(years: int) -> End:
    async def happened(one: Delegate) -> None:
        await one.leaks.city.resident("沈知遥", one.order, birth_date=date(YEAR - years, 1, 5))

    return happened


def _row(change: str) -> End:
    return lambda one: one.leaks.rows(f"UPDATE representatives SET {change} WHERE id = $1", one.acting)


async def _nothing_agreed(one: Delegate) -> None:
    await _row("rights = '{}'")(one)
    await _born(14)(one)


async def _erased(one: Delegate) -> None:
    await erasure.erase(one.leaks.city.hub, one.whom, actor="test")


ENDS: dict[str, tuple[str, int, End]] = {
    "14, nothing agreed": ("parent", 10, _nothing_agreed),
    "18": ("guardian", 16, _born(18)),
    "corrected to be grown up": ("parent", 10, lambda one: one.leaks.city.resident("沈知遥", one.order)),
    "ended by an operator": ("guardian", 10, _row("ended = clock_timestamp()")),
    "its last day over": ("family", 70, _row("ends = clock_timestamp()")),
    "of another account now": ("family", 70, _row("account = gen_random_uuid()")),
    "child erased": ("parent", 10, _erased),
    "resident died": ("family", 70, lambda one: died(one.leaks, one.whom)),
}


@pytest.fixture(scope="module")
def stranger(stage: Stage) -> dict[str, list[Answer]]:
    """What a resident gets whose session names a representation that never was, of ids that never were."""
    one = stage.run(delegate(stage.leaks, "parent", 10))
    browser, account = stage.run(_account(stage.leaks))
    nobody, whom = Delegate(stage.leaks, browser, account, uuid4(), 0, uuid4(), Plants(), []), uuid4()
    return {name: stage.run(way(nobody, unknown(one.ids, one.whom), whom)) for name, way in EXITS.items()}


def seen(one: Delegate, answers: list[Answer]) -> list[str]:
    scanner = one.plants.scanner()
    return [answer.asked for answer in answers if scanner.found(scanned(answer))]


@pytest.mark.parametrize("how", ENDS)
def test_an_expired_delegate_gets_what_a_stranger_gets(stage: Stage, stranger: dict[str, list[Answer]], how: str) -> None:
    """Everything was open in the same session before: the marker shows then, and not afterwards."""
    relation, age, end = ENDS[how]
    one = stage.run(delegate(stage.leaks, relation, age))
    shown = {name: stage.run(EXITS[name](one, one.ids, one.whom)) for name in ("portal", "dl")}
    assert all(seen(one, answers) for answers in shown.values()), "what a delegate may not see while they may, proves nothing"
    stage.run(end(one))
    for name, way in EXITS.items():
        before = stage.run(_audited(one))
        theirs = stage.run(way(one, one.ids, one.whom))
        assert not seen(one, theirs), name
        assert all(answer.status in ((403,) if name != "fhir" else (200, 403, 404)) for answer in theirs), [(a.asked, a.status) for a in theirs]
        differing = [a.asked for a, mine, other in zip(theirs, told(theirs), told(stranger[name]), strict=True) if mine != other]
        assert not differing
        if name != "fhir":
            after = stage.run(_audited(one))
            assert len(after) - len(before) == len(theirs), "each refusal is an entry"
            assert {row["resident"] for row in after[len(before) :]} == {None if "erased" in how or "another" in how else one.whom}
    if "another" not in how:  # nobody takes a representation over, so that its code would be another's
        assert stage.run(_code(one, one.code)) == stage.run(_code(one, "000000000"))
    assert not stage.run(one.leaks.rows("SELECT FROM petitions WHERE resident = $1", one.whom))


async def _audited(one: Delegate) -> list[Any]:
    return await one.leaks.rows(
        "SELECT resident FROM audit WHERE actor = $1 AND rule = $2 AND outcome = 'refused' ORDER BY chain, seq", f"Account/{one.account}",
        f"representative/{one.acting}",
    )  # fmt: skip


async def _code(one: Delegate, code: str) -> list[Any]:
    """What a doctor is told who enters it."""
    await one.leaks.rows("DELETE FROM code_guesses")
    doctor = one.leaks.denied.browser
    csrf = token((await doctor.get("/hospital/code")).text)
    answer = await doctor.post("/hospital/code", data={"csrf": csrf, "code": code})
    assert not one.plants.scanner().found(answer.content)
    return told([Answer("", answer.status_code, tuple(answer.headers.multi_items()), answer.content)])


def test_what_a_young_person_did_not_agree_to_is_shut_and_what_they_did_stays(stage: Stage) -> None:
    """A24 at 14: `look` was agreed to beforehand, nothing else."""
    one = stage.run(delegate(stage.leaks, "parent", 10))
    stage.run(_row("rights = '{look}'")(one))
    stage.run(_born(14)(one))
    assert seen(one, stage.run(portal(one, one.ids, one.whom)))
    for way in (dl, forms):
        answers = stage.run(way(one, one.ids, one.whom))
        assert not seen(one, answers)
        assert {answer.status for answer in answers} == {403}
