"""What is published is read, searched and asked over HTTP without a token, and every answer is one that foreign models take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.parameters import Parameters
from fhir.resources.R4B.terminologycapabilities import TerminologyCapabilities
from fhir.resources.R4B.valueset import ValueSet

from schemas.codes import LISTS
from schemas.measures import MEASURES
from schemas.records import STANDARD_VERSION
from schemas.sports import SPORTS
from schemas.sports import SYSTEM as SPORTS_SYSTEM
from tests.builders import a_city

MEASURE, SEX = "https://kinehub.org/fhir/CodeSystem/measure", "urn:oid:2.16.156.10011.2.3.3.4"
MEASURES_SET, SPORTS_SET = "https://kinehub.org/fhir/ValueSet/measure", "https://kinehub.org/fhir/ValueSet/sport"
PUBLISHED = ("CodeSystem", "ValueSet", "ConceptMap")
TO_LOINC = "https://kinehub.org/fhir/ConceptMap/measure-loinc"
LOINC, MDC, UCUM = "http://loinc.org", "urn:iso:std:iso:11073:10101", "http://unitsofmeasure.org"
Answer = dict[str, Any]


class Reader:
    """Somebody without a token."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, path: str, **asked: Any) -> Answer:
        answer = await self._http.get(f"/fhir/{path}", params=asked or None)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/fhir+json")
        assert answer.headers["access-control-allow-origin"] == "*"
        return dict(answer.json())

    async def found(self, type_: str, **asked: Any) -> list[str]:
        bundle = await self.get(type_, **asked)
        Bundle.model_validate(bundle)
        return [entry["resource"]["id"] for entry in bundle.get("entry", [])]

    async def asked(self, path: str, **asked: Any) -> dict[str, list[Any]]:
        """The out-parameters of an operation: name to values, or to dictionaries of parts."""
        return out(await self.get(path, **asked))

    async def posted(self, path: str, *parameters: Answer) -> Answer:
        answer = await self._http.post(f"/fhir/{path}", json={"resourceType": "Parameters", "parameter": list(parameters)})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def refused(self, path: str, *parameters: Answer, body: Any = None, **asked: Any) -> tuple[int, str]:
        if parameters or body is not None:
            answer = await self._http.post(f"/fhir/{path}", json=body or {"resourceType": "Parameters", "parameter": list(parameters)})
        else:
            answer = await self._http.get(f"/fhir/{path}", params=asked or None)
        outcome = OperationOutcome.model_validate(answer.json())
        return answer.status_code, outcome.issue[0].code


def value(parameter: Answer) -> Any:
    if "part" in parameter:
        return {part["name"]: value(part) for part in parameter["part"]}
    return next(found for name, found in parameter.items() if name.startswith("value"))


def out(resource: Answer) -> dict[str, list[Any]]:
    Parameters.model_validate(resource)
    found: dict[str, list[Any]] = {}
    for parameter in resource["parameter"]:
        found.setdefault(parameter["name"], []).append(value(parameter))
    return found


def codes(expanded: Answer) -> list[str]:
    ValueSet.model_validate(expanded)
    return [one["code"] for one in expanded["expansion"].get("contains", [])]


@asynccontextmanager
async def a_reader(url: str, folder: Path) -> AsyncIterator[Reader]:
    async with a_city(url, folder) as city:
        yield Reader(city.http)


Work = Callable[[Reader], Coroutine[Any, Any, None]]
Reading = Callable[[Work], None]


@pytest.fixture
def reading(hub_url: str, tmp_path: Path) -> Reading:
    def run(work: Work) -> None:
        async def inside() -> None:
            async with a_reader(hub_url, tmp_path) as reader:
                await work(reader)

        asyncio.run(inside())

    return run


def test_what_is_published_is_read_without_a_token(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        system = await reader.get("CodeSystem/measure")
        assert [one["code"] for one in system["concept"]] == list(MEASURES)
        assert (await reader.get("ConceptMap/measure-loinc", _elements="url"))["url"] == TO_LOINC
        assert "concept" not in await reader.get("CodeSystem/measure", _summary="true")
        assert await reader.refused("CodeSystem/nothing") == (404, "not-found")
        assert await reader.refused("Observation") == (401, "login")

    reading(work)


def test_what_is_published_is_searched_by_what_r4_says(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        assert await reader.found("CodeSystem", url=MEASURE) == ["measure"]
        assert await reader.found("CodeSystem", system=SEX) == ["sex"]
        assert await reader.found("CodeSystem", code="rpe") == ["measure"]
        assert await reader.found("CodeSystem", name="datac") == ["data-class"]
        assert len(await reader.found("CodeSystem", status="active")) == 14
        assert await reader.found("CodeSystem", status="draft") == []
        assert await reader.found("CodeSystem", version="9.9") == []
        assert "measure-unit" in await reader.found("ValueSet", reference=UCUM)
        assert set(await reader.found("ConceptMap", **{"target-system": LOINC})) == {"measure-loinc", "sport-loinc"}
        assert set(await reader.found("ConceptMap", **{"source-code": "systolic"})) == {"measure-loinc", "measure-mdc", "measure-wst363"}
        assert await reader.refused("CodeSystem", colour="red") == (400, "invalid")

    reading(work)


def test_pages_of_a_search_come_one_after_the_other(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        seen: list[str] = []
        page = await reader.get("ValueSet", _count=7, _sort="url")
        while True:
            seen += [entry["resource"]["url"] for entry in page["entry"]]
            links = {link["relation"]: link["url"] for link in page["link"]}
            if "next" not in links:
                break
            page = await reader.get(links["next"].partition("/fhir/")[2])
        assert seen == sorted(set(seen))
        assert len(seen) == len(await reader.found("ValueSet"))

    reading(work)


def test_lookup_tells_names_and_properties_of_a_code(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        found = await reader.asked("CodeSystem/$lookup", system=MEASURE, code="systolic")
        assert (found["name"], found["display"]) == (["指标 Measures"], ["收缩压"])
        assert {"language": "en", "value": "Systolic blood pressure"} in found["designation"]
        properties = {one["code"]: one["value"] for one in found["property"]}
        assert properties["unit"] == {"system": UCUM, "code": "mm[Hg]"}
        assert properties["possible-high"] == 350
        english = await reader.asked("CodeSystem/$lookup", system=MEASURE, code="systolic", displayLanguage="en-US", property=["unit", "lang.en"])
        assert english["display"] == ["Systolic blood pressure"]
        assert [one["code"] for one in english["property"]] == ["unit"]
        assert [one["language"] for one in english["designation"]] == ["en"]
        by_coding = await reader.posted("CodeSystem/$lookup", {"name": "coding", "valueCoding": {"system": SEX, "code": "9"}})
        assert out(by_coding)["display"] == ["未说明的性别"]
        defined = await reader.asked("CodeSystem/$lookup", system="https://kinehub.org/fhir/CodeSystem/record", code="lap")
        assert [one["code"] for one in defined["property"]] == ["definition"]

    reading(work)


def test_a_call_that_cannot_be_answered_says_why(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        missing, unknown = (400, "invalid"), (404, "not-found")
        assert await reader.refused("CodeSystem/$lookup", code="systolic") == missing
        assert await reader.refused("CodeSystem/$lookup", system=MEASURE) == missing
        assert await reader.refused("CodeSystem/$lookup", system=LOINC, code="8867-4") == unknown
        assert await reader.refused("CodeSystem/$lookup", system=MEASURE, code="pulse") == unknown
        assert await reader.refused("CodeSystem/$lookup", system=MEASURE, code="rpe", version="9.9") == unknown
        assert await reader.refused("CodeSystem/$lookup", system=MEASURE, code="rpe", date="2020-01-01") == missing
        assert await reader.refused("CodeSystem/$lookup", system=MEASURE, code="rpe", colour="red") == missing
        assert await reader.refused("CodeSystem/$lookup", system=[MEASURE, MEASURE], code="rpe") == missing
        assert await reader.refused("CodeSystem/$lookup", coding="x|y") == missing
        assert await reader.refused("CodeSystem/$validate-code", code="rpe") == missing
        assert await reader.refused("CodeSystem/sport/$validate-code", url=MEASURE, code="rpe") == missing
        assert await reader.refused("ValueSet/$expand") == missing
        assert await reader.refused("ValueSet/$expand", url="https://other.example/ValueSet/x") == unknown
        assert await reader.refused("ValueSet/measure/$expand", count="few") == missing
        assert await reader.refused("ValueSet/nothing/$expand") == unknown
        assert await reader.refused("ValueSet/$validate-code", url=MEASURES_SET, code="rpe") == missing
        assert await reader.refused("ConceptMap/$translate", url="https://other.example/m", system=MEASURE, code="rpe") == unknown
        assert await reader.refused("ConceptMap/$translate", {"name": "coding", "valueCoding": {"code": "rpe"}}) == missing
        assert await reader.refused("ConceptMap/$translate", {"name": "coding", "valueCoding": {"system": MEASURE, "code": 7}}) == missing
        assert await reader.refused("ConceptMap/$translate", {"name": "coding", "valueString": "rpe"}) == missing
        assert await reader.refused("ConceptMap/$translate", {"name": "codeableConcept", "valueCodeableConcept": {"text": "rpe"}}) == missing
        assert await reader.refused("ConceptMap/$translate", {"name": 7}) == missing
        assert await reader.refused("ConceptMap/$translate", body={"resourceType": "Parameters", "parameter": "x"}) == missing
        assert await reader.refused("ConceptMap/$translate", body={"resourceType": "Coding"}) == missing

    reading(work)


def test_a_value_set_is_expanded_whole_filtered_and_in_pages(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        whole = await reader.get("ValueSet/$expand", url=SPORTS_SET)
        assert codes(whole) == list(SPORTS)
        assert whole["expansion"]["total"] == len(SPORTS)
        assert "compose" not in whole
        assert whole["expansion"]["contains"][0]["display"] == "跑步"
        assert "designation" not in whole["expansion"]["contains"][0]
        english = await reader.get("ValueSet/sport/$expand", filter="SKIING", displayLanguage="en", includeDesignations="true", includeDefinition="true")
        assert set(codes(english)) == {"alpine_skiing", "cross_country_skiing", "water_skiing"} & set(codes(english))
        assert "alpine_skiing" in codes(english)
        assert {one["display"] for one in english["expansion"]["contains"]} >= {"Alpine skiing"}
        assert {name["language"] for name in english["expansion"]["contains"][0]["designation"]} == {"zh-CN", "en"}
        assert "compose" in english
        assert codes(await reader.get("ValueSet/sport/$expand", filter="太极")) == ["tai_chi"]
        paged: list[str] = []
        for offset in range(0, len(SPORTS), 40):
            page = await reader.get("ValueSet/sport/$expand", offset=offset, count=40)
            assert (page["expansion"]["offset"], page["expansion"]["total"]) == (offset, len(SPORTS))
            paged += codes(page)
        assert paged == list(SPORTS)
        assert codes(await reader.get("ValueSet/sport/$expand", count=0)) == []
        posted = await reader.posted("ValueSet/$expand", {"name": "url", "valueUri": SPORTS_SET}, {"name": "count", "valueInteger": 2})
        assert codes(posted) == list(SPORTS)[:2]
        assert {"name": "version", "valueUri": f"{SPORTS_SYSTEM}|{STANDARD_VERSION}"} in whole["expansion"]["parameter"]
        sexes = (await reader.get("ValueSet/sex/$expand"))["expansion"]
        assert ("parameter" in sexes, {one["version"] for one in sexes["contains"]}) == (False, {"2003"})
        units = await reader.get("ValueSet/measure-unit/$expand")
        assert "mm[Hg]" in codes(units)

    reading(work)


def test_every_value_set_expands(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        for id_ in await reader.found("ValueSet"):
            assert codes(await reader.get(f"ValueSet/{id_}/$expand")), id_

    reading(work)


def test_a_code_is_validated_with_its_name_in_either_language(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        async def in_set(**asked: Any) -> tuple[bool, list[Any]]:
            found = await reader.asked("ValueSet/$validate-code", **({"url": MEASURES_SET, "system": MEASURE} | asked))
            assert ("message" in found) is not found["result"][0]
            return found["result"][0], found.get("display", [])

        assert await in_set(code="systolic") == (True, ["收缩压"])
        assert await in_set(code="systolic", display="收缩压") == (True, ["收缩压"])
        assert await in_set(code="systolic", display="systolic BLOOD pressure") == (True, ["收缩压"])
        assert await in_set(code="systolic", display="systolic blood pressure", displayLanguage="zh") == (False, ["收缩压"])
        assert await in_set(code="systolic", display="Diastolic blood pressure") == (False, ["收缩压"])
        assert await in_set(code="Systolic") == (False, [])
        assert await in_set(code="systolic", system=LOINC) == (False, [])
        assert await in_set(code="systolic", systemVersion="9.9") == (False, [])
        assert (await reader.asked("ValueSet/measure-laboratory/$validate-code", system=MEASURE, code="systolic"))["result"] == [False]
        assert (await reader.asked("ValueSet/measure-unit/$validate-code", system=UCUM, code="kg"))["result"] == [True]
        two = {"coding": [{"display": "said only"}, {"system": LOINC, "code": "8480-6"}, {"system": MEASURE, "code": "systolic"}]}
        posted = await reader.posted("ValueSet/measure/$validate-code", {"name": "codeableConcept", "valueCodeableConcept": two})
        assert out(posted)["result"] == [True]
        assert (await reader.asked("CodeSystem/$validate-code", url=MEASURE, code="rpe"))["result"] == [True]
        assert (await reader.asked("CodeSystem/measure/$validate-code", code="pulse"))["result"] == [False]
        foreign = await reader.posted("CodeSystem/measure/$validate-code", {"name": "coding", "valueCoding": {"system": SEX, "code": "rpe"}})
        assert out(foreign)["result"] == [False]

    reading(work)


def test_codes_are_translated_both_ways_with_how_sure_that_is(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        async def matches(path: str = "$translate", **asked: Any) -> set[tuple[str, str, str]]:
            found = await reader.asked(f"ConceptMap/{path}", **asked)
            assert found["result"] == [any(one["equivalence"] != "unmatched" for one in found.get("match", []))]
            return {(one["equivalence"], one["concept"]["system"], one["concept"]["code"]) for one in found.get("match", []) if "concept" in one}

        saturation = {"system": MEASURE, "code": "oxygen-saturation"}
        loinc = {("equivalent", LOINC, "59408-5"), ("wider", LOINC, "2708-6")}
        assert await matches(url=TO_LOINC, **saturation) == loinc
        assert await matches("measure-loinc/$translate", **saturation) == loinc
        assert await matches(targetsystem=LOINC, **saturation) == loinc
        assert {system for _, system, _ in await matches(source=MEASURES_SET, **saturation)} >= {LOINC, MDC}
        assert await matches(url=TO_LOINC, reverse="true", system=LOINC, code="2708-6") == {("narrower", MEASURE, "oxygen-saturation")}
        assert await matches(system=MDC, code="188424", reverse="true") == {("wider", MEASURE, "body-temperature")}
        assert await matches(system=MDC, code="266016") == {("equivalent", UCUM, "mm[Hg]")}
        assert await matches(url=TO_LOINC, system=MEASURE, code="sit-and-reach") == set()
        assert await matches(system=LOINC, code="8867-4") == set()
        assert await matches(system=SEX, code="9") == {("wider", "http://hl7.org/fhir/administrative-gender", "unknown")}
        assert await matches(target="http://hl7.org/fhir/ValueSet/administrative-gender", system=SEX, code="1") == {
            ("equivalent", "http://hl7.org/fhir/administrative-gender", "male")
        }
        unsure = await reader.asked("ConceptMap/$translate", url=TO_LOINC, system=MEASURE, code="mean-pressure")
        assert "(verify)" in unsure["message"][0]
        concept = {"coding": [{"system": MEASURE, "code": "rpe"}, {"system": MEASURE, "code": "systolic"}]}
        posted = out(await reader.posted("ConceptMap/$translate", {"name": "codeableConcept", "valueCodeableConcept": concept}))
        assert (posted["result"], "8480-6" in str(posted["match"])) == ([True], True)

    reading(work)


def test_flat_code_systems_subsume_nothing_but_the_same(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        async def outcome(**asked: Any) -> Any:
            return (await reader.asked("CodeSystem/$subsumes", **({"system": MEASURE} | asked)))["outcome"]

        assert await outcome(codeA="rpe", codeB="rpe") == ["equivalent"]
        assert await outcome(codeA="rpe", codeB="systolic") == ["not-subsumed"]
        assert await reader.refused("CodeSystem/$subsumes", system=MEASURE, codeA="rpe", codeB="pulse") == (404, "not-found")
        assert await reader.refused("CodeSystem/$subsumes", system=MEASURE, codeA="rpe") == (400, "invalid")
        sides = [{"name": f"coding{letter}", "valueCoding": {"system": system, "code": "9"}} for letter, system in (("A", SEX), ("B", MEASURE))]
        assert await reader.refused("CodeSystem/$subsumes", *sides) == (400, "invalid")
        assert (await reader.asked("CodeSystem/sex/$subsumes", codeA="0", codeB="9"))["outcome"] == ["not-subsumed"]

    reading(work)


def test_the_statements_list_what_is_offered(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        stated = await reader.get("metadata")
        CapabilityStatement.model_validate(stated)
        offered = {one["type"]: one for one in stated["rest"][0]["resource"]}
        named = {type_: [one["name"] for one in offered[type_]["operation"] if one["name"] != "validate"] for type_ in PUBLISHED}
        assert named == {"CodeSystem": ["lookup", "subsumes", "validate-code"], "ValueSet": ["expand", "validate-code"], "ConceptMap": ["translate"]}
        assert {one["name"] for one in offered["CodeSystem"]["searchParam"]} >= {"url", "version", "name", "status", "code", "system"}
        terms = await reader.get("metadata", mode="terminology")
        TerminologyCapabilities.model_validate(terms)
        assert {one["uri"] for one in terms["codeSystem"]} >= {MEASURE, SEX}
        assert await reader.refused("metadata", mode="loud") == (400, "invalid")

    reading(work)


def test_a_questionnaire_of_each_instrument_is_read_by_anybody(reading: Reading) -> None:
    async def work(reader: Reader) -> None:
        assert set(await reader.found("Questionnaire")) == set(LISTS["instrument"])
        assert await reader.found("Questionnaire", url="https://kinehub.org/fhir/Questionnaire/sas", status="draft") == ["sas"]
        one = await reader.get("Questionnaire/par-q-plus")
        assert one["title"] == "PAR-Q+ 运动前准备问卷 Physical Activity Readiness Questionnaire for Everyone (PAR-Q+)"
        assert "(verify)" in one["description"]
        assert one["item"] == [{"linkId": str(number), "type": "boolean"} for number in range(1, 8)]

    reading(work)


PAR_Q = "https://kinehub.org/fhir/Questionnaire/par-q-plus"


@pytest.mark.parametrize(
    ("instrument", "answers", "named"),
    [
        ("par-q-plus", [{"item": "1", "answer": False}, {"item": "3", "question": "胸痛"}, {"item": "7", "answer": True}], PAR_Q),
        ("par-q-plus", [{"item": "7", "answer": True}, {"item": "3"}], None),
        ("par-q-plus", [{"item": "1", "answer": True}, {"item": "1", "answer": False}], None),
        ("phq-9", [{"item": "1", "answer": 2**31}], None),
        ("par-q-plus", [{"item": "8", "answer": False}], None),
        ("par-q-plus", [{"item": "1", "answer": 0}], None),
        ("a-scale-of-ours", [{"item": "1", "answer": 3}], None),
    ],
)
def test_a_response_names_its_questionnaire_where_it_fits_and_stays_raw_where_not(
    hub_url: str, tmp_path: Path, instrument: str, answers: list[dict[str, Any]], named: str | None
) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            record = {"kind": "screening", "start": "2026-05-01T09:00:00+08:00", "instrument": instrument, "answers": answers}
            (taken,) = (await city.upload(center, {"record": record}, resident=resident)).json()["records"]
            assert [warning["code"] for warning in taken["warnings"]] == ([] if named else ["instrument-unknown"])
            said = (await city.get(center, f"QuestionnaireResponse/{taken['record_id']}-1")).json()
            assert said.get("questionnaire") == named
            assert [item["linkId"] for item in said["item"]] == [answer["item"] for answer in answers]
            judged = await city.http.post("/fhir/QuestionnaireResponse/$validate", json=said, headers=await city.bearer(center))
            assert {issue["severity"] for issue in judged.json()["issue"]} <= {"information", "warning"}

    asyncio.run(work())
