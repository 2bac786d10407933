"""The ways out: each asks as one reader about one resident, aiming at some resources, and gives back all that came.

An answer is what a client can tell: status, headers, body. `told` strips what differs by nature (request id, date, ids of the
other twin, times of storing, sealed page links, form tokens), so that two answers are equal exactly when they tell the same.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx

from hub.store.ids import bucket_of, new_record_id
from mappings import sampled
from tests.leaks.town import Case, Leaks, Reader

UUID_LIKE = re.compile(rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
FEW = 6
"""Resources aimed at one by one."""


class Answer(NamedTuple):
    """One answer, and what was asked (for the message of a failure)."""

    asked: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Ask(NamedTuple):
    """Who asks about whom. `ids`: Type/id to aim at; `values`: figures to search by; `extra`: headers sent along."""

    leaks: Leaks
    reader: Reader
    resident: UUID
    ids: Sequence[str]
    case: Case

    async def fhir(self, path: str, *, method: str = "GET", **parameters: Any) -> Answer:
        city = self.leaks.city
        headers = await city.bearer(self.reader.hospital) | self.case.headers
        response = await city.http.request(method, f"/fhir/{path}", params=parameters or None, headers=headers)
        return _answer(f"{method} {path}", response)

    async def page(self, path: str, **fields: str) -> Answer:
        response = await self.reader.browser.get(path, params=fields or None)
        return _answer(path, response)


    async def at_desk(self, path: str, **form: str) -> Answer:
        """A page of staff, or a form of theirs."""
        desk = self.reader.desk
        if not form:
            return _answer(path, await desk.get(path))
        page = await desk.get("/account")
        return _answer(path, await desk.post(path, data={"csrf": _TOKEN.findall(page.text)[0]} | form))


_TOKEN = re.compile(r'name="csrf" value="([^"]*)"')
Exit = Callable[[Ask], Awaitable[list[Answer]]]


async def together(asks: Iterable[Awaitable[Answer]]) -> list[Answer]:
    """Answers of requests made at once, in their order."""
    return list(await asyncio.gather(*asks))


def _answer(asked: str, response: httpx.Response) -> Answer:
    return Answer(asked, response.status_code, tuple(response.headers.multi_items()), response.content)


# FHIR


async def read(ask: Ask) -> list[Answer]:
    return await together(ask.fhir(path) for one in ask.ids[:FEW] for path in (one, f"{one}?_summary=true", _spelled(one)))


def _spelled(reference: str) -> str:
    """The same id in another spelling."""
    type_, _, id_ = reference.partition("/")
    return f"{type_}/{id_.upper()}"


async def vread(ask: Ask) -> list[Answer]:
    return await together(ask.fhir(f"{one}/_history/{version}") for one in ask.ids[:FEW] for version in ("1", "2"))


async def hist(ask: Ask) -> list[Answer]:
    return await together(ask.fhir(f"{one}/_history") for one in ask.ids[:FEW])


async def samples(ask: Ask) -> list[Answer]:
    """Curves of heart rate and places of each record aimed at: read, by the minute, and as they were."""
    slots = [slot for slot, channel in sampled.CHANNELS.items() if {"heart-rate", "latitude"} & set(channel.series)]
    paths = [f"Observation/{record}-{slot}" for record in dict.fromkeys(one.partition("/")[2][:36] for one in ask.ids) for slot in slots]
    return await together(ask.fhir(path + rest) for path in paths for rest in ("", "/$sampled?period=60", "/_history/1"))


async def receipts(ask: Ask) -> list[Answer]:
    """Receipts of what others sent of the resident, and the rows that wait."""
    headers = await ask.leaks.city.bearer(ask.reader.hospital, "intake.write")
    found = []
    for receipt in ask.leaks.receipts.get(ask.resident, [str(uuid4())])[:1]:
        path = f"/intake/receipts/{receipt}"
        found.append(_answer(path, await ask.leaks.city.http.get(path, headers=headers)))
        found.append(_answer(f"{path}/pending/1", await ask.leaks.city.http.post(f"{path}/pending/1", headers=headers, json={"resident": str(ask.resident)})))
    return found


TYPES = ("Observation", "DiagnosticReport", "Provenance", "QuestionnaireResponse", "CarePlan", "Condition", "Device", "Encounter", "RelatedPerson")


async def search(ask: Ask) -> list[Answer]:
    patient = str(ask.resident)
    found = await together(ask.fhir(type_, patient=patient, _count=200) for type_ in TYPES)
    found += [await ask.fhir("Patient", _id=patient), await ask.fhir("Observation", subject=f"Patient/{patient}", _sort="value-quantity,-date")]
    found += await together(
        ask.fhir("Observation", patient=patient, _elements="id,note", code=code) for code in ("8480-6", "85354-9", "http://loinc.org|8867-4")
    )
    found += await together(ask.fhir("Observation", patient=patient, **{name: value}) for value in ask.case.values for name in PROBES)
    return found + await together(ask.fhir(one.partition("/")[0], patient=patient, _id=one.partition("/")[2]) for one in ask.ids[:FEW])


PROBES = ("value-quantity", "component-value-quantity", "combo-value-quantity", "value-quantity:not", "_sort")
"""Ways to ask for a hidden figure."""


async def count(ask: Ask) -> list[Answer]:
    patient = str(ask.resident)
    ways: list[dict[str, Any]] = [{"_summary": "count"}, {"_total": "accurate", "_count": 1}, {"_total": "estimate", "_count": 0}]
    return await together(ask.fhir(type_, patient=patient, **way) for type_ in TYPES for way in ways)


async def next_(ask: Ask) -> list[Answer]:
    """Page after page, then a link taken earlier."""
    found, path, parameters = [], "Observation", {"patient": str(ask.resident), "_count": "2"}
    for _ in range(40):
        found.append(await ask.fhir(path, **parameters))
        further = re.search(rb'"relation":"next","url":"[^"]*/fhir/([^"]+)"', found[-1].body)
        if further is None:
            break
        path, parameters = further[1].decode(), {}
    link = ask.case.link.replace(str(ask.case.hidden), str(ask.resident))
    return found + ([await ask.fhir(link)] if link else [])


async def incl(ask: Ask) -> list[Answer]:
    patient = str(ask.resident)
    ways = [
        {"_include": "Observation:*"},
        {"_include:iterate": "Observation:has-member"},
        {"_revinclude": "Provenance:target"},
        {"_revinclude": "Observation:derived-from"},
    ]
    found = await together(ask.fhir("Observation", patient=patient, _count=200, **way) for way in ways)
    found += [
        await ask.fhir("DiagnosticReport", patient=patient, _include="DiagnosticReport:result"),
        await ask.fhir("Patient", _id=patient, _revinclude="Observation:subject"),
    ]
    return found + await together(ask.fhir("Provenance", target=one) for one in ask.ids[:FEW])


async def chain(ask: Ask) -> list[Answer]:
    patient = str(ask.resident)
    ways = [
        ("Observation", "subject:Patient.name"),
        ("Observation", "has-member.code"),
        ("DiagnosticReport", "result.code"),
        ("Observation", "derived-from:Observation.code"),
    ]
    return await together(ask.fhir(type_, patient=patient, **{name: text}) for type_, name in ways for text in ("grip-strength", "8867-4", "沈知遥"))


async def has(ask: Ask) -> list[Answer]:
    names = ("_has:Observation:subject:code", "_has:Condition:subject:code", "_has:Observation:patient:value-quantity")
    texts = ("8867-4", "85354-9", *ask.case.values)
    return await together(ask.fhir("Patient", _id=str(ask.resident), **{name: text}) for name in names for text in texts)


async def every(ask: Ask) -> list[Answer]:
    path = f"Patient/{ask.resident}/$everything"
    ways: list[dict[str, Any]] = [{"_count": 1000}, {"_type": "Observation,Condition"}, {"start": "2020-01-01", "_count": 1}]
    return await together(ask.fhir(path, **way) for way in ways)


# Doors that are shut: whoever asks gets the same, and nothing


async def export(ask: Ask) -> list[Answer]:
    return await together(ask.fhir(path) for path in ("$export", "Patient/$export", f"Patient/{ask.resident}/$export"))


async def subs(ask: Ask) -> list[Answer]:
    return [await ask.fhir("Subscription", method="POST", criteria=f"Observation?patient={ask.resident}"), await ask.fhir("Subscription")]


async def cds(ask: Ask) -> list[Answer]:
    return [_answer(path, await ask.leaks.city.http.get(path)) for path in ("/cds-services", f"/cds-services/activity?patient={ask.resident}")]


async def gql(ask: Ask) -> list[Answer]:
    return [await ask.fhir("$graphql", query="{PatientList{id}}"), await ask.fhir(f"Patient/{ask.resident}/$graphql", query="{id}")]


async def doc(ask: Ask) -> list[Answer]:
    return await together(
        ask.fhir(path) for path in (f"Patient/{ask.resident}/$summary", f"Composition?patient={ask.resident}", f"DocumentReference?patient={ask.resident}")
    )


# Pages and files


async def portal(ask: Ask) -> list[Answer]:
    found = await together(ask.page(f"/hospital/patients/{ask.resident}", weeks=weeks) for weeks in ("4", "12", "52"))
    return [*found, await ask.page(f"/resident/records/{_record(ask)}"), await ask.page(f"/center/receipts/{uuid4()}")]


async def dl(ask: Ask) -> list[Answer]:
    return [
        await ask.page(f"/hospital/patients/{ask.resident}/sessions.csv"),
        await ask.page("/resident/download"),
        await ask.page(f"/center/preview/{uuid4()}/marked"),
    ]


async def emergency(ask: Ask) -> list[Answer]:
    """The page of an emergency access, and the door to one without a reason. Where the reader has one open, it shows by right."""
    if ask.case.headers.get("X-Purpose-Of-Use") == "BTG":
        return []
    found = await together(ask.page("/hospital/emergency/patient", weeks=weeks) for weeks in ("4", "52"))
    return [*found, await ask.page("/hospital/emergency"), await ask.page(f"/hospital/emergency/patient?resident={ask.resident}&patient={ask.resident}")]


async def assist(ask: Ask) -> list[Answer]:
    """A decision that another organization's staff recorded, with its signed form: asked for at the desk, as its witness, and as its resident."""
    case = await ask.leaks.helped(ask.resident, ask.case.plants) if ask.resident == ask.case.hidden else uuid4()
    found = [await ask.at_desk(f"/center/assist/{case}{step}") for step in ("", "/form", "/paper", "/grant", "/stop")]
    found += [await ask.at_desk("/center/assist"), await ask.page(f"/resident/assists/{case}"), await ask.page(f"/resident/assists/{case}/paper")]
    return [*found, *[await ask.at_desk(f"/center/assist/{case}/{step}", heard="yes", to="everybody") for step in ("confirm", "ask", "cancel", "stop")]]


def _record(ask: Ask) -> str:
    return ask.ids[0].partition("/")[2][:36] if ask.ids else str(uuid4())


async def _pushed(ask: Ask, door: str) -> list[Answer]:
    await ask.leaks.deliver()
    name, place = str(ask.resident).encode(), ask.reader.host + door
    pushed = [body for where, body in ask.leaks.deliveries.sent if where == place and name in body]
    return [Answer("push", 200, (), body) for body in sorted(pushed, key=lambda body: UUID_LIKE.sub(b"", _plain(body)))]


async def city(ask: Ask) -> list[Answer]:
    """What was pushed to the reader's cloud about the resident."""
    return await _pushed(ask, "/fhir")


async def notices(ask: Ask) -> list[Answer]:
    """What the reader was told of consents that name it."""
    return await _pushed(ask, "/consents")


async def agg(ask: Ask) -> list[Answer]:
    return [await ask.page("/city")]


# What is said when something goes wrong


async def err(ask: Ask) -> list[Answer]:
    patient = str(ask.resident)
    wrong: list[dict[str, Any]] = [
        {"date": "yesterday"},
        {"_sort": "colour"},
        {"_count": "many"},
        {"_cursor": "x"},
        {"value-quantity": "1|2"},
        {"nonsense": "1"},
    ]
    found = await together(ask.fhir("Observation", patient=patient, **one) for one in wrong)
    for one in ask.ids[:2]:
        found += [await ask.fhir(f"{one}/_history/x"), await ask.fhir(f"{one}/$validate", method="POST"), await ask.fhir(f"{one}?_elements=%00")]
        found += await together(ask.fhir(one, method=method) for method in ("HEAD", "PUT", "PATCH", "DELETE"))
    return found


EXITS: dict[str, Exit] = {
    "read": read, "vread": vread, "hist": hist, "search": search, "count": count, "next": next_, "incl": incl, "chain": chain, "has": has,
    "every": every, "export": export, "subs": subs, "CDS": cds, "gql": gql, "doc": doc, "portal": portal, "dl": dl, "city": city, "agg": agg, "err": err,
    "emergency": emergency, "sampled": samples, "receipts": receipts, "notices": notices, "assist": assist,
}  # fmt: skip
"""The columns of the matrix that answer somebody; `log` and `audit` are looked through by the tests themselves."""
SHUT = ("export", "subs", "CDS", "gql", "doc")
"""Columns whose door this hub does not have (yet): whoever asks is told so, and nothing of anybody."""


# What is told


def scanned(answer: Answer) -> bytes:
    """All of an answer but the client's own question, which a search repeats in its link to itself."""
    return _SELF.sub(b"", answer.body) + str(answer.headers).encode()


_BY_NATURE = [
    (re.compile(rb'"lastUpdated":"[^"]*"'), b'"lastUpdated":""'),
    (re.compile(rb'"(recorded|lastModified|timestamp)":"[^"]*"'), rb'"\1":""'),
    (re.compile(rb"_cursor=[A-Za-z0-9_\-%]+"), b"_cursor="),
    (re.compile(rb'name="(csrf|once)" value="[^"]*"'), b""),
    (re.compile(rb'name="(csrf-token|csrf)" content="[^"]*"'), b""),
]  # fmt: skip
_SELF = re.compile(rb'"relation":"self","url":"[^"]*"')
_OWN_HEADERS = ("date", "x-request-id", "content-length", "last-modified", "set-cookie")


def _plain(body: bytes) -> bytes:
    for pattern, plain in _BY_NATURE:
        body = pattern.sub(plain, body)
    return body


def told(answers: Sequence[Answer]) -> list[tuple[int, tuple[tuple[str, str], ...], bytes]]:
    """What the answers tell, the ids of either twin numbered in the order in which they come."""
    numbers: dict[bytes, bytes] = {}

    def numbered(found: re.Match[bytes]) -> bytes:
        return numbers.setdefault(found[0].lower(), b"id-%d" % len(numbers))

    lines = []
    for answer in answers:
        body = _plain(answer.body)
        headers = tuple(sorted((name, value) for name, value in answer.headers if name not in _OWN_HEADERS))
        lines.append((answer.status, headers, UUID_LIKE.sub(numbered, body)))
    return lines


def unknown(ids: Sequence[str], resident: UUID) -> list[str]:
    """Ids of the same shape in the twin's bucket that never were."""
    made: dict[str, str] = {}
    for one in ids:
        made.setdefault(one.partition("/")[2][:36], str(new_record_id(bucket_of(resident))))
    return [UUID_LIKE.sub(lambda found: made[found[0].decode()].encode(), one.encode()).decode() for one in ids]
