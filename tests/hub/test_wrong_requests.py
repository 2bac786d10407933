"""Every route of the hub asked wrongly: a refusal in its door's own form with a request id, never a defect, nothing of the request given back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from hub.store import residents
from schemas.errors import BadRequest
from schemas.resident import Resident
from tests.builders import City, a_city, a_session, an_id_number

MARK = "ZQZQ"
IDS = ("%00", f"a%00{MARK}", "%ff%fe", "..%2f..%2fetc", "9" * 300, "0190c000-0000-7000-8000-000000000001-99999999999999999999", "%C2%B2", "$x")
QUERIES = (
    "_count=-1", "_count=99999999999999999999", "_count=%C2%B2", "date=2026-13-45", "date=%00", "date=ge", "value-quantity=1e400", "value-quantity=NaN||",
    "identifier=%00|x", "_sort=ZQZQ", "_include=:::", "unheard-of=1", "count=-1", "filter=%00", "url=%00",
    "system=%00&code=%00", "start=2026-13-45", "cursor=%ff",
    "lang=%00", "version=..%2f..%2fx", "_type=ZQZQ",
)  # fmt: skip
BODIES = (b"", b"{", b"null", b"[]", b"1", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 50_000, b'{"resourceType":["ZQZQ"]}', b'{"resident":"\\u0000"}',
          b'{"resourceType":"Parameters","parameter":[{"name":["ZQZQ"],"valueInteger":1e999}]}', b"a=%00&b=\xff")  # fmt: skip
TYPES = ("application/json", "application/fhir+json", "application/x-www-form-urlencoded", "multipart/form-data", f"text/{MARK}")
PAGES = ("/standard/templates/{x}", "/standard/schema/{x}.json", "/standard/releases/{x}.json", "/standard/codes/{x}", "/standard/kinds/{x}", "/static/{x}")


async def _routes(city: City) -> list[tuple[str, str]]:
    """Method and path of everything the description and the CapabilityStatement name."""
    described: dict[str, Any] = (await city.http.get("/openapi.json")).json()["paths"]
    found = {(method.upper(), path) for path, methods in described.items() for method in methods} | {("GET", page) for page in PAGES}
    types = [one["type"] for one in (await city.http.get("/fhir/metadata")).json()["rest"][0]["resource"]]
    assert len(described) > 30
    assert len(types) > 20
    for method, path in sorted(found):
        if "{type_}" in path:
            found.remove((method, path))
            found |= {(method, path.replace("{type_}", type_)) for type_ in ("Observation", "Location", "ValueSet", "Consent")}
        if path == "/fhir/{type_}/{id_}/_history":
            found |= {("GET", f"/fhir/{type_}/{{id_}}/_history") for type_ in types}
    return sorted(found)


def _filled(path: str, text: str) -> str:
    return re.sub(r"\{[^}]*\}", text, path)


def _wrong(method: str, path: str) -> Iterator[dict[str, Any]]:
    if "{" in path:
        yield from ({"method": method, "url": _filled(path, id_), "content": b"{}"} for id_ in IDS)
    if method == "GET":
        yield from ({"method": method, "url": f"{_filled(path, 'x')}?{query}"} for query in QUERIES)
    else:
        for body, type_ in zip(BODIES * 2, cycle(TYPES), strict=False):
            yield {"method": method, "url": _filled(path, "x"), "content": body, "headers": {"Content-Type": type_}}
    for header in ({"Prefer": f"handling={MARK}"}, {"X-Purpose-Of-Use": MARK}, {"X-Resident-Identifier": MARK}, {"Accept": f"text/{MARK}"}):
        yield {"method": method, "url": _filled(path, "x"), "headers": header}


def _said(answer: httpx.Response) -> str:
    """What is wrong with an answer to a wrong request; nothing when it is as it should be."""
    kind = answer.headers.get("Content-Type", "")
    form = r"fhir\+json" if answer.url.path.startswith("/fhir/") else "json|html"
    checks = {
        "a defect": answer.status_code >= 500,
        "no request id": not re.fullmatch("[0-9a-f]{32}", answer.headers.get("X-Request-Id", "")),
        f"spoken as {kind}": answer.status_code >= 400 and not re.search(form, kind),
        "given back": answer.status_code >= 400 and answer.url.path.startswith("/fhir") and MARK in answer.text,
        "no Allow": answer.status_code == 405 and not answer.headers.get("Allow"),
        "a trace": "Traceback" in answer.text,
    }
    return ", ".join(name for name, found in checks.items() if found)


def test_every_route_refuses_what_is_wrong_in_its_own_form(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital = await city.party("中心", "fitness-center"), await city.party("医院", "hospital")
            resident = await city.resident()
            await city.upload(center, a_session(), resident=resident)
            doors = {"/fhir": await city.bearer(hospital), "/intake": await city.bearer(center, "intake.write")}
            asked = 0
            for method, path in await _routes(city):
                bearer = next((token for door, token in doors.items() if path.startswith(door)), {})
                wrongs = list(_wrong(method, path))
                answers = await asyncio.gather(*(city.http.request(**wrong | {"headers": bearer | wrong.get("headers", {})}) for wrong in wrongs))
                for wrong, answer in zip(wrongs, answers, strict=True):
                    assert not _said(answer), (method, wrong["url"][:120], wrong.get("content", b"")[:60], answer.status_code, _said(answer))
                asked += len(wrongs)
                for token in ({"Authorization": f"Bearer {MARK}"}, {"Authorization": MARK}):
                    assert not _said(await city.http.request(method, _filled(path, "x"), headers=token)), (method, path)
                other = await city.http.request("DELETE", _filled(path, "x"), headers=bearer)
                assert other.status_code in (404, 405), path
                assert not _said(other), (path, _said(other))
            assert asked > 1000

    asyncio.run(body())


@pytest.mark.parametrize("query", ["_count=-1", "_count=x", "_type=ZQZQ", "start=2026-13-45", "end=x", "_since=2026", "ZQZQ=1"])
def test_everything_refuses_parameters_it_cannot_mean(hub_url: str, tmp_path: Path, query: str) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            hospital = await city.party("医院", "hospital")
            answer = await city.http.get(f"/fhir/Patient/{await city.resident()}/$everything?{query}", headers=await city.bearer(hospital))
            assert answer.status_code == 400, answer.text
            assert answer.json()["issue"][0]["expression"] == [query.partition("=")[0]]

    asyncio.run(body())


@pytest.mark.parametrize(
    ("said", "field"), [({"phone": "abc"}, "phone"), ({"area": "31011"}, "area"), ({"zone": "Mars/Olympus"}, "zone"), ({"zone": "Asia"}, "zone")]
)
def test_by_whatever_way_a_resident_comes_phone_area_and_zone_have_their_form(said: dict[str, str], field: str) -> None:
    person = Resident(name="王秀英", id_number=an_id_number(), **said)  # type: ignore[arg-type]  # names of fields
    with pytest.raises(BadRequest) as refused:
        asyncio.run(residents.register(cast(Any, None), person, actor="test"))  # refused before there is need of a hub
    assert (refused.value.field, refused.value.code) == (field, field)
