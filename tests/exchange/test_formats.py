"""What an answer looks like before what it says: the formats that are offered, and HEAD as GET without its body."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from hub.store.parties import Party
from tests.builders import City, a_city, a_session

JSON = ("json", "application/json", "application/fhir+json", "Application/FHIR+JSON", "application/fhir json", "application/fhir+json; fhirVersion=4.0")
OTHERS = ("xml", "application/fhir+xml", "text/xml", "ttl", "html", "x", "application/fhir+json; fhirVersion=3.0")
ACCEPTED = ("", "*/*", "application/*", "application/json", "application/fhir+xml, application/fhir+json;q=0.5", "text/html, */*;q=0.1")
NOT_ACCEPTED = ("application/fhir+xml", "text/html", "application/xml;q=0.9, text/turtle", "application/fhir+json;q=0", "application/fhir+json;fhirVersion=5.0")


class Desk(msgspec.Struct):
    """A hub with a session that a hospital may see, and one that it may not."""

    city: City
    hospital: Party
    seen: str
    hidden: str
    resident: str

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = await self.city.bearer(self.hospital) | more.pop("headers", {})
        return await self.city.http.request(method, path, headers=headers, **more)

    def paths(self) -> list[str]:
        """A path of every kind of FHIR answer by GET."""
        return [
            "/fhir/metadata", "/fhir/ValueSet?_count=1", "/fhir/ValueSet/measure", "/fhir/CodeSystem/$lookup?system=urn:oid:2.16.156.10011.2.3.3.4&code=1",
            "/fhir/Organization", f"/fhir/Observation?patient={self.resident}", f"/fhir/Observation/{self.seen}", f"/fhir/Observation/{self.seen}/_history",
            f"/fhir/Observation/{self.seen}/_history/1", f"/fhir/Patient/{self.resident}/$everything", "/fhir/OperationDefinition/observation-sampled",
        ]  # fmt: skip


AtDesk = Callable[[Callable[[Desk], Awaitable[None]]], None]


@pytest.fixture
def at_desk(hub_url: str, tmp_path: Path) -> AtDesk:
    def run(work: Callable[[Desk], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with a_city(hub_url, tmp_path) as city:
                hospital, center = await city.party("Hospital", "hospital"), await city.party("Center", "fitness-center")
                ids = []
                for order in (2, 3):
                    resident = await city.resident(order=order)
                    (taken,) = (await city.upload(center, a_session(), resident=resident)).json()["records"]
                    ids.append((f"{taken['record_id']}-1", str(resident), resident))
                await city.grant(ids[0][2], hospital, "all")
                await work(Desk(city, hospital, ids[0][0], ids[1][0], ids[0][1]))

        asyncio.run(inside())

    return run


def _is_refusal(answer: httpx.Response, place: str) -> bool:
    (issue,) = answer.json()["issue"]
    named = all(said in issue["diagnostics"] for said in ("application/fhir+json", "application/json"))
    return (answer.status_code, answer.json()["resourceType"], issue["code"], issue["expression"], named) == (
        406, "OperationOutcome", "not-supported", [place], True,
    )  # fmt: skip


def test_json_is_answered_under_each_of_its_names_and_nothing_else_is(at_desk: AtDesk) -> None:
    async def work(desk: Desk) -> None:
        for path in desk.paths():
            mark = "&" if "?" in path else "?"
            for text in (JSON[0], JSON[2]):
                answer = await desk.ask("GET", f"{path}{mark}_format={quote(text)}&_pretty=true")
                assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/fhir+json"), (path, answer.text)
            assert _is_refusal(await desk.ask("GET", f"{path}{mark}_format=xml"), "_format"), path
            assert _is_refusal(await desk.ask("GET", path, headers={"Accept": "application/fhir+xml"}), "Accept"), path
        for text in JSON:
            assert (await desk.ask("GET", "/fhir/metadata", params={"_format": text})).status_code == 200, text
        for text in OTHERS:
            assert _is_refusal(await desk.ask("GET", "/fhir/metadata", params={"_format": text}), "_format"), text
        for text in ACCEPTED:
            assert (await desk.ask("GET", "/fhir/metadata", headers={"Accept": text})).status_code == 200, text
        for text in NOT_ACCEPTED:
            assert _is_refusal(await desk.ask("GET", "/fhir/metadata", headers={"Accept": text}), "Accept"), text

    at_desk(work)


def test_the_parameter_outranks_the_header_and_stands_in_a_search_by_post_as_well(at_desk: AtDesk) -> None:
    async def work(desk: Desk) -> None:
        assert (await desk.ask("GET", "/fhir/metadata?_format=json", headers={"Accept": "application/fhir+xml"})).status_code == 200
        assert _is_refusal(await desk.ask("GET", "/fhir/metadata?_format=xml", headers={"Accept": "application/fhir+json"}), "_format")
        asked = {"patient": desk.resident, "_format": "xml"}
        assert _is_refusal(await desk.ask("POST", "/fhir/Observation/_search", data=asked), "_format")
        assert (await desk.ask("POST", "/fhir/Observation/_search", data=asked | {"_format": "json"})).status_code == 200
        assert (await desk.city.http.get(f"/fhir/Observation/{desk.hidden}?_format=xml")).status_code == 406
        assert (await desk.city.http.get("/standard?_format=xml", headers={"Accept": "application/xml"})).status_code == 200

    at_desk(work)


def _told(answer: httpx.Response) -> tuple[int, list[tuple[str, str]]]:
    own = ("x-request-id", "set-cookie")
    return answer.status_code, [(name, value) for name, value in answer.headers.multi_items() if name not in own]


def test_head_tells_what_get_tells_without_the_body_and_is_audited_alike(at_desk: AtDesk) -> None:
    async def work(desk: Desk) -> None:
        nobody = f"/fhir/Observation/{desk.hidden[:-2]}-1".replace(desk.hidden[:2], "00")
        for path in (*desk.paths(), f"/fhir/Observation/{desk.hidden}", nobody, "/fhir/Observation", "/fhir/metadata?_format=xml",
                     "/sign-in", "/standard", "/resident", "/healthz", "/static/app.css", "/nowhere", "/standard.json"):  # fmt: skip
            noted = [await _entries(desk.city)]
            whole = await desk.ask("GET", path)
            noted.append(await _entries(desk.city))
            head = await desk.ask("HEAD", path)
            noted.append(await _entries(desk.city))
            assert _told(head) == _told(whole), path
            assert (head.content, bool(whole.content)) == (b"", whole.status_code != 303), path
            assert noted[1] - noted[0] == noted[2] - noted[1], path
        assert (await desk.ask("HEAD", f"/fhir/Observation/{desk.seen}")).headers["ETag"] == 'W/"1"'
        assert await _sent(desk.city, "HEAD") == b""
        assert await _sent(desk.city, "GET") == b'{"status":"up"}'

    at_desk(work)


async def _sent(city: City, method: str) -> bytes:
    """What the application itself sends: clients drop a body that follows HEAD."""
    parts = []

    async def send(message: MutableMapping[str, Any]) -> None:
        parts.append(message.get("body", b""))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    scope = {"type": "http", "method": method, "path": "/healthz", "query_string": b"", "headers": []}
    await city.http._transport.app(scope, receive, send)  # type: ignore[attr-defined]
    return b"".join(parts)


async def _entries(city: City) -> int:
    async with city.hub.database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM audit"))


def test_head_of_a_door_without_get_is_refused_and_allow_names_head_beside_get(at_desk: AtDesk) -> None:
    async def work(desk: Desk) -> None:
        refused = await desk.ask("HEAD", "/oauth/token")
        assert (refused.status_code, refused.content) == (405, b"")
        assert "GET" not in refused.headers["Allow"]
        assert (await desk.ask("DELETE", "/fhir/metadata")).headers["Allow"] == "GET, HEAD"

    at_desk(work)
